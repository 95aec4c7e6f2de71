"""Plans: jobs in order, groups of equal shapes, tasks of nearly equal size."""

from __future__ import annotations

from dataclasses import replace

from goldmark.cases import CASES
from goldmark.runs import Job, plan_jobs
from goldmark.training import _tasks as tasks
from goldmark.training._plan import cut, group_jobs, miniature


def roast_jobs(*variants, seeds=3):
    """Jobs of some roast variants."""
    return plan_jobs(CASES["roast"], variants, range(seeds), "cpu")


def test_widths_and_devices_make_groups_of_their_own():
    """Seeds of one variant stack; another width or another device does not."""
    jobs = [*roast_jobs("recovery_tiny", "recovery_micro"), Job(CASES["roast"], "recovery_tiny", 0, "cuda")]
    groups = group_jobs(jobs)
    assert [3, 3, 1] == [len(group) for group in groups]
    assert jobs == [job for group in groups for job in group]


def test_rates_alone_do_not_part_a_group():
    """recovery_combined differs from a dropout twin of recovery_tiny by rate, decay and share alone."""
    roast = CASES["roast"]
    dropped = replace(roast, settings=replace(roast.settings, dropout=0.1), stackable=frozenset({"dropout"}))
    jobs = plan_jobs(dropped, ["recovery_tiny", "recovery_combined"], range(2), "cpu")
    assert [4] == [len(group) for group in group_jobs(jobs)]


def test_groups_are_cut_into_nearly_equal_tasks():
    """Ten jobs, four at most: 4, 4, 2 would waste the last one; nothing is lost."""
    group = tuple(roast_jobs("normalized", seeds=10))
    cuts = cut(group, 4)
    assert [3, 3, 4] == [len(task) for task in cuts]
    assert group == tuple(job for task in cuts for job in task)


def test_miniature_has_every_shape_and_two_variants_where_it_can():
    """The first and the last job of each group."""
    jobs = roast_jobs("recovery_tiny", "recovery_micro")
    assert [(0, 2), (3, 5)] == [tuple(jobs.index(job) for job in task) for task in miniature(group_jobs(jobs))]


def test_a_users_file_is_not_stacked_unless_the_case_knows_its_sizes(monkeypatch):
    """Which of its examples train, and so the shapes, depend on the seed; those of one size go together."""
    measured = replace(CASES["roast"], stacks_on_cpu=True, data_source="0" * 64)
    for device in ("cpu", "cuda"):
        jobs = plan_jobs(measured, ["normalized"], range(3), device)
        assert [1, 1, 1] == [len(task) for task in tasks.plan_tasks(jobs)]
    monkeypatch.setattr(type(measured), "has_stated_sizes", lambda case, settings, seed: seed != 1)
    jobs = plan_jobs(measured, ["normalized", "zscore"], range(3), "cpu")
    assert [(0, 2, 0, 2), (1,), (1,)] == [tuple(job.seed for job in task) for task in tasks.plan_tasks(jobs)]


def stacking(jobs, *, stacks=True):
    """The jobs of a case that gains by stacking on a CPU, or of one that does not."""
    case = replace(CASES["roast"], stacks_on_cpu=stacks)
    return [replace(job, case=case) for job in jobs]


def sizes(jobs, processes, **options):
    """How many runs each task has."""
    return [len(task) for task in tasks.plan_tasks(jobs, processes, **options)]


def test_tasks_are_single_jobs_or_stacks_for_every_process():
    """A case that gains nothing by stacking goes job by job; one that does gives each process a part of all runs."""
    jobs = roast_jobs("normalized", seeds=6)
    assert [1] * 6 == sizes(stacking(jobs, stacks=False), 2)
    assert [3, 3] == sizes(stacking(jobs), 2)
    assert [6, 6] == sizes(stacking([*jobs, *roast_jobs("recovery_tiny", seeds=6)]), 2)  # as many groups as processes


def test_no_stack_is_cut_down_to_one_run():
    """It would be trained beside a copy of itself: two runs in one process are done as early, for half of the work."""
    assert [2] == sizes(stacking(roast_jobs("normalized", seeds=2)), 2)
    assert [2, 2] == sizes(stacking(roast_jobs("normalized", seeds=4)), 8)
    assert [3] == sizes(stacking(roast_jobs("normalized", seeds=3)), 2)
    assert [2, 3] == sizes(stacking(roast_jobs("normalized", seeds=5)), 8)


def test_variants_are_kept_apart_where_asked_for():
    """Processes that ask for some of them each share what is the same, and a single variant in two halves."""
    jobs = stacking(roast_jobs("normalized", "zscore", seeds=4))
    assert [4, 4] == sizes(jobs, 1, by_variant=True)
    assert [8] == sizes(jobs, 1)
    assert [2, 2] == sizes(jobs[:4], 2, by_variant=True)
