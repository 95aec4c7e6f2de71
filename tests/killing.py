"""Programs that are killed in the middle of what they do: by what they have done so far, not by the clock."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence


def kill_once(command: Sequence[str], reached: Callable[[], bool]) -> None:
    """Start a program and kill it by SIGKILL as soon as it has come so far; raise where it ends before that."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not reached():
            if process.poll() is not None:
                raise AssertionError(f"it ended before it was killed: {process.stderr.read()}")
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == process.returncode, "it ended as it was killed"
