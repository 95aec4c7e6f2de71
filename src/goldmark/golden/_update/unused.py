"""Which goldens no test uses any more, and which of them a new golden continues under another name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from goldmark.golden._compare.rounding import same_but_for_rounding
from goldmark.golden._files.devices import without_device
from goldmark.golden._files.entries import Golden, Result
from goldmark.golden._files.folder import find_golden, golden_names


@dataclass(frozen=True, kw_only=True)
class KnownTests:
    """The tests of a project as one session came to know them, by node id."""

    root: Path
    items: Collection[str]
    collectors: Collection[str]  # files and classes
    collected: Collection[str]  # those of the collectors whose contents are known
    ran: Collection[str]  # tests that passed, and so have asked for every golden that they use

    @property
    def all_ran(self) -> bool:
        """Whether nothing was skipped, deselected, failed or left out."""
        return set(self.items) <= set(self.ran) and set(self.collectors) <= set(self.collected)

    def may_use(self, recorder: str) -> bool:
        """Tell whether a test may still use what it has recorded: it exists, or may exist, and did not pass.

        A file that was not collected keeps the goldens of its tests as long as it is there.
        """
        if recorder in self.items:
            return recorder not in self.ran
        file, *rest = _parents(recorder)
        if file not in self.collected:
            return (self.root / file).exists()
        classes = (parent for parent in rest if parent not in self.collected)
        return next(classes, None) in self.collectors

    def may_hold(self, name: str) -> bool:
        """Tell whether a file that was not collected may hold the test of which a golden has its name."""
        parts = without_device(name).split("/")
        files = ("/".join(parts[:count]) + ".py" for count in range(1, len(parts)))
        return any(file not in self.collected and (self.root / file).exists() for file in files)


def _parents(nodeid: str) -> Iterator[str]:
    """Yield the file of a test and the classes around it; parameters may hold any text."""
    path, _, _ = nodeid.partition("[")
    parts = path.split("::")
    for count in range(1, max(len(parts), 2)):
        yield "::".join(parts[:count])


def unused_goldens(
    folder: Path, touched: Collection[str], tests: KnownTests, of_cases: Callable[[], Collection[str]]
) -> dict[str, Golden]:
    """Return the goldens of a folder that no test and no case uses, by name.

    Those that tests of the session have `touched` are in use, and so are those whose test is there and did not pass
    (skipped, deselected, failed, not collected). Of goldens that no test recorded, a case uses those of its variants
    (`of_cases`, asked only where there are such goldens); another is unused only where all tests ran. Raise `BadGolden`
    for a file that cannot be trusted.
    """
    used = set(map(without_device, touched))  # NAME@cuda is in use where NAME is: the test may run there next time
    rest = [name for name in golden_names(folder) if without_device(name) not in used]
    goldens = {name: golden for name in rest if (golden := find_golden(folder, name)) is not None}
    of_tests = {name: golden.recorded_by for name, golden in goldens.items() if golden.recorded_by is not None}
    unused = {name for name, recorder in of_tests.items() if not tests.may_use(recorder)}
    others = set(goldens) - set(of_tests)
    if others:
        variants = set(of_cases())
        others = {name for name in others if without_device(name) not in variants}
        gone = _of_the_cases_of(variants, others)
        unused |= gone | {name for name in others - gone if tests.all_ran and not tests.may_hold(name)}
    return {name: golden for name, golden in goldens.items() if name in unused}


def _of_the_cases_of(variants: Collection[str], names: Collection[str]) -> set[str]:
    """Return the names that begin with the name of a case, as all its goldens do."""
    cases = {variant.partition("/")[0] for variant in variants}
    return {name for name in names if name.partition("/")[0] in cases}


def renames(new: Mapping[str, Result], unused: Mapping[str, Golden]) -> dict[str, str]:
    """Return {unused golden: new golden} for new ones whose entries equal, but for rounding, those of an unused one."""
    names: dict[str, str] = {}
    for name, result in new.items():
        olds = (old for old, golden in unused.items() if old not in names and _continues(golden, result))
        old = next(olds, None)
        if old is not None:
            names[old] = name
    return names


def _continues(golden: Golden, result: Result) -> bool:
    """Tell whether a result of another test has the entries of a golden."""
    return same_but_for_rounding(golden, replace(result, recorded_by=golden.recorded_by))
