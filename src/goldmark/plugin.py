"""The pytest plugin: the `golden` fixture, its options, and the end of a session, where goldens are written or not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.entries import update_command

if TYPE_CHECKING:
    from goldmark.golden._fixture.check import GoldenCheck
    from goldmark.golden._fixture.session import GoldenSession, Outcome
    from goldmark.golden._update.review import Review

# Nothing heavy is imported here: every pytest run of every project that has goldmark installed would pay for it.
_PASSED = pytest.StashKey[bool]()
_FAILED = pytest.StashKey[bool]()
_OUTCOMES = pytest.StashKey["list[Outcome]"]()  # there once the test has asked for the fixture
_LEDGER = pytest.StashKey["Ledger"]()
_SESSION = pytest.StashKey["GoldenSession"]()
_DESELECTED, _STAGING = "goldmark_deselected", "goldmark_staging"  # keys of what xdist carries between processes
_ROWS = 40  # of a review on the terminal


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of goldens; `--snapshot-update` itself is syrupy's."""
    group = parser.getgroup("goldmark", "golden results")
    group.addoption("--golden-dir", metavar="DIR", help="folder of the goldens (ini: golden_dir; default: golden)")
    group.addoption("--golden-reason", metavar="TEXT", help="why goldens change; no reason, no update")
    group.addoption("--golden-weaken", "--weaken", action="store_true", help="allow an update to weaken goldens")
    group.addoption("--golden-repeat", action="store_true", help="update: run golden tests twice, refuse what differs")
    group.addoption("--golden-prune", action="store_true", help="delete unused goldens after a complete green run")
    parser.addini("golden_dir", "folder of the goldens, relative to the root", default="golden")


def pytest_configure(config: pytest.Config) -> None:
    """Open the session's ledger; xdist workers stage where the controller says."""
    config.stash[_LEDGER] = _open_ledger(config)
    config.pluginmanager.register(config.stash[_LEDGER], "goldmark-ledger")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Throw away what was staged and not committed."""
    ledger = config.stash.get(_LEDGER, None)
    if ledger is not None and ledger.staging is not None and not _is_worker(config):
        shutil.rmtree(ledger.staging, ignore_errors=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[GoldenCheck]:
    """Compare numbers of this test with its golden: `golden.exact({...})`, `.close({...})`, `.statistical({...})`."""
    from goldmark.golden._fixture.check import GoldenCheck

    session = _golden_session(request.config)
    if session.updating and not request.config.option.golden_reason:
        pytest.fail(f"no golden was written: an update needs a reason: {update_command()}", pytrace=False)
    check = GoldenCheck(session, request.node.nodeid, request.node.path)
    request.node.stash[_OUTCOMES] = []
    yield check
    try:
        if request.node.stash.get(_PASSED, False):
            check.finish()
    finally:
        request.node.stash[_OUTCOMES] = check.outcomes()


def _golden_session(config: pytest.Config) -> GoldenSession:
    """Return what all checks of this session share; no session fixture, because `--golden-repeat` tears those down."""
    from goldmark.golden._fixture.session import GoldenSession

    if _SESSION not in config.stash:
        ledger, option = config.stash[_LEDGER], config.option
        config.stash[_SESSION] = GoldenSession(
            root=config.rootpath,
            folder=ledger.folder,
            staging=ledger.staging,
            updating=getattr(option, "update_snapshots", False),
            new_only=getattr(option, "update_new_snapshots_only", False),
            repeat=option.golden_repeat,
        )
    return config.stash[_SESSION]


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of what turns failures into expected ones
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Tell the fixture whether its test passed; put what became of the goldens on the report, which xdist carries."""
    report = yield
    item.stash[_FAILED] = report.failed or (report.when != "setup" and item.stash.get(_FAILED, False))
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    if _may_use_golden(item):
        outcomes = item.stash.get(_OUTCOMES, []) if report.when == "teardown" else []
        report.goldens = [_as_reported(outcome, failed=item.stash[_FAILED]).to_plain() for outcome in outcomes]
    return report


def _from_plain(values: dict[str, Any]) -> Outcome:
    from goldmark.golden._fixture.session import Outcome

    return Outcome.from_plain(values)


def _may_use_golden(item: pytest.Item) -> bool:
    """Tell whether a test has asked for the fixture, or could by `request.getfixturevalue("golden")`."""
    return _OUTCOMES in item.stash or "golden" in getattr(item, "fixturenames", ()) or _takes_request(item)


