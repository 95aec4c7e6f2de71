"""What stands behind the values of a golden: a variant of a case or a test, and the device that trained it."""

from __future__ import annotations

from typing import Any

from goldmark.case import Case, ModelCase, UsageError, recipe_of
from goldmark.cases import CASES, case_at
from goldmark.golden._files.devices import device_of, without_device
from goldmark.golden._files.entries import Golden
from goldmark.golden._project import Project
from goldmark.training import resolve_device


def nodeid_behind(project: Project, golden: Golden) -> str | None:
    """Return the node id of the test that a golden is of; None where it is of a variant of one of the project's cases.

    Raise `UsageError` where it is of neither, and where it is of a full matrix, which a project's case does not train.
    """
    case, variant = variant_behind(golden)
    try:
        (known,) = project.cases([case])
    except UsageError:
        if golden.recorded_by is None:
            raise
        return golden.recorded_by
    known.variant(variant)
    if _of_full_matrix(golden, known, variant):
        raise UsageError(
            f"golden '{golden.name}' is of the full matrix, and '{case}' here trains its small settings; train both "
            f"revisions at scale full: goldmark matrix {case} --only '*/{variant}'"
        )
    return None


def _of_full_matrix(golden: Golden, case: Case[Any], variant: str) -> bool:
    """Tell whether a golden has the recipe of a case of the catalogue at its documented size."""
    if not isinstance(case, ModelCase) or case.name not in CASES:
        return False
    full = case_at(case.name, "full")
    names = {other.name for other in full.variants}
    return variant in names and golden.exact.get("recipe") == recipe_of(full.settings_of(variant))


def variant_behind(golden: Golden) -> tuple[str, str]:
    """Return the names of the case and of the variant that a golden is called by, on whichever device."""
    case, _, variant = without_device(golden.name).partition("/")
    return case, variant


def device_behind(golden: Golden) -> str:
    """Return the kind of device that trained a golden; raise `UsageError` where this machine has none."""
    device = device_of(golden) or "cpu"
    if device == "cuda":
        try:
            resolve_device(device)
        except UsageError as error:
            reason = str(error).partition(";")[0]
            raise UsageError(
                f"golden '{golden.name}' was trained on a GPU, and {reason}; ask where there is one"
            ) from None
    return device
