"""The part of the plugin that has experiments trained: the session of the run store, progress, and a summary."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from goldmark._session import EVERY_S, Session, Tally, use
from goldmark.case import UsageError

JOBS = "processes that train experiments, at most one per core (default: all cores; 0: this process, for a debugger)"
_PACKAGE = Path(__file__).parents[2]
_TALLY = "goldmark_tally"  # key of what xdist carries from a worker to the controller


def n_jobs(text: str) -> int:
    """Return a number of processes, for pytest's parser; raise `ArgumentTypeError` for what is none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: 1, 2, ... or 0 for this one")
    return int(text)


def session_of(config: pytest.Config, *, recording: bool) -> Session:
    """Return the session in which the tests of this process train: one with those of all its xdist workers.

    It reads no runs of earlier sessions where goldens are recorded, nor where they are trained once more for that.
    """
    option, worker = config.option, getattr(config, "workerinput", None)
    folder = config.rootpath / config.getini("goldmark_runs_dir")
    return Session(
        root=config.rootpath,
        folder=folder,
        fresh=option.goldmark_fresh or recording,
        jobs=option.experiment_jobs,
        reverse=bool(option.golden_again),
        say=_Terminal(config, folder).say,
        # not from the environment: a session within a test would find there the one that it runs in
        **({} if worker is None else {"token": worker["testrunuid"]}),
    )


class _Terminal:
    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config, self._said = config, folder / "said"

    def say(self, line: str) -> None:
        """Print a line of progress past the capture of the test that waits, of all xdist workers one at a time.

        They have no terminal, but the stream of errors of the process that started them.
        """
        plugins = self._config.pluginmanager
        terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            if hasattr(self._config, "workerinput"):
                self._say_beside_others(line)
            elif terminal is not None:
                terminal.write_line(f"goldmark: {line}")
                terminal.flush()

    def _say_beside_others(self, line: str) -> None:
        now = time.time()
        if not self._said.exists() or now - self._said.stat().st_mtime > EVERY_S / 2:
            self._said.touch()
            sys.stderr.write(f"goldmark: {line}\n")
            sys.stderr.flush()


class Training:
    """The plugin that opens the session, adds up what its processes read and trained, and tells it at the end."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config, self._session = config, session
        self._before = use(session)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Leave our own lines out of what is shown where goldmark was used wrongly: the mistake is not there."""
        if call.excinfo is not None and isinstance(call.excinfo.value, UsageError):
            entry, last = call.excinfo.value.__traceback__, None
            while entry is not None:
                if not Path(entry.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE):
                    last = entry
                entry = entry.tb_next
            if last is not None:
                last.tb_next = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what an xdist worker counts."""
        plain = (getattr(node, "workeroutput", None) or {}).get(_TALLY)
        if plain is not None:
            self._session.tally.add(Tally.from_plain(plain))

    def pytest_sessionfinish(self) -> None:
        """Hand over what this process counts, where it is an xdist worker; end the processes that wait for work."""
        if hasattr(self._config, "workerinput"):
            cast("Any", self._config).workeroutput[_TALLY] = self._session.tally.to_plain()
        if "goldmark.experiments" in sys.modules:  # else none was started, and nothing is loaded for it
            from goldmark.experiments import close_workers

            close_workers()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was read, what was trained and why, and which seeds failed."""
        lines = self._session.tally.lines()
        if lines and not hasattr(self._config, "workerinput"):
            terminalreporter.write_sep("-", "experiments")
            for line in lines:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Put back the session that was in use, where tests run within a test."""
        use(self._before)
