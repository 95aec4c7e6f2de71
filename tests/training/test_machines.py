"""Processes give the same runs as this process, replace those that die, and a failing job is heard of."""

from __future__ import annotations

import multiprocessing
import os
import signal
import textwrap
from dataclasses import fields, replace

import pytest

from goldmark.case import UsageError
from goldmark.cases import find_case
from goldmark.cases.roast import RoastCase
from goldmark.runs import plan_jobs
from goldmark.training import train
from goldmark.training._machines import WorkerDiedError, outcomes


def brief():
    """The roast case cut down to three steps."""
    roast = find_case("roast")
    return replace(roast, settings=replace(roast.settings, steps=3, n_train=8, n_val=4, length=12))


def declared(case):
    """The fields of a case, for one of another class."""
    return {field.name: getattr(case, field.name) for field in fields(case)}


def brief_tasks(case, n_seeds):
    """A task for each seed."""
    return [(job,) for job in plan_jobs(case, ["normalized"], range(n_seeds), "cpu")]


@pytest.mark.slow
def test_processes_train_the_same_runs_as_one():
    """Two processes, four runs: equal to the last bit but for the time taken."""
    here, there = (train(brief(), ["normalized", "zscore"], [0, 1], jobs=n) for n in (1, 2))
    assert [replace(run, seconds=0.0) for run in here] == [replace(run, seconds=0.0) for run in there]


def test_error_in_a_process_reaches_the_caller():
    """A case that cannot be trained raises its own error, not a broken pool."""
    wrong = replace(brief(), metrics=(*brief().metrics, replace(brief().metric("rmse_f"), name="missing")))
    with pytest.raises(KeyError, match="missing"):
        train(wrong, ["normalized"], range(4), jobs=2)


def test_case_that_cannot_travel_is_said_at_once():
    """A class defined inside a function cannot be sent: an error with the way out, not a pool that hangs."""

    class Local(RoastCase):
        pass

    local = Local(**declared(brief()))
    with pytest.raises(UsageError, match="case 'roast' cannot be sent to another process .*; define its class"):
        train(local, ["normalized"], range(4), jobs=2)


@pytest.mark.slow  # what is killed
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_killed_process_is_replaced_and_its_run_repeated(capfd, sign):
    """All processes are killed as soon as the first run is there; every run is trained none the less, each once."""
    finished = outcomes(brief_tasks(brief(), 12), "processes", 2)
    seeds = [next(finished)[0][0].seed]
    for process in multiprocessing.active_children():
        os.kill(process.pid, sign)
    for task, outcome in finished:
        assert isinstance(outcome, list), outcome
        seeds.append(task[0].seed)
    assert list(range(12)) == sorted(seeds)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_run_that_kills_its_process_each_time_is_given_up_alone(tmp_path, monkeypatch):
    """Seed 1 ends its process wherever it is tried: after three attempts it fails, and the others are trained."""
    (tmp_path / "deadly.py").write_text(
        textwrap.dedent("""
            import os
            from goldmark.cases.roast import RoastCase

            class Deadly(RoastCase):
                def make_data(self, settings, seed):
                    if seed == 1:
                        os._exit(1)
                    return super().make_data(settings, seed)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    import deadly

    tasks = brief_tasks(deadly.Deadly(**declared(brief())), 4)
    by_seed = {task[0].seed: outcome for task, outcome in outcomes(tasks, "processes", 2)}
    assert {0, 1, 2, 3} == set(by_seed)
    assert isinstance(by_seed[1], WorkerDiedError)
    assert "its process was killed 3 times" == str(by_seed[1])
    assert all(isinstance(by_seed[seed], list) for seed in (0, 2, 3))
