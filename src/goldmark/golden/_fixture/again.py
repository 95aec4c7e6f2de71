"""Run the tests that recorded goldens once more, in a new process, to see whether their numbers come again.

The process gets the same arguments and keeps only the recorded tests. What is cached in a process, drawn without a
seed, or ordered by hashes or by seeds does not come again there; what is cached in files does.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from goldmark._session import EVERY_S, SILENT_S
from goldmark.case import UsageError
from goldmark.golden._files.entries import Result
from goldmark.golden._fixture.session import staged_results
from goldmark.golden._record.repetition import unrepeated, with_repetition

_TESTS, _STAGED, _OUTPUT = "tests.json", "staged", "output.txt"
_SHOWN = 25  # lines: of the output of a process that failed, or of what differs
# Options of other plugins that would write over what this session has written, and how each is switched off.
_WRITERS = {"xmlpath": "--junit-xml=", "htmlpath": "--html=", "cov_source": "--no-cov"}
# Options of this and other plugins that write or judge stored results, and what they are in a second run.
_HARMLESS = {
    **dict.fromkeys(("golden_update", "golden_prune", "update_snapshots", "update_new_snapshots_only"), False),
    "snapshot_update": False,
    "disable_unused_snapshots": True,
}


def repeated(
    config: pytest.Config, nodeids: Iterable[str], results: Mapping[str, Result], say: Callable[[str], None]
) -> dict[str, Result]:
    """Return recorded results with what a second run of their tests says about each metric.

    Raise `UsageError` where that run is not green, does not come to a golden, or has other exact or close entries.
    """
    with _folder() as folder:
        prepare(folder, nodeids)
        status = _run(config, folder, len(results), say)
        output = (folder / _OUTPUT).read_text(errors="replace").splitlines()
        again = staged_results(folder / _STAGED) if status == 0 else {}
    missing = sorted(set(results) - set(again))
    if missing:
        why = f"failed, with exit status {status}" if status else f"did not come to golden '{missing[0]}'"
        raise UsageError(_lines(f"nothing written: a second run of the recorded tests {why}:", output[-_SHOWN:]))
    differing = [f"{name}: {why}" for name in sorted(results) for why in unrepeated(results[name], again[name])]
    if differing:
        what = "nothing written: a second run of the recorded tests, in a new process, gives other numbers:"
        way_out = "let them follow from seeds, hold trained metrics by `statistical`, or do not try: --golden-once"
        more = [f"and {len(differing) - _SHOWN} more"] if len(differing) > _SHOWN else []
        raise UsageError(f"{_lines(what, [*differing[:_SHOWN], *more])}\n{way_out}")
    return {name: with_repetition(result, again[name]) for name, result in results.items()}


def prepare(folder: Path, nodeids: Iterable[str]) -> None:
    """Write down in an empty folder which tests the process runs that has it as its option."""
    staging_of(str(folder)).mkdir()
    (folder / _TESTS).write_text(json.dumps(sorted(nodeids)))


def staging_of(folder: str) -> Path:
    """Return where the second run puts its results, of the folder that its option names."""
    return Path(folder) / _STAGED


class SecondRun:
    """The plugin of the process that runs the recorded tests once more: these alone, and nothing else is recorded."""

    def __init__(self, config: pytest.Config) -> None:
        self._tests = frozenset(json.loads((Path(config.option.golden_again) / _TESTS).read_text()))
        for option, value in _HARMLESS.items():
            if hasattr(config.option, option):
                setattr(config.option, option, value)

    @pytest.hookimpl(trylast=True)  # after xdist, which adds groups to the ids that reports have
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the recorded tests."""
        others = [item for item in items if item.nodeid not in self._tests]
        items[:] = [item for item in items if item.nodeid in self._tests]
        if others:
            config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Start each test from other random states: torch's is the same in every new process."""
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        if "torch" in sys.modules:
            sys.modules["torch"].seed()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="goldmark-again-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(config: pytest.Config, folder: Path, n_results: int, say: Callable[[str], None]) -> int:
    """Return the exit status of the second run, saying how far it is where it takes its time."""
    with (
        (folder / _OUTPUT).open("wb") as output,
        subprocess.Popen(  # noqa: S603 (our own command)
            _command(config, folder),
            cwd=config.invocation_params.dir,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            return _status(process, folder / _STAGED, n_results, say)
        except KeyboardInterrupt:
            raise UsageError("nothing written: the second run of the recorded tests was interrupted") from None
        finally:
            process.kill()


def _status(process: subprocess.Popen[bytes], staged: Path, n_results: int, say: Callable[[str], None]) -> int:
    start, wait_s = time.monotonic(), SILENT_S
    while True:
        try:
            return process.wait(wait_s)
        except subprocess.TimeoutExpired:
            wait_s = EVERY_S
            done, seconds = len(list(staged.iterdir())), time.monotonic() - start
            say(f"running the recorded tests once more: {done} of {n_results} goldens after {seconds:.0f} s")


def _command(config: pytest.Config, folder: Path) -> list[str]:
    """Return the session's own command: its options may decide what is collected, imported and skipped."""
    option = config.option
    here = str(config.invocation_params.dir)
    command = [sys.executable, *([] if {"", here} & set(sys.path) else ["-P"]), "-m", "pytest"]
    command += [str(argument) for argument in config.invocation_params.args]
    # in one word each: pytest would take the value of an option that it does not know yet for a path, and so for a root
    command += [f"--golden-again={folder}", f"--basetemp={folder / 'tmp'}"]
    command += [off for name, off in _WRITERS.items() if getattr(option, name, None)]
    if config.pluginmanager.has_plugin("cacheprovider"):  # the tests that failed last are the user's to keep
        command += ["-o", f"cache_dir={folder / 'cache'}"]
    if hasattr(option, "randomly_seed"):
        command += [f"--randomly-seed={random.SystemRandom().getrandbits(32)}"]
    return command


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    kept.pop("PYTEST_CURRENT_TEST", None)
    return {**kept, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}


def _lines(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines)])
