"""Golden files of schema 1 rewritten as schema 2, every value untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goldmark.golden._files.entries import Golden
from goldmark.golden._files.folder import golden_names, golden_path
from goldmark.golden._files.format import SCHEMA, dump, from_bytes, load, seal_of, untrusted
from goldmark.golden._files.transaction import locked, replace_files

SHARED = ("SEALS", "UPDATES.md")  # lists that schema 1 kept of all goldens of a folder, which no branch could merge


def migrate(folder: Path) -> list[str]:
    """Rewrite the goldens of schema 1 in a folder, all of them or none, and return their names.

    The lists that schema 1 shared between goldens are deleted. Raise `BadGolden`, with nothing written, for a file that
    cannot be trusted.
    """
    with locked(folder):
        files = {}
        for name in golden_names(folder):
            path = golden_path(folder, name)
            document = load(path.read_bytes(), str(path))
            if document.get("schema") == 1:
                files[name] = _migrated(document, str(path))
        replace_files(folder, {f"{name}.json": content for name, content in files.items()})
        for shared in SHARED:
            (folder / shared).unlink(missing_ok=True)
    return list(files)


def golden_of_any_schema(content: bytes, where: str) -> Golden:
    """Return the golden of a file of this schema or an earlier one; raise `BadGolden` where it cannot be trusted."""
    document = load(content, where)
    return from_bytes(_migrated(document, where) if document.get("schema") == 1 else content, where)


def _migrated(document: dict[str, Any], where: str) -> bytes:
    """Return a document of schema 1 as a file of schema 2.

    Schema 1 compared all seeds, asked every metric to repeat, and did not say which test had recorded it. A metric that
    holds NaN could not gate, and loses the margin that never judged it.
    """
    if document.get("seal") != seal_of(document):
        raise untrusted(where, "its seal is broken: it was edited by hand or damaged")
    metrics = document.get("statistical")
    if not isinstance(metrics, dict) or not all(isinstance(entry, dict) for entry in metrics.values()):
        raise untrusted(where, "'statistical' is not an object of objects")
    statistical = {metric: _migrated_metric(entry) for metric, entry in metrics.items()}
    content = dump({**document, "schema": SCHEMA, "recorded_by": None, "statistical": statistical})
    from_bytes(content, where)  # raises for anything else that is wrong with it
    return content


def _migrated_metric(entry: dict[str, Any]) -> dict[str, Any]:
    values = entry.get("values")
    diverged = entry.get("guard") is None and isinstance(values, dict) and None in values.values()
    return {**entry, "check_seeds": None, "repeats": True, **({"margin": None} if diverged else {})}
