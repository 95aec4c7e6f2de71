"""What takes long and has passed is not repeated while every file of the project and the environment stay the same.

`pytest --skip-unchanged`, as `nox -s fast` has it. The bytes of all files count, data and documentation with them; of
the tests, the file of a test itself and what tests import. What reads stored runs is quick where nothing has changed,
and is always repeated, as is every test that takes less than `LONG_S`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from goldmark.fingerprint import bytes_hash_of, fingerprint

LONG_S = 0.1
_PLACE = "unchanged/passed"  # in pytest's cache: {test: [key of what it depends on, seconds]}
_READS_RUNS = "reads stored runs"  # a keyword of such tests, which reports carry from process to process


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "do not repeat long tests that passed on the same files, in the same environment and with the same options"
    parser.addoption("--skip-unchanged", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Find what has passed, once a session: the processes of xdist are told."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(_Skipping(config.workerinput.get("unchanged", [])))
    elif config.getoption("skip_unchanged"):
        if not hasattr(config, "cache"):
            raise pytest.UsageError(
                "--skip-unchanged keeps what passed in pytest's cache: leave '-p no:cacheprovider' out"
            )
        config.pluginmanager.register(_Unchanged(config))


class _Skipping:
    """Leaves tests out where they are collected."""

    def __init__(self, unchanged: list[str]) -> None:
        self.unchanged = frozenset(unchanged)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what has passed, and mark what reads stored runs."""
        left_out = [item for item in items if item.nodeid in self.unchanged]
        items[:] = [item for item in items if item.nodeid not in self.unchanged]
        config.hook.pytest_deselected(items=left_out)
        for item in items:
            if "store" in getattr(item, "fixturenames", ()):
                item.keywords[_READS_RUNS] = True


class _Unchanged(_Skipping):
    """Knows which tests have passed, and writes down which do."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.keys = keys(config.rootpath, config.invocation_params.args)
        found: Mapping[str, tuple[str, float]] = config.cache.get(_PLACE, {})  # type: ignore[union-attr]
        self.passed = {test: (key, s) for test, (key, s) in found.items() if key == self.keys.get(_file_of(test))}
        super().__init__([test for test, (_, seconds) in self.passed.items() if seconds >= LONG_S])
        self.seconds: dict[str, float] = {}
        self.others: set[str] = set()  # did not pass, or read stored runs

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a process of xdist what it need not repeat."""
        node.workerinput["unchanged"] = sorted(self.unchanged)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what a test took, and see whether all of it passed."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        if not report.passed or _READS_RUNS in report.keywords:
            self.others.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Keep what has passed."""
        for test, seconds in self.seconds.items():
            self.passed.pop(test, None)
            if test not in self.others and (key := self.keys.get(_file_of(test))):
                self.passed[test] = (key, round(seconds, 3))
        self.config.cache.set(_PLACE, self.passed)  # type: ignore[union-attr]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was left out."""
        if self.unchanged:
            seconds = sum(self.passed[test][1] for test in self.unchanged if test in self.passed)
            terminalreporter.section("unchanged")
            terminalreporter.line(
                f"{len(self.unchanged)} long tests passed before on the same files and were not repeated "
                f"({seconds:.0f} s of tests); pytest without --skip-unchanged repeats them"
            )


def keys(root: Path, options: tuple[str | os.PathLike[str], ...]) -> dict[str, str]:
    """Return {test file: key of all that its tests depend on}; empty where git cannot tell which files there are."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=False)
    files = sorted({name for name in done.stdout.split("\0") if name and (root / name).is_file()})
    tests = {name for name in files if Path(name).name.startswith("test_")}
    shared = [(name, bytes_hash_of(root / name)) for name in files if name not in tests]
    common = repr((shared, sorted(_environment()), [str(option) for option in options]))
    return {name: hashlib.sha256((common + bytes_hash_of(root / name)).encode()).hexdigest() for name in tests}


def _environment() -> Iterator[tuple[str, str]]:
    """Yield the machine and Python, all that is installed, and the variables that tests or libraries read."""
    yield from fingerprint().items()
    yield from ((one.metadata["Name"], one.version) for one in metadata.distributions())
    for name, value in os.environ.items():
        if name.startswith(("GOLDMARK_", "PYTHON", "OMP_", "MKL_", "CUDA_", "TORCH")):
            yield name, bytes_hash_of(Path(value)) if Path(value).is_file() else value


def _file_of(test: str) -> str:
    return test.partition("::")[0]
