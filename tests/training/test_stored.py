"""Runs of the engine in the store: read where nothing has changed that can change them, and trained once else."""

from __future__ import annotations

import importlib
import platform
import re
import sys
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace

import pytest
import torch

import goldmark.fingerprint
from goldmark._session import Session
from goldmark.cases import find_case
from goldmark.cases.roast import RoastCase
from goldmark.runs import _since, _sources, by_variant, reusable, store_path, write_run
from goldmark.training import _machines as machines
from goldmark.training import _stored, stored_or_trained


def brief(**settings):
    """The roast case cut down to two variants of two seeds and two steps."""
    roast = find_case("roast")
    small = replace(roast.settings, steps=2, n_train=8, n_val=4, length=12)
    names = ("normalized", "zscore")
    variants = tuple(replace(variant, seeds=None) for variant in roast.variants if variant.name in names)
    return replace(roast, settings=replace(small, **settings), variants=variants, seeds=2, claims=())


def session_in(folder, **options):
    """Another session of the project in a folder."""
    return Session(root=folder, folder=folder / "store", machines="here", **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in whose store all runs of the case are, and these."""
    folder = tmp_path_factory.mktemp("project")
    runs, why = stored_or_trained(brief(), session=session_in(folder))
    assert Counter({"no run yet": 4}) == Counter(why.values())
    return folder, runs


@pytest.fixture
def count(trained, monkeypatch):
    """The runs that are trained, in order: as (variant, seed), without the work of training them."""
    done = {(run.variant, run.seed): run for run in trained[1]}
    jobs = []

    def train(task):
        jobs.extend((job.variant, job.seed) for job in task)
        return [done[job.variant, job.seed] for job in task]

    monkeypatch.setattr(_stored, "train_task", train)
    return jobs


def test_what_is_there_is_read_to_the_last_bit(trained, count):
    """Another session trains nothing, and its runs, seconds and all, are those of the first."""
    folder, runs = trained
    seen = []
    again, why = stored_or_trained(brief(), session=session_in(folder), on_run=seen.append)
    assert (runs, {}, [], 4) == (again, why, count, len(seen))
    some, _ = stored_or_trained(brief(), ["zscore"], [1], session=session_in(folder))
    assert [by_variant(runs)["zscore"][1]] == some


def test_only_what_is_missing_or_damaged_is_trained(trained, count, tmp_path):
    """A run without a file and one that is cut off, each with its reason; the others are read."""
    session = session_in(tmp_path)
    for run in trained[1]:
        path = store_path(session, brief(), run.variant, run.seed)
        write_run(path, run)
        if (run.variant, run.seed) == ("zscore", 1):
            path.write_bytes(path.read_bytes()[:-9])
        if (run.variant, run.seed) == ("normalized", 0):
            path.unlink()
    runs, why = stored_or_trained(brief(), session=session)
    assert {("normalized", 0): "no run yet", ("zscore", 1): "a damaged file"} == why
    assert sorted(why) == sorted(count)
    assert {session.token} == {run.session for run in runs if (run.variant, run.seed) in why}


def test_a_fresh_session_trains_all_once(trained, count, tmp_path):
    """What others trained is not read; what it has trained itself is."""
    earlier, session = session_in(tmp_path), session_in(tmp_path, fresh=True)
    stored_or_trained(brief(), session=earlier)
    count.clear()
    _, why = stored_or_trained(brief(), session=session)
    _, again = stored_or_trained(brief(), session=session)
    assert ({"all are trained anew"}, 4, {}) == (set(why.values()), len(count), again)


@pytest.mark.slow
def test_a_run_that_another_process_trains_is_waited_for(trained, count, tmp_path):
    """Two threads ask at once, each with the project's store: every run is trained by one of them."""
    session, answers = session_in(tmp_path), []
    threads = [
        threading.Thread(target=lambda: answers.append(stored_or_trained(brief(), session=session)[0]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert {(variant, seed): 1 for variant in ("normalized", "zscore") for seed in (0, 1)} == dict(Counter(count))
    assert [answers[0]] * 2 == answers


@pytest.mark.slow  # two processes that load torch
def test_two_processes_share_one_training(tmp_path):
    """Both get runs with the same measured time, to the last bit: each was trained by one of them alone."""
    with ProcessPoolExecutor(2, machines.process_context()) as pool:
        asked = [pool.submit(_stored.stored_or_trained, brief(), session=session_in(tmp_path)) for _ in range(2)]
        (first, _), (second, _) = (future.result(timeout=120) for future in asked)
    assert 4 == len(first)
    assert first == second


def test_what_was_finished_before_something_stopped_is_kept(trained, count, tmp_path, monkeypatch):
    """The second variant cannot be trained: the error is raised, and the first is there."""
    done = _stored.train_task

    def train(task):
        if task[0].variant == "zscore":
            raise ArithmeticError("no such luck")
        return done(task)

    monkeypatch.setattr(_stored, "train_task", train)
    with pytest.raises(ArithmeticError, match="no such luck"):
        stored_or_trained(brief(), session=session_in(tmp_path))
    _, why = stored_or_trained(brief(), ["normalized"], session=session_in(tmp_path))
    assert {} == why


def why(folder, case, device="cpu"):
    """Why the first run has to be trained again, as another session sees it; empty where it is read."""
    run, reason = reusable(session_in(folder), case, "normalized", 0, device=device)
    assert (run is None) == bool(reason)
    return reason


def change(monkeypatch, what):
    """Change one thing that the numbers of a run follow from."""
    environment = {
        "python": (platform, "python_version", lambda: "3.99.0"),
        "cpu": (goldmark.fingerprint, "_cpu_model", lambda: "another one"),
        "capability": (torch.backends.cpu, "get_cpu_capability", lambda: "none"),
        "threads": (RoastCase, "threads", 2),
        "mkldnn": (torch.backends.mkldnn, "enabled", False),
    }
    if what in environment:
        monkeypatch.setattr(*environment[what])
    elif what in ("torch", "safetensors"):
        monkeypatch.setattr(_since, "versions_of", lambda *run: {**_sources.versions_of(*run), what: "0.1"})
    else:
        hashes = _sources.sources_of(find_case("roast"), "stacked")
        monkeypatch.setattr(_since, "sources_of", lambda *run: {**hashes, f"goldmark/{what}": "1"})


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("cases/roast/model.py", "roast/model.py changed"),
        ("training/draws.py", "training/draws.py changed"),
        ("checks/_skill.py", "checks/_skill.py changed"),
        ("checks/_new.py", "checks/_new.py changed"),
        ("python", f"python {platform.python_version()} -> 3.99.0"),
        ("torch", f"torch {torch.__version__.split('+')[0]} -> 0.1"),
        ("safetensors", "safetensors [0-9.]+ -> 0.1"),
        ("cpu", "cpu .+ -> another one"),
        ("capability", "cpu_capability .+ -> none"),
        ("threads", "threads 1 -> 2"),
        ("mkldnn", "mkldnn True -> False"),
    ],
)
def test_changed_code_libraries_and_machines_train_again(trained, monkeypatch, what, reason):
    """Each is told in words; without it the run is read."""
    assert why(trained[0], brief()) == ""
    change(monkeypatch, what)
    assert re.fullmatch(reason, why(trained[0], brief()))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (brief(lr=0.5), "lr 0.003 -> 0.5"),
        (replace(brief(), data_source="0" * 64), "other data and 1 more"),  # whose sizes need not be equal: no stack
        (replace(brief(), metrics=brief().metrics[1:]), "other metrics"),
        (replace(brief(), stacks_on_cpu=False), "engine stacked -> single"),
    ],
)
def test_another_case_of_the_name_is_trained(trained, changed, reason):
    """Settings, a user's data, what is measured, and the engine: in this session as in any other."""
    folder, runs = trained
    assert reason == why(folder, changed)
    session = session_in(folder, token=runs[0].session)
    assert (None, reason) == reusable(session, changed, "normalized", 0)


