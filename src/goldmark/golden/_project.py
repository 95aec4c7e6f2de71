"""The project around the current directory: where its goldens lie, its cases and its budget, as pytest reads them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldmark._session import FOLDER
from goldmark.case import Case, UsageError, find, naming_extras
from goldmark.golden._defaults import Defaults, with_defaults

if TYPE_CHECKING:
    import pytest

# Nothing of the project is run to read its configuration, and nothing of this process is changed for it: no conftest
# files, no rewriting of assertions, no capturing; and no warning of pytest's is an error of ours.
_READ_ONLY = ("--noconftest", "--assert=plain", "--capture=no", "-Wignore")


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the pytest configuration of a project says of its goldens."""

    root: Path
    folder: Path  # of the goldens
    budget: float | None  # what the alphas of all gating metrics may add up to
    case_entries: tuple[str, ...]  # `module:ATTRIBUTE`
    runs_dir: Path = Path(FOLDER)  # the run store
    import_paths: tuple[Path, ...] = ()  # where its modules lie, beside the root
    defaults: Defaults = field(default_factory=Defaults)

    @property
    def folder_from_here(self) -> Path:
        """Return the folder of the goldens as it is called from the current directory."""
        return self.folder.relative_to(Path.cwd()) if self.folder.is_relative_to(Path.cwd()) else self.folder

    def cases(self, names: Iterable[str] = ()) -> list[Case[Any]]:
        """Return the project's cases of those names, experiments included, all without names.

        Raise `UsageError` for a project without cases, an entry that is none, and an unknown name.
        """
        if not self.case_entries:
            raise UsageError(
                f"the project in '{self.root}' has no cases: name them in its pytest configuration, goldmark_cases = "
                "module:ATTRIBUTE; goldens of tests are recorded by pytest"
            )
        known: dict[str, Case[Any]] = {}
        for entry in self.case_entries:
            case = self._load(entry)
            if case.name in known:
                raise UsageError(f"goldmark_cases names two cases '{case.name}'; give each a name of its own")
            known[case.name] = case
        chosen = dict.fromkeys(names) or known
        try:
            return [find(known, name, f"the project in '{self.root}' has no case") for name in chosen]
        except UsageError as error:
            raise UsageError(f"{error}; name others in goldmark_cases, also those of installed packages") from None

    def case_goldens(self) -> set[str]:
        """Return the names of the goldens that the project's cases may have."""
        cases = self.cases() if self.case_entries else []
        return {f"{case.name}/{variant.name}" for case in cases for variant in case.variants}

    def _load(self, entry: str) -> Case[Any]:
        """Return the case of an entry; modules are looked for where pytest looks: in the root and its `pythonpath`."""
        for path in (self.root, *self.import_paths):
            if str(path) not in sys.path:
                sys.path.insert(0, str(path))
        module, _, attribute = entry.partition(":")
        way_out = "write module:ATTRIBUTE, where a case can be imported from"
        try:
            with naming_extras(f"'{entry}' of goldmark_cases"):
                case = getattr(import_module(module), attribute)
        except UsageError:
            raise
        except Exception as error:  # whatever a module of the project raises while it is imported
            raise UsageError(f"goldmark_cases names '{entry}' ({type(error).__name__}: {error}); {way_out}") from error
        if not isinstance(case, Case):
            raise UsageError(f"goldmark_cases names '{entry}', which is a {type(case).__name__}; {way_out}")
        return with_defaults(case, self.defaults)


def find_project() -> Project:
    """Return the project whose pytest configuration is found upwards from the current directory.

    Without one the current directory is the root, with goldens in `golden` and no cases. Raise `UsageError` where
    pytest cannot read its configuration.
    """
    import pytest  # loaded here: the command line starts without it

    try:
        config = pytest.Config.fromdictargs({}, ["-p", _plugin(), *_READ_ONLY])
        given = _golden_dir_of_addopts(config)
        return project_of(config, Path.cwd() / given if given else config.rootpath / config.getini("golden_dir"))
    except (pytest.UsageError, ImportError) as error:  # a plugin that the environment names may be missing
        raise UsageError(f"pytest cannot read its configuration for '{Path.cwd()}': {error}") from error


def _plugin() -> str:
    """Return what pytest knows goldmark's plugin by: its entry point, or its module where goldmark is not installed."""
    installed = entry_points(group="pytest11", name="goldmark")
    return "goldmark" if installed else "goldmark.plugin"


def project_of(config: pytest.Config, folder: Path) -> Project:
    """Return the project that a pytest configuration describes, with its goldens in that folder."""
    return Project(
        root=config.rootpath,
        folder=folder,
        budget=_share(config.getini("golden_budget")),
        case_entries=tuple(config.getini("goldmark_cases")),
        runs_dir=Path(config.getini("goldmark_runs_dir")),
        import_paths=tuple(config.getini("pythonpath")),
        defaults=Defaults.from_ini(config.getini),
    )


def _golden_dir_of_addopts(config: pytest.Config) -> str | None:
    """Return the folder that the project always gives on pytest's command line, by ini file or environment."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--golden-dir")
    options = [*config.getini("addopts"), *shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
    folder: str | None = parser.parse_known_args(options)[0].golden_dir
    return folder


def _share(text: str | None) -> float | None:
    """Return the number that `0.04` or `4%` stands for, None for nothing."""
    if not text:
        return None
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"golden_budget is '{text}'; give what all alphas may add up to, such as 0.04 or 4%")
    return share
