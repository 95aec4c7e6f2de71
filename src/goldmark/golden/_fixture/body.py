"""The end of a test's body: what its goldens say fails it, or is added to what the body raised."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from goldmark.golden._files.entries import listed

_GROUP = re.compile(r"@[^@\]/]*$")  # of pytest-xdist's --dist loadgroup, at the end of a node id
REPEAT_PARAMETER = "__pytest_repeat_step_number"  # of pytest-repeat
_FILES = pytest.StashKey[dict[str, set[str]]]()  # of the tests of a session, by node id


def raised_in(item: pytest.Item) -> BaseException | None:
    """Return what the body of a unittest test raised: unittest catches it, and pytest keeps it for the report."""
    kept = getattr(item, "_excinfo", None)  # pytest has no public way
    return kept[0].value if kept else None


def fail_or_add(item: pytest.Item, lines: list[str], raised: BaseException | None) -> None:
    """Fail a test whose goldens do not hold, or add the message to the exception of its body.

    A test that skips itself after a difference fails: the difference was seen.
    """
    text = "\n".join(lines)
    unexpected = raised is not None and str(raised) == "Unexpected success"  # of unittest.expectedFailure
    if raised is None or unexpected or _is_skip(raised):
        if hasattr(item, "_excinfo"):
            item._excinfo = []  # noqa: SLF001 (as above: the report would show what unittest has kept)
        if unexpected:
            pytest.xfail(lines[0])
        pytest.fail(text, pytrace=False)
    if isinstance(raised, pytest.fail.Exception) and not raised.pytrace:
        raised.msg = f"{raised.msg}\n{text}"  # of such a failure pytest shows no notes
    else:
        raised.add_note(text)


def _is_skip(raised: BaseException) -> bool:
    return isinstance(raised, pytest.skip.Exception) or type(raised).__name__ == "SkipTest"


def one_line(report: Any) -> None:
    """Shorten the message of a failure to its first line where pytest repeats it: in the summary and in JUnit's XML."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = crash.message.partition("\n")[0]


def address_of(item: pytest.Item, nodeid: str) -> str:
    """Return the argument for pytest, where it was called, that names a test: its file and the rest of its id."""
    _, separator, rest = nodeid.partition("::")
    here = item.config.invocation_params.dir
    at_root = here == item.config.rootpath and item.path.is_relative_to(here)
    return nodeid if at_root else os.path.relpath(item.path, here) + separator + rest


def refuse_shared_id(item: pytest.Item) -> None:
    """Fail a test whose node id another file's test has in this session: both would be held to one golden.

    Below the root none has. Of tests outside, as of two projects in one run, pytest drops what tells them apart.
    """
    stash = item.session.stash
    if _FILES not in stash:
        stash[_FILES] = {}
        for other in item.session.items:
            stash[_FILES].setdefault(other.nodeid, set()).add(str(other.path))
    files = sorted(stash[_FILES].get(item.nodeid, ()))
    if len(files) > 1:
        why = f"{listed(files)} have tests of one id, {item.nodeid}, and so one golden; run each project by itself"
        pytest.fail(f"no golden was compared or written: {why}", pytrace=False)


def own_nodeid(item: pytest.Item) -> str:
    """Return a test's node id without what plugins append to it: its place among repetitions, its group of workers."""
    nodeid = item.nodeid
    if item.get_closest_marker("xdist_group") is not None:
        nodeid = _GROUP.sub("", nodeid)
    spec: Any = getattr(item, "callspec", None)
    if not is_repeated(item) or not nodeid.endswith(f"[{spec.id}]"):
        return nodeid
    step = re.compile(rf"{spec.params[REPEAT_PARAMETER] + 1}-\d+")
    ids = list(spec._idlist)  # noqa: SLF001 (pytest has no public way)
    places = [i for i, text in enumerate(ids) if step.fullmatch(text)]  # a parameter of the test may read the same
    place = places[0] if next(iter(spec.params)) == REPEAT_PARAMETER else places[-1]
    rest = "-".join(ids[:place] + ids[place + 1 :])
    return nodeid.removesuffix(f"[{spec.id}]") + (f"[{rest}]" if rest else "")


def is_repeated(item: pytest.Item) -> bool:
    """Tell whether pytest-repeat runs a test several times."""
    return REPEAT_PARAMETER in getattr(getattr(item, "callspec", None), "params", {})
