"""Judge the commit that a bisection is at: the command that `git bisect run` starts, a script that is run as a file.

It judges with the goldmark that started the bisection, whatever the commit holds.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import TracebackType

_BROKEN = 255  # ends a bisection; Python's own status for an error, 1, would call the commit bad


def _end_bisection(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    os._exit(_BROKEN)


if __name__ == "__main__":
    sys.excepthook = _end_bisection
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is started without
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from goldmark.golden._ask.bisect import judge_head

    sys.exit(judge_head(sys.argv[1]))