def test_another_device_trains_again(trained):
    """A GPU's runs are others; where there is one, its name and its CUDA are told too."""
    assert re.match("device cpu -> cuda|cuda none -> ", why(trained[0], brief(), device="cuda"))


@pytest.mark.parametrize(
    ("switch", "on", "off", "reason"),
    [
        (torch.use_deterministic_algorithms, True, False, "deterministic False -> True"),
        (torch.set_float32_matmul_precision, "medium", "highest", "float32 matmul precision highest -> medium"),
        (torch.set_default_dtype, torch.float64, torch.float32, "default dtype torch.float32 -> torch.float64"),
    ],
)
def test_switches_of_torch_train_again(trained, switch, on, off, reason):
    """What this process has set holds for what it would train."""
    switch(on)
    try:
        assert reason == why(trained[0], brief())
    finally:
        switch(off)
    assert why(trained[0], brief()) == ""


def test_a_choice_of_kernels_trains_again(trained, monkeypatch):
    """The variables by which libraries choose how they sum."""
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert "MKL_CBWR none -> COMPATIBLE" == why(trained[0], brief())


def as_kind(kind, case, **more):
    """A case of another class, with the same declarations."""
    return kind(**{name: getattr(case, name) for name in [field.name for field in fields(RoastCase)]}, **more)