def _takes_request(item: pytest.Item) -> bool:
    """Tell whether a test or a fixture of it takes `request`; those of pytest and syrupy do, and ask for no golden."""
    info = getattr(item, "_fixtureinfo", None)  # pytest has no public way
    if info is None:
        return False
    fixtures = (fixture for definitions in info.name2fixturedefs.values() for fixture in definitions)
    foreign = (fixture for fixture in fixtures if not fixture.func.__module__.startswith(("_pytest.", "syrupy")))
    return "request" in info.argnames or any("request" in fixture.argnames for fixture in foreign)


def _as_reported(outcome: Outcome, *, failed: bool) -> Outcome:
    """Return an outcome that agrees with the test's own: a failure that the test caught or expected is not counted."""
    if failed or outcome.ok is not False:
        return outcome
    why = "not checked: it does not hold, which the test caught or expected"
    return replace(outcome, ok=None, reasons=(*outcome.reasons, why))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """With `--golden-repeat`, run a test that records goldens twice, all its fixtures anew, and show the second run."""
    if not (item.config.option.golden_repeat and _may_write(item.config) and _may_use_golden(item)):
        return None
    from _pytest.runner import runtestprotocol  # as pytest-rerunfailures does: pytest has no public way

    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=None)
    if all(report.passed for report in reports) and item.stash.get(_OUTCOMES, []):
        item.stash[_PASSED] = False
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@dataclass(eq=False)  # pytest keeps plugins in sets
class Ledger:
    """What the tests of a session did with goldens, in all its processes; it writes, or refuses to, at the end."""

    config: pytest.Config
    folder: Path
    staging: Path | None  # where results wait for the end of the session; None outside updates
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)  # node id, outcome
    skipped: int = 0  # tests with goldens, or whole files, that did not run to their end
    deselected: int = 0
    committed: bool = False  # what was recorded has become goldens
    lines: list[str] = field(default_factory=list)  # the summary of what happened at the end

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what became of the goldens of each test."""
        outcomes = getattr(report, "goldens", None)  # plain values, as xdist sends them
        if outcomes is not None:
            self.skipped += report.skipped
            self.outcomes += [(report.nodeid, _from_plain(values)) for values in outcomes]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a file that was skipped as a whole: its goldens are not unused."""
        self.skipped += report.skipped

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count tests left out by any plugin: their goldens are not unused."""
        self.deselected += len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker where to stage."""
        node.workerinput[_STAGING] = None if self.staging is None else str(self.staging)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what an xdist worker has counted that its reports do not tell."""
        self.deselected += (getattr(node, "workeroutput", None) or {}).get(_DESELECTED, 0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write all recorded goldens or none, once every test of every process has been heard."""
        if _is_worker(self.config):
            cast("Any", self.config).workeroutput[_DESELECTED] = self.deselected
            return
        try:
            if any(outcome.recorded for _, outcome in self.outcomes):
                self.lines += _commit(self, session)
            self.lines += _unused(self, session)
        except UsageError as error:  # one clear line per reason
            self.lines += str(error).splitlines()
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the project's own counts: syrupy's would say "generated" after a refusal."""
        lines = [*_counts(self.outcomes, committed=self.committed), *self.lines]
        if lines and not _is_worker(self.config):
            terminalreporter.write_sep("-", "goldens")
            for line in lines:
                terminalreporter.write_line(line)


def _open_ledger(config: pytest.Config) -> Ledger:
    given = config.option.golden_dir
    folder = config.invocation_params.dir / given if given else config.rootpath / config.getini("golden_dir")
    if _is_worker(config):
        told = cast("Any", config).workerinput[_STAGING]
        return Ledger(config, folder, None if told is None else Path(told))
    return Ledger(config, folder, Path(tempfile.mkdtemp(prefix="goldmark-")) if _may_write(config) else None)


def _may_write(config: pytest.Config) -> bool:
    """Tell whether this session was asked to record; without syrupy (`-p no:syrupy`) there are no such options."""
    option = config.option
    return getattr(option, "update_snapshots", False) or getattr(option, "update_new_snapshots_only", False)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _commit(ledger: Ledger, session: pytest.Session) -> list[str]:
    """Write the recorded goldens and return the review; nothing is written where any selected test failed."""
    from goldmark.golden._fixture.session import staged_results
    from goldmark.golden._update.apply import apply_update

    if session.exitstatus != 0 or ledger.staging is None:
        why = f"{session.testsfailed} selected tests failed" if session.testsfailed else "the session was interrupted"
        return [f"nothing written: {why}; goldens change only after a green run"]
    option = ledger.config.option
    staged = staged_results(ledger.staging)
    _refuse_shared_names(ledger.outcomes)
    lost = sorted({outcome.name for _, outcome in ledger.outcomes if outcome.recorded} - set(staged))
    if lost:
        raise UsageError(
            f"nothing written: the results of {_listed(lost)} were recorded and are not in {ledger.staging}"
        )
    review = apply_update(ledger.folder, staged, option.golden_reason or "", weaken=option.golden_weaken)
    ledger.committed = True
    return review_lines(review, ledger.folder)


def review_lines(review: Review, folder: Path) -> list[str]:
    """Return an update's review for the terminal; of a long table the beginning."""
    from goldmark.golden._update.review import terminal_table

    table = terminal_table(review.rows)
    more = [f"and {len(table) - _ROWS} more"] if len(table) > _ROWS else []
    counts = f"{review.counts()} in {folder}"
    return [counts, *table[:_ROWS], *more] if review.written else [counts]


