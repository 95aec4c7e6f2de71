"""The pytest plugin: the `golden` fixture, its options, and the end of a session, where goldens are written or not."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.entries import update_command
from goldmark.golden._fixture.preflight import preflight  # noqa: F401 - a fixture
from goldmark.golden._fixture.summary import as_reported, counts_of
from goldmark.golden._fixture.training import JOBS, Training, n_jobs, session_of
from goldmark.golden._fixture.users import MARK, may_use_golden, uses_golden

if TYPE_CHECKING:
    from goldmark.golden._fixture.check import GoldenCheck
    from goldmark.golden._fixture.session import GoldenSession, Outcome
    from goldmark.golden._update.unused import KnownTests

# Nothing heavy is imported here: every pytest run of every project that has goldmark installed would pay for it.
_PASSED = pytest.StashKey[bool]()
_FAILED = pytest.StashKey[bool]()
_CHECK = pytest.StashKey["GoldenCheck"]()  # there once the test has asked for the fixture
_OUTCOMES = pytest.StashKey["list[Outcome]"]()  # likewise
_MESSAGE = pytest.StashKey[bool]()  # there where goldens failed the test
_LEDGER = pytest.StashKey["Ledger"]()
_SESSION = pytest.StashKey["GoldenSession"]()
_COLLECTION, _STAGING = "goldmark_collection", "goldmark_staging"  # keys of what xdist carries between processes

INI_OPTIONS = (  # numbers are text: pytest has number options only from 8.4 on
    ("golden_dir", "folder of the goldens, relative to the root", "golden"),
    ("golden_margin", "margin of metrics for which a test gives none, such as 2%", None),
    ("golden_alpha", "false-alarm rate of each gating metric for which a test gives none", "0.001"),
    ("golden_rel", "relative tolerance of close numbers for which a test gives none", "1e-9"),
    ("golden_whole", "entries of the largest array that a golden holds whole; of others it holds a summary", "10000"),
    ("golden_device", "kind of device that tests train on: cpu, cuda or mps", "cpu"),
    ("goldmark_runs_dir", "folder of finished runs of experiments, relative to the root", ".goldmark"),
    ("golden_budget", "what the alphas of all gating metrics may add up to, such as 4%; none: no limit", None),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of goldens; `--snapshot-update` is that of syrupy or pytest-snapshot, and read where it is."""
    group = parser.getgroup("goldmark", "golden results")
    group.addoption("--golden-dir", metavar="DIR", help="folder of the goldens (ini: golden_dir; default: golden)")
    group.addoption("--golden-update", action="store_true", help="record the goldens of all selected tests anew")
    group.addoption("--golden-reason", metavar="TEXT", help="why goldens change; no reason, no update")
    group.addoption("--golden-partial", action="store_true", help="allow checks with fewer seeds than goldens need")
    group.addoption("--golden-strict", action="store_true", help="fail what is undecided: more seeds would tell")
    group.addoption("--golden-guards", action="store_true", help="train guards anew: goldens must still see them")
    group.addoption("--golden-weaken", "--weaken", action="store_true", help="allow an update to weaken goldens")
    group.addoption("--golden-once", action="store_true", help="update: do not run the recorded tests a second time")
    group.addoption("--golden-again", metavar="FOLDER", help=argparse.SUPPRESS)  # of that second run, which reads it
    group.addoption("--golden-prune", action="store_true", help="delete unused goldens after a complete green run")
    group.addoption("--experiment-jobs", type=n_jobs, metavar="N", help=JOBS)
    group.addoption("--fresh", dest="goldmark_fresh", action="store_true", help="train experiments anew, read no runs")
    for name, says, default in INI_OPTIONS:
        parser.addini(name, says, default=default)
    parser.addini("goldmark_cases", "cases whose goldens the command line updates: module:ATTRIBUTE", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Open the session's ledger; xdist workers stage where the controller says.

    Raise `pytest.UsageError` for an update without a reason, and for a reason without an update.
    """
    if config.option.golden_again:
        from goldmark.golden._fixture.again import SecondRun

        config.pluginmanager.register(SecondRun(config), "goldmark-second-run")
    reason = (config.option.golden_reason or "").strip()
    if config.option.golden_update and not reason:
        raise pytest.UsageError(f"no golden was written: an update needs a reason: {update_command()}")
    if reason and not _may_write(config):
        raise pytest.UsageError(
            f"--golden-reason is the reason of an update, and none was asked for: {update_command()}"
        )
    config.addinivalue_line("markers", MARK)
    config.stash[_LEDGER] = _open_ledger(config)
    config.pluginmanager.register(config.stash[_LEDGER], "goldmark-ledger")
    training = Training(config, session_of(config, recording=_may_write(config)))
    config.pluginmanager.register(training, "goldmark-training")


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the fixture, so that `-m golden` selects them."""
    for item in filter(uses_golden, items):
        item.add_marker("golden")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Throw away what was staged and not committed."""
    ledger = config.stash.get(_LEDGER, None)
    if ledger is not None and ledger.staging is not None and not _is_worker(config) and not ledger.again:
        shutil.rmtree(ledger.staging, ignore_errors=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[GoldenCheck]:
    """Compare numbers of this test with its golden: `golden.exact({...})`, `.close({...})`, `.statistical({...})`."""
    from goldmark.golden._fixture.body import address_of, is_repeated, own_nodeid, refuse_shared_id
    from goldmark.golden._fixture.check import GoldenCheck

    item, session = request.node, _golden_session(request.config)
    if session.staging is not None and is_repeated(item):
        pytest.fail("no golden was written: pytest-repeat runs this test several times; record it once", pytrace=False)
    refuse_shared_id(item)
    nodeid = own_nodeid(item)
    check = GoldenCheck(session, nodeid, item.path, address=address_of(item, nodeid))
    item.stash[_CHECK], item.stash[_OUTCOMES] = check, []
    item.stash[_PASSED] = item.stash[_MESSAGE] = False  # of an earlier run (pytest-rerunfailures)
    yield check
    _end_of(item, check)


def _end_of(item: pytest.Item, check: GoldenCheck) -> None:
    """Stage what a test that passed has recorded; where its body never ran, say what its fixtures have seen."""
    try:
        lines = [] if check.over else check.judge(complete=False)
        if lines:
            pytest.fail("\n".join(lines), pytrace=False)
        if item.stash[_PASSED]:
            check.finish()
    finally:
        item.stash[_OUTCOMES] = check.outcomes()
        if item.config.getoption("xmlpath", None):
            from goldmark.golden._fixture.properties import replace_properties

            replace_properties(item, check.compared())
        del item.stash[_CHECK]  # with all that it holds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Compare a test's goldens after its body: what differs fails it, or is added to what the body raised."""
    try:
        answer = yield
    except Exception as error:
        _judge(item, error)
        raise
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        _judge(item, error)
        raise
    _judge(item, None)
    return answer


def _judge(item: pytest.Item, raised: BaseException | None) -> None:
    check = item.stash.get(_CHECK, None)
    if check is None or check.over:
        return
    from goldmark.golden._fixture.body import fail_or_add, raised_in

    raised = raised or raised_in(item)
    lines = check.judge(complete=raised is None)
    if lines:
        item.stash[_MESSAGE] = True
        fail_or_add(item, lines, raised)


def _golden_session(config: pytest.Config) -> GoldenSession:
    """Return what all checks of this session share."""
    from goldmark.golden._defaults import Defaults
    from goldmark.golden._fixture.session import GoldenSession

    if _SESSION not in config.stash:
        ledger, option = config.stash[_LEDGER], config.option
        config.stash[_SESSION] = GoldenSession(
            root=config.rootpath,
            folder=ledger.folder,
            staging=ledger.staging,
            updating=_updating(config),
            new_only=not _updating(config) and _may_write(config),
            again=ledger.again,
            partial=option.golden_partial,
            strict=option.golden_strict,
            guards=option.golden_guards,
            every_drift=config.get_verbosity() >= 2,
            defaults=Defaults.from_ini(config.getini),
        )
    return config.stash[_SESSION]


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of what turns failures into expected ones
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Tell the fixture whether its test passed; put what became of the goldens on the report, which xdist carries."""
    report = yield
    if item.stash.get(_MESSAGE, False):
        from goldmark.golden._fixture.body import one_line

        one_line(report)
    item.stash[_FAILED] = report.failed or (report.when != "setup" and item.stash.get(_FAILED, False))
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    if _OUTCOMES in item.stash or may_use_golden(item):
        outcomes = item.stash.get(_OUTCOMES, []) if report.when == "teardown" else []
        failed, passed = item.stash[_FAILED], item.stash.get(_PASSED, False)
        report.goldens = [as_reported(outcome, failed=failed, passed=passed).to_plain() for outcome in outcomes]
    return report


def _from_plain(values: dict[str, Any]) -> Outcome:
    from goldmark.golden._fixture.session import Outcome

    return Outcome.from_plain(values)


@dataclass(eq=False)  # pytest keeps plugins in sets
class Ledger:
    """What the tests of a session did with goldens, in all its processes; it writes, or refuses to, at the end."""

    config: pytest.Config
    folder: Path
    staging: Path | None  # where results wait for the end of the session; None outside updates
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)  # node id, outcome
    started: set[str] = field(default_factory=set)  # node ids of tests with goldens
    items: set[str] = field(default_factory=set)  # node ids of all tests, selected or not
    collectors: set[str] = field(default_factory=set)  # of files and classes
    collected: set[str] = field(default_factory=set)  # of those whose contents are known
    ran: set[str] = field(default_factory=set)  # of the tests that passed
    committed: bool = False  # what was recorded has become goldens
    lines: list[str] = field(default_factory=list)  # the summary of what happened at the end

    @property
    def again(self) -> bool:
        """Whether this is the second run of tests that recorded goldens: it stages, and writes nothing."""
        return bool(self.config.option.golden_again)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what became of the goldens of each test; of one that is run again (pytest-rerunfailures) the last."""
        if report.when == "call" and report.passed:
            self.ran.add(report.nodeid)
        outcomes = getattr(report, "goldens", None)  # plain values, as xdist sends them
        if outcomes is None:
            return
        if report.when == "setup" and report.nodeid in self.started:
            self.outcomes = [(nodeid, outcome) for nodeid, outcome in self.outcomes if nodeid != report.nodeid]
        self.started.add(report.nodeid)
        self.outcomes += [(report.nodeid, _from_plain(values)) for values in outcomes]

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Note what there is, before anything is selected: the goldens of a test that does not run are not unused."""
        report = yield
        if report.passed:
            self.collected.add(collector.nodeid)
            for node in report.result:
                (self.items if isinstance(node, pytest.Item) else self.collectors).add(node.nodeid)
        return report

    def tests(self) -> KnownTests:
        """Return the tests as this session came to know them."""
        from goldmark.golden._update.unused import KnownTests

        ungrouped = {nodeid.rpartition("@")[0] for nodeid in self.ran - self.items}  # xdist appends a test's group
        return KnownTests(
            root=self.config.rootpath,
            items=self.items,
            collectors=self.collectors,
            collected=self.collected,
            ran=self.ran | ungrouped,
        )

    def touched(self) -> set[str]:
        """Return the names of the goldens that tests have asked for."""
        return {outcome.name for _, outcome in self.outcomes}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker where to stage."""
        node.workerinput[_STAGING] = None if self.staging is None else str(self.staging)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what an xdist worker has collected."""
        for name, nodeids in (getattr(node, "workeroutput", None) or {}).get(_COLLECTION, {}).items():
            getattr(self, name).update(nodeids)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write all recorded goldens or none, once every test of every process has been heard."""
        if _is_worker(self.config):
            names = ("items", "collectors", "collected") if self.folder.is_dir() else ()
            output = {name: sorted(getattr(self, name)) for name in names}
            cast("Any", self.config).workeroutput[_COLLECTION] = output
        if _is_worker(self.config) or self.again:
            return
        try:
            if any(outcome.recorded for _, outcome in self.outcomes):
                self.lines += _commit(self, session)
            self.lines += _unused(self, session)
        except UsageError as error:  # one clear line per reason
            self.lines += str(error).splitlines()
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print how many goldens hold, and what was not compared, recorded or used."""
        lines = [*counts_of(self.outcomes, committed=self.committed), *self.lines]
        if self.outcomes and _snapshots_update(self.config) and self.staging is None:
            lines.append(
                f"compared, not recorded: --snapshot-update came without a reason; to record: {update_command()}"
            )
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
    if config.option.golden_again:
        from goldmark.golden._fixture.again import staging_of

        return Ledger(config, folder, staging_of(config.option.golden_again))
    return Ledger(config, folder, Path(tempfile.mkdtemp(prefix="goldmark-")) if _may_write(config) else None)


def _updating(config: pytest.Config) -> bool:
    """Tell whether all goldens are recorded: by our own switch, or with a reason by that of other snapshots."""
    option = config.option
    return option.golden_update or option.golden_again or (bool(option.golden_reason) and _snapshots_update(config))


def _may_write(config: pytest.Config) -> bool:
    """Tell whether this session records: with syrupy's `--snapshot-update-new-only` and a reason, what is missing."""
    new_only = getattr(config.option, "update_new_snapshots_only", False)
    return _updating(config) or (bool(config.option.golden_reason) and new_only)


def _snapshots_update(config: pytest.Config) -> bool:
    """Tell whether syrupy, or pytest-snapshot, was asked to update; neither need be there."""
    return getattr(config.option, "update_snapshots", False) or getattr(config.option, "snapshot_update", False)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _commit(ledger: Ledger, session: pytest.Session) -> list[str]:
    """Write the recorded goldens and return the review; nothing is written where any selected test failed."""
    from goldmark.golden._fixture.recording import write_recorded

    if session.exitstatus != 0 or ledger.staging is None:
        why = f"{session.testsfailed} selected tests failed" if session.testsfailed else "the session was interrupted"
        return [f"nothing written: {why}; goldens change only after a green run"]
    lines = write_recorded(ledger.config, ledger.folder, ledger.staging, ledger.outcomes, ledger.tests())
    ledger.committed = True
    return lines


def _unused(ledger: Ledger, session: pytest.Session) -> list[str]:
    """Name the goldens that no test uses any more, and delete them where that was asked for."""
    from goldmark.golden._fixture.ending import pruned, unused_lines

    if ledger.config.option.golden_prune:
        return pruned(ledger.config, ledger.folder, ledger.tests(), ledger.touched(), green=session.exitstatus == 0)
    there = ledger.folder.is_dir()
    return unused_lines(ledger.config, ledger.folder, ledger.tests(), ledger.touched()) if there else []
