"""The cases that commands know by name: the project's own, those that installed packages add, and the catalogue's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from goldmark.case import Case, UsageError, installed
from goldmark.cases import CASES
from goldmark.experiments import Experiment
from goldmark.golden._defaults import with_defaults
from goldmark.golden._project import Project

GROUP = "goldmark.cases"  # of the entry points by which a package adds cases


def cases_named(names: Iterable[str], project: Project) -> list[Case[Any]]:
    """Return the cases of those names; without names the project's, or where it has none, all that are known.

    Raise `UsageError` for an unknown name, for one that two cases have, and for a case that cannot be loaded.
    """
    own = {case.name: case for case in _own(project)}
    added = _added()
    _need_unique(own, added)
    chosen = list(dict.fromkeys(names)) or list(own) or [*CASES, *added]
    return [with_defaults(_case(name, own, added), project.defaults) for name in chosen]


def every_case(project: Project) -> list[Case[Any]]:
    """Return all cases that are known: the catalogue's, unless torch is missing, those of packages, the project's."""
    own = [case.name for case in _own(project)]
    names = [*(CASES if installed("torch") else ()), *_added(), *own]
    return cases_named(names, project) if names else []


def to_name(case: str, project: Project) -> str:
    """Return what goldmark_cases must name before the project has goldens of a case; nothing where it does already."""
    if case in {own.name for own in _own(project)}:
        return ""
    point = _added().get(case)
    return f"goldmark.cases.{case}:CASE" if point is None else point.value


def _own(project: Project) -> list[Case[Any]]:
    """Return the project's cases, without torch none that is of the catalogue, as in goldmark's own project."""
    told = [entry for entry in project.case_entries if installed("torch") or not entry.startswith("goldmark.cases.")]
    return replace(project, case_entries=tuple(told)).cases() if told else []


def _added() -> dict[str, EntryPoint]:
    """Return the entry points of packages by the names of their cases; raise `UsageError` where two have one name."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in points and point.value != points[point.name].value:
            raise UsageError(
                f"two packages add a case '{point.name}': {_of(points[point.name])} and {_of(point)}; uninstall one"
            )
        points[point.name] = point
    return points


def _need_unique(own: Mapping[str, Case[Any]], added: Mapping[str, EntryPoint]) -> None:
    """Raise `UsageError` where a name means two cases; the catalogue's own project names the catalogue's cases."""
    for name, point in added.items():
        if name in CASES:
            raise UsageError(f"{_of(point)} adds a case '{name}', as the catalogue has; it needs another name")
    for name, case in own.items():
        # without torch no case of the catalogue can be loaded, and none is the project's
        if name in CASES and not (installed("torch") and case is CASES[name]):
            raise UsageError(f"goldmark_cases names a case '{name}', as the catalogue has; give it another name")
        if name in added and not _is_same(case, _loaded(added[name])):
            raise UsageError(f"goldmark_cases names a case '{name}', as {_of(added[name])} adds; give it another name")


def _is_same(own: Case[Any], added: Case[Any]) -> bool:
    """Tell whether a package's own project names its case, whose rules are the project's there."""
    if isinstance(own, Experiment) and isinstance(added, Experiment):
        return own.function is added.function
    return own is added


def _case(name: str, own: Mapping[str, Case[Any]], added: Mapping[str, EntryPoint]) -> Case[Any]:
    if name in own:
        return own[name]
    if name in added:
        return _loaded(added[name])
    if name in CASES:
        return CASES[name]
    known = dict.fromkeys([*own, *CASES, *added])
    raise UsageError(
        f"there is no case '{name}'; there are: {', '.join(known)}; a project names its own in its pytest "
        "configuration, goldmark_cases = module:ATTRIBUTE"
    )


def _loaded(point: EntryPoint) -> Case[Any]:
    """Return the case of an entry point; raise `UsageError` where it cannot be loaded, is none, or has another name."""
    try:
        case = point.load()
    except Exception as error:  # whatever a package raises while it is imported
        raise UsageError(f"{_of(point)} adds case '{point.name}' as '{point.value}', and: {error}") from error
    if not isinstance(case, Case):
        raise UsageError(f"{_of(point)} adds '{point.value}', which is a {type(case).__name__} and no case")
    if case.name != point.name:
        raise UsageError(f"{_of(point)} adds case '{case.name}' under the name '{point.name}'; make them the same")
    return case


def _of(point: EntryPoint) -> str:
    return "a package" if point.dist is None else f"package {point.dist.name}"