def _refuse_shared_names(outcomes: Sequence[tuple[str, Outcome]]) -> None:
    owners: dict[str, str] = {}
    for nodeid, outcome in outcomes:
        owner = owners.setdefault(outcome.name, nodeid)
        if owner != nodeid and outcome.recorded:
            raise UsageError(
                f"nothing written: golden '{outcome.name}' is recorded by two tests, {owner} and {nodeid}; "
                "give each a name of its own: golden(name)"
            )


def _unused(ledger: Ledger, session: pytest.Session) -> list[str]:
    """Name the goldens that no test of a complete green run used, and delete them where that was asked for."""
    prune_asked = ledger.config.option.golden_prune
    partial = _why_partial(ledger, session)
    if partial and prune_asked:
        raise UsageError(f"nothing pruned: {partial}; only a complete green run knows which goldens are unused")
    if partial or not ledger.outcomes or not ledger.folder.is_dir():
        return []
    from goldmark.golden._files.folder import golden_names

    used = {outcome.name for _, outcome in ledger.outcomes}
    unused = [name for name in golden_names(ledger.folder) if name not in used]
    if prune_asked:
        from goldmark.golden._update.apply import prune

        return [f"{len(unused)} pruned: {_listed(prune(ledger.folder, used))}"] if unused else ["nothing to prune"]
    return [f"{len(unused)} unused: {_listed(unused)} (delete with --golden-prune)"] if unused else []


def _why_partial(ledger: Ledger, session: pytest.Session) -> str | None:
    """Return why this run does not show which goldens are in use, or None for a complete green one."""
    config, option = ledger.config, ledger.config.option
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    here = config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR
    below = here and config.invocation_params.dir != config.rootpath
    reasons = {
        "the run was not green": session.exitstatus != 0,
        "tests were selected on the command line": named or below or option.keyword or option.markexpr,
        "tests were ignored": option.ignore or option.ignore_glob or option.collectonly or getattr(option, "lf", False),
        f"{ledger.deselected} tests were deselected": ledger.deselected,
        f"{ledger.skipped} tests were skipped": ledger.skipped,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _counts(outcomes: Sequence[tuple[str, Outcome]], *, committed: bool) -> list[str]:
    """Return how many goldens hold, failed, were not checked and were recorded, and the reasons of each."""
    touched = [outcome for _, outcome in outcomes]
    counts = {
        "hold": sum(outcome.ok is True and not outcome.recorded for outcome in touched),
        "failed": sum(outcome.ok is False for outcome in touched),
        "not checked": sum(outcome.ok is None for outcome in touched),
        "recorded" if committed else "not recorded": sum(
            outcome.ok is True and outcome.recorded for outcome in touched
        ),
    }
    reasons: dict[str, list[str]] = {}
    for outcome in touched:
        for reason in outcome.reasons:
            reasons.setdefault(reason, []).append(outcome.name)
    summary = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return [summary, *(f"{why}: {_listed(names)}" for why, names in reasons.items())] if summary else []


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
