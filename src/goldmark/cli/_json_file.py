"""The option `--json FILE` and what it writes: the numbers that a command shows, for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from goldmark.case import UsageError
from goldmark.runs import finite


def need_folder(_context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file in a folder that is not there before anything is trained."""
    if path is not None and not path.resolve().parent.is_dir():
        raise UsageError(f"{option.opts[0]} {path}: there is no folder '{path.resolve().parent}'; make it first")
    return path


json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=need_folder,
    help="Write the same here as JSON too.",
)


def write_json(path: Path, **content: Any) -> None:
    """Write a document of schema 1, whole or not at all; NaN and infinities are null."""
    staged = path.with_name(f".{path.name}.tmp")
    document = finite({"schema": 1, **content})
    staged.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    staged.replace(path)
