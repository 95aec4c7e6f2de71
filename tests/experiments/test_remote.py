"""Experiments on a real Ray cluster on this machine."""

from __future__ import annotations

import pytest

from goldmark.experiments import obtain

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own, from its threads and its import


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two cores, where the tests join."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        patch.setenv("RAY_ADDRESS", started.address)
        yield started
        ray.shutdown()
        started.shutdown()


def test_runs_of_a_cluster_are_those_of_this_machine(cluster, project) -> None:
    """They are trained once, by workers there, with the same numbers, and read here by the next session."""
    digits = project.load().digits
    there = obtain(digits, ["slow"], session=project.session(machines="ray", jobs=None))
    assert {"no run yet": 4} == there.trained
    assert [None] * 4 == [run.error for run in there.runs]
    read = obtain(digits, ["slow"], session=project.session())
    assert (4, there.runs) == (read.n_read, read.runs)
    here = obtain(digits, ["slow"], session=project.session(fresh=True))
    assert [(run.metrics, run.ingredients) for run in here.runs] == [
        (run.metrics, run.ingredients) for run in read.runs
    ]


def test_a_seed_that_fails_there_harms_no_other(cluster, project) -> None:
    """It is a run with its error and what it printed; the worker is replaced."""
    module = project.load()
    runs = obtain(module.digits, ["killed", "crashing"], session=project.session(machines="ray")).runs
    assert [1.0, None, 3.0, 4.0] * 2 == [run.metrics.get("x") for run in runs]
    assert "SIGKILL" in runs[1].error
    assert "ValueError: no data for seed 1" == runs[5].error
    assert "the last thing that it said" in runs[5].output


def test_an_interrupt_ends_what_trains_there(cluster, project, eventually) -> None:
    """Its processes end, and the seed is free."""

    def refuse(run) -> None:
        raise KeyboardInterrupt

    module = project.load()
    with pytest.raises(KeyboardInterrupt):
        obtain(module.digits, ["slow"], range(40), session=project.session(machines="ray"), on_run=refuse)
    assert len(project.begun()) < 20
    eventually(lambda: not project.alive())
    assert 1 == obtain(module.digits, ["slow"], [39], session=project.session()).trained.total()
