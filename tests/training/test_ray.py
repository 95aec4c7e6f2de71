"""Tasks on a real Ray cluster of two nodes on this machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.case import UsageError
from goldmark.cases import find_case
from goldmark.runs import plan_jobs, stored_runs
from goldmark.training._machines import outcomes
from goldmark.training._matrix import train_matrix

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own, from its threads and its import


def tasks(n_seeds, **settings):
    """A task for each seed of the shortened roast case."""
    roast = find_case("roast")
    small = {"n_train": 8, "n_val": 4, "length": 12, "steps": 3} | settings
    case = replace(roast, settings=replace(roast.settings, **small))
    return [(job,) for job in plan_jobs(case, ["normalized"], range(n_seeds), "cpu")]


@pytest.fixture(scope="module")
def cluster():
    """A head of one core, where the tests join."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        patch.setenv("RAY_ADDRESS", started.address)
        yield started
        ray.shutdown()
        started.shutdown()


def test_node_killed_in_the_middle_loses_no_run(cluster):
    """A second node dies after the first run: its task is tried again on the other, and all runs are as here."""
    second, planned = cluster.add_node(num_cpus=1), tasks(8, steps=30)
    finished = outcomes(planned, "ray", 1)
    there = [next(finished)]
    cluster.remove_node(second, allow_graceful=False)
    there += finished
    here = {task[0].seed: runs for task, runs in outcomes(planned, "here", 1)}
    found = {task[0].seed: runs for task, runs in there}
    assert set(range(8)) == set(found)
    assert all(replace(here[seed][0], seconds=0) == replace(found[seed][0], seconds=0) for seed in here)


def test_matrix_is_trained_on_the_cluster_and_kept_here(cluster, tmp_path):
    """The driver writes what the cluster trains; the second time there is nothing left to do."""
    jobs = [job for task in tasks(3) for job in task]
    for kept in (0, 3):
        progress, pending = stored_runs(tmp_path, jobs)
        train_matrix(tmp_path, pending, progress, machines="ray", processes=1, on_run=lambda run: None)
        assert (kept, 3, []) == (progress.kept, len(progress.runs), progress.failures)


def test_error_in_a_task_is_told_with_it(cluster):
    """The exception that the task's code raised comes back, not Ray's; the cluster is there for the next call."""
    wrong = [(replace(task[0], variant="nope"),) for task in tasks(1)]
    [(_, error)] = outcomes(wrong, "ray", 1)
    assert "case 'roast' has no variant 'nope'" in str(error)
    assert isinstance(error, UsageError)
    [(_, runs)] = outcomes(tasks(1), "ray", 1)
    assert 1 == len(runs)