@dataclass(frozen=True, kw_only=True)
class Shifted(RoastCase):
    """A case that behaves as its own field says."""

    shift: float
    tables: object = ()


def test_classes_and_their_own_fields_count(trained, tmp_path, monkeypatch):
    """A value that a class adds is compared; what cannot be is trained each time, as is a class of a function's own."""

    class Local(RoastCase):
        """A case that may hold what the function was called with."""

    monkeypatch.setattr(_since, "sources_of", lambda *run: trained[1][0].sources)
    monkeypatch.setattr(_since, "versions_of", lambda *run: _sources.versions_of(find_case("roast"), "stacked"))
    assert why(trained[0], as_kind(Local, brief())).startswith("class RoastCase -> cannot be compared")
    shifted = as_kind(Shifted, brief(), shift=1.0)
    assert why(trained[0], shifted).startswith("class RoastCase -> Shifted")
    run = replace(trained[1][0], ingredients=_since.ingredients_of(shifted, "stacked"))
    write_run(store_path(session_in(tmp_path), shifted, "normalized", 0), run)
    assert why(tmp_path, shifted) == ""
    assert "shift 1.0 -> 2.0" == why(tmp_path, replace(shifted, shift=2.0))
    unknown = replace(shifted, tables=object())
    run = replace(run, ingredients=_since.ingredients_of(unknown, "stacked"))
    write_run(store_path(session_in(tmp_path), unknown, "normalized", 0), run)
    assert "field 'tables' cannot be compared" == why(tmp_path, unknown)


PROJECT = {
    "pyproject.toml": "",
    "data.csv": "1.5",
    "mine/__init__.py": "",
    "mine/far.py": "FACTOR = 2.0",
    "mine/near.py": "from mine import far\n\ndef scaled(x):\n    return far.FACTOR * x",
    "mine/other.py": "x = 1",
    "mine/system.py": """
from pathlib import Path
from goldmark import Baseline, Metric, ModelCase, Variant
from goldmark.cases.roast import RoastSettings
import torch

class Line(ModelCase[RoastSettings]):
    def make_data(self, settings, seed):
        x = float((Path(__file__).parents[1] / "data.csv").read_text()) + torch.arange(8.0, dtype=torch.float64) + seed
        return {"train_x": x, "val_x": x}

    def make_model(self, settings, data):
        return torch.nn.Linear(1, 1)

    def loss(self, model, data, rows, draws, settings):
        from mine.near import scaled
        return model(scaled(data["train_x"][rows][:, None])).square().mean()

    def evaluate(self, model, data, settings):
        return {"mse": float(model(data["val_x"][:, None]).square().mean())}

    def baselines(self, data, settings):
        return (Baseline(name="zero", says="zero", metrics={"mse": 0.0}),)

    def examine(self, fresh, trained, data, settings):
        return ()

CASE = Line(name="line", title="line", says="a line", settings=RoastSettings(steps=2), seeds=1, claims=(),
            variants=(Variant(name="fit", says="it", role="fixed"),), metrics=(Metric("mse"),))
""",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's project with a case, and a function that returns why its run is trained, as a new process would."""
    for path, text in PROJECT.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    def asked(**files):
        for name, text in files.items():
            (tmp_path / name.replace("__", "/").replace("_dot_", ".")).write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
            del sys.modules[name]
        _sources._loaded.cache_clear()  # noqa: SLF001
        importlib.invalidate_caches()
        case = importlib.import_module("mine.system").CASE
        return stored_or_trained(case, session=session_in(tmp_path))[1].get(("fit", 0), "")

    yield asked
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_a_user_s_case_is_trained_for_its_own_code_and_data(project):
    """Code that its code imports in turn, and a file that it reads; not for a comment, nor for a module of no use."""
    assert project() == "no run yet"
    assert project() == ""
    assert project(mine__other_dot_py="x = 2") == ""
    assert project(mine__far_dot_py="# twice\nFACTOR = 2.0") == ""
    assert project(mine__far_dot_py="FACTOR = 3.0") == "mine/far.py changed"
    assert project(data_dot_csv="1.25") == "other data or initial weights"
    assert project() == ""
