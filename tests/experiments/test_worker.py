"""A worker trains seeds of an experiment in a fresh process, and says what became of them."""

from __future__ import annotations

import importlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from goldmark.case import UsageError
from goldmark.experiments._results import ResultError, results_of
from goldmark.experiments._worker import Worker
from goldmark.runs import read_run, write_run
from goldmark.runs._ingredients import changed

MODULE = """
import contextlib, os, subprocess, sys, time
from dataclasses import dataclass
from pathlib import Path
from goldmark import Metric, experiment
from .settings import FACTOR

print("imported")
METRICS = [Metric("rmse", margin="2%", better="lower"), Metric("seconds", margin=None)]

@experiment(seeds=2, metrics=METRICS)
def worked(seed, *, what="returned", lr=0.5):
    print("seed", seed, "of", what)
    return globals()[what](seed, lr)

def returned(seed, lr):
    return {"rmse": seed * lr * FACTOR, "seconds": 1}

def yielded(seed, lr):
    for epoch in range(3):
        yield {"rmse": epoch * lr}
    return {"rmse": 7.0, "seconds": 2.0}

def diverged(seed, lr):
    return {"rmse": float("nan"), "seconds": 1.0}

def lacking(seed, lr):
    return {"rmse": 1.0}

def raised(seed, lr):
    raise ValueError("no such rate")

def exited(seed, lr):
    forked(seed, lr)
    os._exit(3)

def left(seed, lr):
    sys.exit("enough")

def killed(seed, lr):
    os.kill(os.getpid(), 9)

def surroundings(seed, lr):
    variables = [os.environ.get(name) for name in ("PYTEST_CURRENT_TEST", "OMP_NUM_THREADS", "NPROC")]
    raise RuntimeError(repr([os.getcwd(), *variables, sys.flags.hash_randomization, "pytest" in sys.modules]))

def machine(seed, lr):
    with contextlib.suppress(OSError):  # macOS has none
        subprocess.run("lscpu", check=True)
    return {"rmse": 1.0, "seconds": 1.0}

def program(seed, lr):
    subprocess.run([sys.executable, "--version"], check=True)
    return {"rmse": 1.0, "seconds": 1.0}

def forked(seed, lr):
    if (child := os.fork()) == 0:
        time.sleep(60)
    Path("pids").write_text(f"{os.getpid()} {child}")
    return {"rmse": 1.0, "seconds": 1.0}

def waited(seed, lr):
    forked(seed, lr)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A package in a folder that is on the path: its training function is of a module with a relative import."""
    root = tmp_path_factory.mktemp("worked").resolve()
    (root / "worked_package").mkdir()
    (root / "worked_package" / "__init__.py").touch()
    (root / "worked_package" / "settings.py").write_text("FACTOR = 2\n")
    (root / "worked_package" / "training.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield root


@pytest.fixture(scope="module")
def worked(root):
    """The experiment, with a variant for every way of the function."""
    worked = importlib.import_module("worked_package.training").worked
    for what in ("yielded", "diverged", "lacking", "raised", "exited", "left", "killed", "forked", "waited"):
        worked.variant(what, what=what)
    for what in ("surroundings", "machine", "program"):
        worked.variant(what, what=what)
    return worked


@pytest.fixture(scope="module")
def worker(worked, root):
    """A worker for all seeds after which one lives on."""
    worker = Worker(worked, root)
    yield worker
    worker.close()


@pytest.fixture
def own_worker(worked, root):
    """A worker that may die."""
    worker = Worker(worked, root)
    yield worker
    worker.close()
    (root / "pids").unlink(missing_ok=True)


def pids_of(root):
    """Wait until a worker says which process it is and which it forked, for a minute at most."""
    file, end = root / "pids", time.monotonic() + 60
    while not file.exists() or len(file.read_text().split()) < 2:
        assert time.monotonic() < end, "the worker does not say which processes there are"
        time.sleep(0.01)
    pids = [int(pid) for pid in file.read_text().split()]
    file.unlink()
    return pids


def gone(pid):
    """Wait until a process has ended, for seconds at most; one that nobody waited for is a zombie."""
    for _ in range(500):
        try:
            if " Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_run_holds_what_the_function_returned(worker, tmp_path):
    """Metrics as floats, the arguments, nothing of an error; a stored run is read as it was."""
    run = worker.train("default", 3)
    assert ({"rmse": 3.0, "seconds": 1.0}, (), None, "") == (run.metrics, run.history, run.error, run.output)
    assert {"what": "returned", "lr": 0.5} == run.exact["recipe"]
    assert ("worked", "default", 3, "seed 3") == (run.case, run.variant, run.seed, run.stream)
    write_run(tmp_path / "run.json", run)
    assert run == read_run(tmp_path / "run.json")


def test_a_function_that_yields_gives_a_curve_and_what_it_returns(worker):
    """Every row is counted as an epoch, and the returned dict are the metrics."""
    run = worker.train("yielded", 0)
    assert [(1, 0.0), (2, 0.5), (3, 1.0)] == [(row["epoch"], row["rmse"]) for row in run.history]
    assert {"rmse": 7.0, "seconds": 2.0} == run.metrics


def test_a_metric_that_is_not_finite_is_an_error_with_metrics(worker):
    """A guard may have such a run, so that its numbers are kept."""
    run = worker.train("diverged", 0)
    assert run.error == "diverged: rmse is nan"
    assert math.isnan(run.metrics["rmse"])
    assert "seed 0 of diverged\n" == run.output


def test_a_result_that_is_not_as_declared_is_an_error_of_its_run(worker):
    """The metric is named; the worker lives on."""
    run = worker.train("lacking", 0)
    assert (
        "it returned {'rmse': 1.0} without 'seconds'; the experiment declares {'rmse': ..., 'seconds': ...}"
        == run.error
    )
    assert worker.alive


def test_a_run_that_started_a_program_is_trained_each_time(worker, root):
    """What a program reads is seen by nobody, and no data is named; one that tells of the machine reads none."""
    assert changed(worker.train("machine", 0), root) is None
    why = changed(worker.train("program", 0), root)
    assert f"it starts {sys.executable}; name what that reads: data=[...]" == why


ENDS = {
    "raised": ("ValueError: no such rate", 'raise ValueError("no such rate")'),
    "exited": ("its process ended with exit status 3", "seed 0 of exited"),
    "left": ("SystemExit: enough", "seed 0 of left"),
    "killed": ("its process was killed by SIGKILL, as where memory runs out", "seed 0 of killed"),
}


@pytest.mark.parametrize("variant", ENDS)
def test_a_crash_is_a_run_with_its_error_and_what_was_printed(own_worker, variant):
    """Whatever ends it, the answer comes, without metrics; the worker is dead, and says so if it is asked again."""
    started = time.monotonic()
    run = own_worker.train(variant, 0)
    assert time.monotonic() - started < 30  # what a dead one forked lives for 60 s, and is not waited for
    error, printed = ENDS[variant]
    assert (error, {}, False) == (run.error, run.metrics, own_worker.alive)
    assert printed in run.output
    assert own_worker.train("default", 0).error is not None


def test_nothing_of_this_process_reaches_a_worker_but_what_is_listed(own_worker, root):
    """It works in the root of the project with one thread, fixed hashes and none of the variables of this session."""
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert f"RuntimeError: ['{root}', None, '1', '1', 0, False]" == own_worker.train("surroundings", 0).error


def test_a_module_that_cannot_be_imported_is_said_by_every_run(worked, root):
    """The error of the import, with its trace."""
    settings = root / "worked_package" / "settings.py"
    settings.write_text("OTHER = 2\n")
    worker = Worker(worked, root)
    run = worker.train("default", 0)
    settings.write_text("FACTOR = 2\n")
    assert run.error.startswith("it cannot be imported: ImportError: cannot import name 'FACTOR'")
    assert "from .settings import FACTOR" in run.output
    assert not worker.alive


def test_closing_a_worker_ends_what_a_seed_left_behind(root, own_worker):
    """A seed that has come to its end may have forked a process that has not."""
    assert own_worker.train("forked", 0).error is None
    own_worker.close()
    assert [True, True] == [gone(pid) for pid in pids_of(root)]


def test_closing_a_worker_ends_the_seed_that_it_trains(root, own_worker):
    """The run says so, to whoever waits for it."""
    runs = []
    training = threading.Thread(target=lambda: runs.append(own_worker.train("waited", 0)))
    training.start()
    pids = pids_of(root)
    own_worker.close()
    training.join()
    assert [True, True] == [gone(pid) for pid in pids]
    assert ["its process was killed by SIGKILL, as where memory runs out"] == [run.error for run in runs]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_worker_ends_with_the_process_that_wants_its_runs(root, ending):
    """However that process ends, with all that the worker forked."""
    code = f"""
from pathlib import Path
from worked_package.training import worked
from goldmark.experiments._worker import Worker
worked.variant("waited", what="waited")
Worker(worked, Path({str(root)!r})).train("waited", 0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    pids = pids_of(root)
    parent.send_signal(ending)
    assert -ending == parent.wait()
    assert [True, True] == [gone(pid) for pid in pids]


def test_a_module_off_the_path_is_imported_by_its_file(tmp_path, monkeypatch):
    """A script that was run as the main module is imported under its own name."""
    file = tmp_path.resolve() / "off_the_path.py"
    file.write_text(MODULE.replace("from .settings import FACTOR", "FACTOR = 3"))
    namespace = {"__name__": "__main__"}
    exec(compile(file.read_text(), str(file), "exec"), namespace)  # noqa: S102 - as `python off_the_path.py` does
    worker = Worker(namespace["worked"], file.parent)
    run = worker.train("default", 2)
    worker.close()
    assert ({"rmse": 3.0, "seconds": 1.0}, ["off_the_path.py"]) == (run.metrics, list(run.ingredients["sources"]))


@pytest.mark.slow
def test_flags_that_a_module_sets_and_torch_itself_are_ingredients(tmp_path, monkeypatch):
    """torch trains in one thread; its version and the module of the flags are part of the run."""
    root = tmp_path.resolve()
    monkeypatch.syspath_prepend(str(root))
    (root / "torch_flags.py").write_text("import torch\ntorch.use_deterministic_algorithms(True)\n")
    (root / "torch_training.py").write_text(
        "from goldmark import Metric, experiment\n@experiment(seeds=1, metrics=[Metric('loss', margin=None)])\n"
        "def train(seed):\n    import torch_flags, torch\n    return {'loss': torch.ones(3).sum()}\n"
    )
    worker = Worker(importlib.import_module("torch_training").train, root)
    run = worker.train("default", 0)
    worker.close()
    assert ({"loss": 3.0}, None) == (run.metrics, changed(run, root)), run.output
    assert ("1", "True") == (run.fingerprint["threads"], run.fingerprint["deterministic"])
    assert {"torch", "numpy"} & set(run.ingredients["versions"]) >= {"torch"}
    (root / "torch_flags.py").write_text("import torch\ntorch.use_deterministic_algorithms(False)\n")
    assert changed(run, root) == "torch_flags.py changed"


def test_an_experiment_of_no_file_is_refused(tmp_path):
    """One that was typed into a session, say: the worker could not import it."""
    namespace = {"__name__": "__main__"}
    exec(MODULE.replace("from .settings import FACTOR", ""), namespace)  # noqa: S102 - as a session does
    with pytest.raises(UsageError, match="experiment 'worked' stands in no file that a worker could import"):
        Worker(namespace["worked"], tmp_path)


class Scalar:
    """A tensor as one that numbers are taken of."""

    def __init__(self, shape):
        self.shape = shape

    def item(self):
        """Return its number."""
        return 2

    def __repr__(self):
        return f"Scalar{self.shape}"


@pytest.mark.parametrize("value", [2, 2.0, Scalar(())])
def test_numbers_of_any_library_become_floats(value):
    """Numbers of Python, scalars of numpy, tensors without axes."""
    metrics, history = results_of({"rmse": value}, ["rmse"])
    assert ([2.0], [float], []) == (list(metrics.values()), [type(metrics["rmse"])], history)


def test_the_last_row_are_the_metrics_of_what_only_yields():
    """Rows before it may lack metrics."""
    rows = [{"rmse": 2}, {"rmse": 1, "mae": 0.5}]
    metrics, history = results_of(iter(rows), ["rmse", "mae"])
    assert ({"rmse": 1.0, "mae": 0.5}, [1.0, 2.0]) == (metrics, [row["epoch"] for row in history])


WRONG = {
    "no dict": (3.0, "it returned 3.0; it has to be a dict of its metrics, {'rmse': ...}"),
    "a text": ({"rmse": "3"}, "it returned '3' as 'rmse'; it has to be one number, such as value.mean().item()"),
    "an array": ({"rmse": Scalar((3,))}, "it returned Scalar(3,) as 'rmse'; it has to be one number"),
    "one too many": ({"rmse": 1, "mae": 1}, "it returned 'mae', which is none of its metrics: rmse; declare it"),
    "nothing": (iter([]), "it yielded nothing and returned nothing; yield or return {'rmse': ...}"),
    "a wrong row": (iter([{"rmse": None}]), "in epoch 1 it yielded None as 'rmse'"),
    "an empty last row": (iter([{"rmse": 1}, {}]), "its last row is {} without 'rmse'"),
}


@pytest.mark.parametrize("result", [{"rmse": 1}, iter([{"mae": 1}])])
def test_a_metric_of_a_curve_needs_its_curve(result):
    """Otherwise it would be nan, and nobody would know why before a golden is written."""
    with pytest.raises(ResultError, match="it yielded no 'rmse', whose curve metrics follow; yield {'rmse': ...} eve"):
        results_of(result, ["rmse", "mae"], ["rmse"])


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_result_is_said_with_what_would_be_right(wrong):
    """The metric, the value, and the way out."""
    result, message = WRONG[wrong]
    with pytest.raises(ResultError) as raised:
        results_of(result, ["rmse"])
    assert message in str(raised.value)
