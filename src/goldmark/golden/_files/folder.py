"""A golden folder: the names of its goldens, and where each lies."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from goldmark.case import UsageError
from goldmark.golden._files.entries import Golden
from goldmark.golden._files.format import read
from goldmark.golden._files.transaction import recover

_SUFFIX = ".json"
_PART = r"[\w+=@,\[\]-][\w.+=@,\[\]-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*", re.ASCII)
_LONGEST_PART = 200  # characters: file systems allow 255 bytes, and suffixes must fit
_ODD = re.compile(r"[^A-Za-z0-9_.+=@,\[\]-]+")  # in the id of a test: all other characters may name a golden
_LONGEST_OF_TEST = 120  # characters of one part of a test's id that are kept; a hash stands for the rest


def find_golden(folder: Path, name: str) -> Golden | None:
    """Return the golden of that name after any interrupted update is recovered, or None where there is none.

    Raise `BadGolden` for a file that cannot be trusted and `UsageError` for a name that leads out of the folder.
    """
    recover(folder)
    return stored_golden(folder, name)


def stored_golden(folder: Path, name: str) -> Golden | None:
    """Return the golden of that name as it lies there; for callers that hold the folder's lock."""
    try:
        return read(golden_path(folder, name), name)
    except FileNotFoundError:
        return None


def golden_names(folder: Path) -> list[str]:
    """Return the names of all goldens of a folder, sorted, without reading them."""
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [below for below in folders if not below.startswith(".")]
        inside = os.path.relpath(parent, folder).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        names += [prefix + file.removesuffix(_SUFFIX) for file in files if file.endswith(_SUFFIX)]
    return sorted(names)


def golden_path(folder: Path, name: str) -> Path:
    """Return the file of a golden: folder/<name>.json, where the name's parts are separated by `/`.

    Raise `UsageError` for a name that leads out of the folder (`..`, an absolute path, a symbolic link) or that some
    file system cannot hold.
    """
    if not _NAME.fullmatch(name) or any(len(part) > _LONGEST_PART for part in name.split("/")):
        raise UsageError(
            f"'{name}' cannot name a golden; join parts of letters, digits and ._+=@,[]- by '/', none of them empty, "
            f"starting with a dot or longer than {_LONGEST_PART} characters"
        )
    path = folder / f"{name}.json"
    if _has_link(folder, name) and not os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep):
        raise UsageError(f"golden '{name}' leads out of '{folder}' by a symbolic link; replace the link with a file")
    return path


def _has_link(folder: Path, name: str) -> bool:
    """Tell whether a part of a golden's path below the folder is a symbolic link: a tenth of the time of resolving."""
    part = str(folder)  # text and not `Path`, which costs ten times as much, in every test
    for below in f"{name}.json".split("/"):
        part = f"{part}/{below}"
        if os.path.islink(part):  # noqa: PTH114 (as said above)
            return True
    return False


def name_of_test(nodeid: str) -> str:
    """Return the golden's name of a test: `tests/test_a.py::TestB::test_c[0.1]` -> `tests/test_a/TestB/test_c[0.1]`.

    Two tests never share a name: where characters had to go, a hash of what they were is appended.
    """
    file, *parts = nodeid.split("::") if "[" not in nodeid else _split(nodeid)
    return "/".join([*(_clean(part) for part in file.removesuffix(".py").split("/")), *map(_clean, parts)])


def nodeid_of_name(root: Path, name: str) -> str | None:
    """Return the node id that gives a golden its name, or None where no test file of the project does."""
    parts = name.split("/")
    for count in range(1, len(parts)):
        file = "/".join(parts[:count]) + ".py"
        nodeid = "::".join([file, *parts[count:]])
        if (root / file).is_file() and name_of_test(nodeid) == name:
            return nodeid
    return None


def _split(nodeid: str) -> list[str]:
    """Split at `::` outside the parameters, which may hold any text."""
    name, bracket, parameters = nodeid.partition("[")
    *parts, last = name.split("::")
    return [*parts, last + bracket + parameters]


def _clean(part: str) -> str:
    cleaned = _ODD.sub("-", part)
    if cleaned == part and len(part) <= _LONGEST_OF_TEST and not part.startswith("."):
        return part
    return f"{cleaned.lstrip('.')[:_LONGEST_OF_TEST]}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"
