"""The project that `goldmark golden` acts on: the one around the current directory, or with a folder that is given."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from goldmark.case import UsageError
from goldmark.golden._files.entries import Golden, listed
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._project import Project, find_project


def _around_here(_context: click.Context, _option: click.Parameter, folder: Path | None) -> Project:
    project = find_project()
    return project if folder is None else replace(project, folder=Path.cwd() / folder)


project_option = click.option(
    "--golden-dir",
    "project",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_around_here,
    help="Folder of the goldens; by default that of the project's pytest configuration.",
)


def need_no_seeds(name: str, seeds: int | None) -> None:
    """Raise `UsageError` where seeds are asked for of a golden that a test trains."""
    if seeds is not None:
        raise UsageError(f"golden '{name}' is of a test, which trains the seeds that it has; leave --seeds out")


def shown(folder: Path) -> str:
    """Return a folder as it is called from here: relative where it lies below."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def need_names(project: Project) -> list[str]:
    """Return the names of the project's goldens; raise `UsageError` where it has none."""
    names = golden_names(project.folder) if project.folder.is_dir() else []
    if not names:
        raise UsageError(
            f"no goldens in '{shown(project.folder)}'; name their folder with --golden-dir or the ini option "
            "golden_dir, or record them with pytest or 'update'"
        )
    return names


def need_golden(project: Project, name: str) -> Golden:
    """Return a golden of the project; raise `UsageError` with the names that there are where it does not exist."""
    names = need_names(project)
    golden = find_golden(project.folder, name)
    if golden is None:
        raise UsageError(f"there is no golden '{name}' in '{shown(project.folder)}'; it has: {listed(names, 20)}")
    return golden
