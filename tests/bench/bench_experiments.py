"""What it takes to train an experiment: 24 seeds of a second on all cores beside the ideal, alone and under xdist."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from goldmark.runs import n_cores

N_SEEDS, TRAINING_S = 24, 1.0
MODEL = """
import json, os, time
from goldmark import Metric, experiment

@experiment(seeds={n_seeds}, metrics=[Metric("x", margin="2%")])
def burning(seed):
    begun = time.monotonic()
    end = time.thread_time() + {seconds}
    while time.thread_time() < end:
        sum(range(1000))
    with open({notes!r}, "a") as file:
        file.write(json.dumps([os.getpid(), begun, time.monotonic()]) + "\\n")
    return {{"x": float(seed)}}
"""
TESTS = """
from model import burning

def test_mean():
    assert burning.mean("x") > 0
"""
_QUIET = ("no:randomly", "no:cacheprovider", "no:hypothesispytest", "no:benchmark", "no:syrupy")


def session_s(folder: Path, *options: str) -> float:
    """Seconds that a test session of the project takes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    quiet = [part for plugin in _QUIET for part in ("-p", plugin)]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *quiet, *options], cwd=folder, env=environment, check=True, stdout=-3
    )
    return time.perf_counter() - started


def project(folder: Path, n_seeds: int, seconds: float) -> Path:
    """A project of two test files that ask for the same experiment."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "model.py").write_text(MODEL.format(n_seeds=n_seeds, seconds=seconds, notes=str(folder / "notes")))
    for name in ("test_one.py", "test_other.py"):
        (folder / name).write_text(TESTS)
    return folder


def gaps_s(folder: Path) -> list[float]:
    """Seconds between the end of a training and the beginning of the next one in the same process."""
    by_process: dict[int, list[tuple[float, float]]] = {}
    for process, begun, ended in map(json.loads, (folder / "notes").read_text().splitlines()):
        by_process.setdefault(process, []).append((begun, ended))
    return [begun - ended for spans in by_process.values() for (_, ended), (begun, _) in pairwise(sorted(spans))]


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_training_beside_the_ideal(tmp_path: Path, options: tuple[str, ...]) -> None:
    """At most 1.15 of seeds x seconds / cores beyond the start of the session; a second session takes a second."""
    ideal_s = N_SEEDS * TRAINING_S / n_cores()
    start_s = session_s(project(tmp_path / "short", n_cores(), 0.0), *options)
    long = project(tmp_path / "long", N_SEEDS, TRAINING_S)
    first_s, second_s = session_s(long, *options), session_s(long, *options)
    gaps = gaps_s(long)
    share = (first_s - start_s) / ideal_s
    print(
        f"\n{N_SEEDS} seeds of {TRAINING_S} s on {n_cores()} cores: {first_s - start_s:.2f} s beyond a start of "
        f"{start_s:.2f} s, {share:.3f} of the ideal; a second session {second_s:.2f} s; between two "
        f"seeds {1e3 * statistics.median(gaps):.1f} ms, at most {1e3 * max(gaps):.1f} ms"
    )
    assert len((long / "notes").read_text().splitlines()) == N_SEEDS
    assert share <= 1.15
    assert second_s <= (start_s if options else 1.0)  # two xdist workers take that long to start
