"""Stored results and how they are compared: three tiers, each with its rule in the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldmark.case import Run
    from goldmark.golden.compare import Comparison

__all__ = ["check_case"]


def check_case(runs: Sequence[Run], folder: Path) -> list[Comparison]:
    """Hold runs of a catalogue case against the goldens in a folder: a comparison per variant.

    Seeds that a golden does not have are left out. `ok` is None, with the reason, where there is nothing to compare
    with: no folder, no golden, fewer seeds than the golden, another kind of device, a user's data. A file that cannot
    be trusted fails, with what is wrong with it as the reason.
    """
    return [_check_variant(runs, variant, folder) for variant in dict.fromkeys(run.variant for run in runs)]


def _check_variant(runs: Sequence[Run], variant: str, folder: Path) -> Comparison:
    from goldmark.golden.catalogue import result_of  # the catalogue loads torch: not with the comparator
    from goldmark.golden.compare import Comparison, compare
    from goldmark.golden.folder import find_golden
    from goldmark.golden.store import BadGolden

    name = f"{runs[0].case}/{variant}"
    if runs[0].data != "generated":
        return Comparison(name, None, "a user's data", (), ())
    if not folder.is_dir():
        return Comparison(name, None, f"no folder '{folder}'", (), ())
    try:
        golden = find_golden(folder, name)
    except BadGolden as error:
        return Comparison(name, False, str(error), (), ())
    if golden is None:
        return Comparison(name, None, f"no golden in '{folder}'", (), ())
    known = [run for run in runs if golden.stream is None or str(run.seed) in golden.stream]
    if variant not in {run.variant for run in known}:
        return Comparison(name, None, "none of the golden's seeds was run", (), ())
    return compare(golden, result_of(known, variant))
