"""Runs shared by all tests of a session, and the questions that the regressions ask of them."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from goldmark._session import Session, current
from goldmark.case import Run, Verdict

pytest_plugins = ["pytester", "unchanged"]

RunsOf = Callable[..., dict[str, list[Run]]]
VerdictOf = Callable[..., Verdict]


def pytest_configure() -> None:
    """Have the programs that tests start answer to Ctrl-C: where this runs in the background they would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def store() -> Session:
    """The session that reads runs of the project's store where nothing has changed, and trains the others here.

    Each xdist worker is a process of its own; what several of them ask for is trained by the first.
    """
    return replace(current(), machines="here")


@pytest.fixture(scope="session")
def runs_of(store: Session) -> RunsOf:
    """`runs_of(case, variants=None)`: the runs of a case of the catalogue by variant."""
    from goldmark.cases import find_case
    from goldmark.experiments import obtain
    from goldmark.runs import by_variant

    read: dict[tuple[str, str], list[Run]] = {}

    def runs(case_name: str, variants: Sequence[str] | None = None) -> dict[str, list[Run]]:
        case = find_case(case_name)
        names = variants or [variant.name for variant in case.variants]
        missing = [name for name in names if (case_name, name) not in read]
        for name, runs in by_variant(obtain(case, missing, session=store).runs).items():
            read[case_name, name] = runs
        return {name: read[case_name, name] for name in names}

    return runs


@pytest.fixture(scope="session")
def verdict_of(runs_of: RunsOf) -> VerdictOf:
    """`verdict_of(case, claim, relabel={})`; relabel={"fixed": "broken"} judges broken runs as fixed."""
    from goldmark.cases import find_case

    def verdict(case_name: str, claim_name: str, relabel: Mapping[str, str] = {}) -> Verdict:
        claim = find_case(case_name).claim(claim_name)
        sources = {variant: relabel.get(variant, variant) for variant in claim.variants}
        runs = runs_of(case_name, sorted(set(sources.values())))
        return claim.verdict({variant: runs[source] for variant, source in sources.items()})

    return verdict


@pytest.fixture(scope="session")
def _loaded_libraries() -> None:
    """Load what sessions within a test would load and forget again: numpy cannot be loaded twice in a process."""
    fixture = [f"_fixture.{name}" for name in ("arguments", "trained", "check", "ending")]
    rooms = (*fixture, "_compare.metrics", "_update.apply")
    golden = [f"goldmark.golden.{name}" for name in rooms]
    for module in (*golden, "email.parser", "filelock", "numpy.random", "scipy.special"):
        importlib.import_module(module)


@pytest.fixture
def run(
    _loaded_libraries: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Run a session of tests within the test, in this process, without what only costs time.

    `once=False` runs recorded tests a second time, in a process of its own. Of all that is installed only goldmark's
    plugin is there, as looking for others takes a third of such a session: a test that is about another names it,
    as in `run("-p", "syrupy")`.
    """
    import goldmark.plugin

    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # syrupy keeps silent where it sees a worker
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would hide what a test writes anew in the same second
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    # half of a short session is the search for fixtures in pytest's own plugins
    reporting = ("legacypath", "logging", "pastebin", "setuponly", "setupplan", "subtests", "terminalprogress")
    without = ("cacheprovider", "doctest", "faulthandler", "stepwise", "threadexception", "unraisableexception")
    quiet = [part for name in (*reporting, *without) for part in ("-p", f"no:{name}")]

    def run(*arguments: str, once: bool = True) -> pytest.RunResult:
        if once:
            return pytester.runpytest_inprocess(*quiet, "--golden-once", *arguments, plugins=[goldmark.plugin])
        return pytester.runpytest_inprocess(*quiet, "-p", "goldmark", *arguments)  # the other process needs it as well

    return run


@pytest.fixture
def write(pytester: pytest.Pytester) -> Callable[..., None]:
    """Write a test file of such a session, `test_it.py` unless a path is given."""

    def write(text: str, path: str = "test_it.py") -> None:
        file = pytester.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """The golden folder of such a session."""
    return pytester.path / "golden"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that train, in random order: workers share that work, and short tests fill the end."""
    items.sort(key=lambda item: (-_minutes(item), "runs_of" not in getattr(item, "fixturenames", ())))


def _minutes(item: pytest.Item) -> float:
    """Return how long a test takes, as its mark `slow(minutes=...)` says; 0 for all that are shorter."""
    mark = item.get_closest_marker("slow")
    return float(mark.kwargs.get("minutes", 0)) if mark else 0.0
