"""The end of a test session: which goldens no test uses any more, and what becomes of them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.entries import Golden, Result, listed
from goldmark.golden._files.folder import golden_names
from goldmark.golden._project import project_of
from goldmark.golden._update.unused import KnownTests, renames, unused_goldens

_SELECTING = ("-k", "-m", "--deselect", "--ignore")


def unused_lines(config: pytest.Config, folder: Path, tests: KnownTests, touched: Collection[str]) -> list[str]:
    """Return what a session says of goldens that no test uses: nothing where not all tests of the project were asked.

    Where goldens are missing as well, a test may have a new name, and the way out is named.
    """
    if why_partial(config):
        return []
    try:
        unused = list(_unused(config, folder, tests, touched))
    except UsageError as error:  # of a golden that no test has read, so that none has failed for it
        return [f"which goldens are unused is not known: {error}"]
    if not unused:
        return []
    lines = [f"{len(unused)} unused: {listed(unused)} (delete with --golden-prune)"]
    missing = sorted(set(touched) - set(golden_names(folder)))
    if missing:
        names = shlex.join([unused[0], missing[0]]) if len(unused) == len(missing) == 1 else "OLD NEW"
        lines.append(f"if a test was renamed, its golden moves with it: goldmark golden mv {names}")
    return lines


def pruned(
    config: pytest.Config, folder: Path, tests: KnownTests, touched: Collection[str], *, green: bool
) -> list[str]:
    """Delete the goldens that no test uses and return what was deleted; raise `UsageError` unless all tests passed."""
    from goldmark.golden._update.apply import prune  # loaded here: numpy comes with it, which no other end needs

    why = why_partial(config) if green else "the run was not green"
    if why:
        raise UsageError(f"nothing pruned: {why}; only a complete green run knows which goldens are unused")
    unused = _unused(config, folder, tests, touched) if folder.is_dir() else {}
    return [f"{len(unused)} pruned: {listed(prune(folder, unused))}"] if unused else ["nothing to prune"]


def rename_offers(
    config: pytest.Config, folder: Path, tests: KnownTests, touched: Collection[str], recorded: Mapping[str, Result]
) -> list[str]:
    """Return a line for each result, about to become a golden, whose entries are those of an unused one."""
    stored = set(golden_names(folder)) if folder.is_dir() else set()
    new = {name: result for name, result in recorded.items() if name not in stored}
    if not new or not stored or _hides_tests(config):
        return []
    try:
        pairs = renames(new, _unused(config, folder, tests, touched))
    except UsageError:  # said by the list of unused ones
        return []
    return [
        f"{name} has the entries of {old}, which no test uses; if it was renamed, its history is kept by: "
        f"goldmark golden mv {shlex.join([old, name])}"
        for old, name in pairs.items()
    ]


def _unused(config: pytest.Config, folder: Path, tests: KnownTests, touched: Collection[str]) -> dict[str, Golden]:
    return unused_goldens(folder, touched, tests, project_of(config, folder).case_goldens)


def why_partial(config: pytest.Config) -> str | None:
    """Return why a run is not one of all tests of the project, or None for a complete one.

    What the project itself leaves out by its ini file (marks, `testpaths`) does not make a run partial: the goldens of
    tests that did not run are in use.
    """
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    here = config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR
    below = here and config.invocation_params.dir != config.rootpath
    chosen = any(str(argument).startswith(_SELECTING) for argument in config.invocation_params.args)
    if named or below or chosen:
        return "tests were selected on the command line"
    return "not all tests were run" if config.option.collectonly or _hides_tests(config) else None


def _hides_tests(config: pytest.Config) -> bool:
    """Tell whether files do not show their tests under their own ids: with `--lf`, and `--count` (pytest-repeat)."""
    return bool(getattr(config.option, "lf", False)) or getattr(config.option, "count", 1) not in (1, None)
