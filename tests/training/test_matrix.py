"""A folder of runs: what is finished is kept, what changed is trained again, what fails is told."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from goldmark.case import UsageError
from goldmark.cases import CASES
from goldmark.cases.roast import RoastCase
from goldmark.runs import alone, plan_jobs, run_path, stored_runs
from goldmark.training import _machines as machines
from goldmark.training._matrix import train_matrix


def brief(**settings):
    """The roast case cut down to two variants and two steps, which train as one stack."""
    roast = CASES["roast"]
    variants = tuple(v for v in roast.variants if v.name in ("normalized", "raw_targets"))
    small = {"steps": 2, "n_train": 8, "n_val": 4, "length": 12}
    return replace(roast, settings=replace(roast.settings, **small | settings), variants=variants, stacks_on_cpu=True)


def trained(folder, case, seeds=2):
    """Train what is not in the folder yet; return what was there and the seen runs."""
    seen = []
    progress, pending = stored_runs(folder, plan_jobs(case, None, range(seeds), "cpu"))
    train_matrix(folder, pending, progress, machines="here", processes=1, on_run=seen.append)
    return progress, seen


def test_finished_runs_are_kept(tmp_path):
    """The second time nothing is trained, and the runs are the same to the last bit; a new seed alone is added."""
    first, seen = trained(tmp_path, brief())
    again, trained_again = trained(tmp_path, brief())
    assert (0, 4, 4, 0) == (first.kept, len(seen), again.kept, len(trained_again))
    assert first.runs == again.runs
    more, trained_more = trained(tmp_path, brief(), seeds=3)
    assert (4, {2}, {}) == (more.kept, {run.seed for run in trained_more}, more.outdated)


@pytest.mark.slow
def test_half_written_run_is_trained_again(tmp_path):
    """A file cut off anywhere is found, trained again and replaced; the run is the one it was."""
    first, _ = trained(tmp_path, brief(), seeds=1)
    path = run_path(tmp_path, plan_jobs(brief(), None, [0], "cpu")[0])
    whole = path.read_bytes()
    for end in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        again, seen = trained(tmp_path, brief(), seeds=1)
        assert ({"half-written": 1}, 1) == (again.outdated, len(seen)), end
        assert [replace(run, seconds=0) for run in first.runs.values()] == [
            replace(again.runs[key], seconds=0) for key in first.runs
        ]


def test_changed_settings_code_data_device_or_dtype_are_trained_again(tmp_path, monkeypatch):
    """Each reason is told with its count."""
    trained(tmp_path, brief(), seeds=1)
    other, seen = trained(tmp_path, brief(lr=0.1), seeds=1)
    assert ({"other settings": 2}, 2) == (other.outdated, len(seen))
    trained(tmp_path, replace(brief(), data_source="1" * 64), seeds=1)
    jobs = plan_jobs(replace(brief(), data_source="0" * 64), None, [0], "cpu")
    assert {"other data": 2} == stored_runs(tmp_path, jobs)[0].outdated
    jobs = plan_jobs(replace(brief(), data_source="1" * 64), None, [0], "cpu")
    in_float64 = [replace(job, dtype="float64") for job in jobs]
    assert {"other dtype": 2} == stored_runs(tmp_path, in_float64)[0].outdated
    for path in tmp_path.rglob("*.json"):  # as if a GPU had trained them
        path.write_text(path.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    other, seen = trained(tmp_path, replace(brief(), data_source="1" * 64), seeds=1)
    assert ({"other device": 2}, 2) == (other.outdated, len(seen))
    monkeypatch.setattr("goldmark.runs._folder.sources_of", lambda case, engine: {"a": "other"})
    progress, pending = stored_runs(tmp_path, jobs)
    assert ({"other code": 2}, 2) == (progress.outdated, len(pending))


@pytest.mark.slow
def test_run_that_crashes_takes_no_neighbour_along(tmp_path):
    """One of a stack of four raises: it is told with its error, and the three others are trained."""
    case = Unlucky(**{field.name: getattr(brief(), field.name) for field in fields(brief())})
    progress, seen = trained(tmp_path, case)
    assert [("roast", "raw_targets", 1, "ArithmeticError: no such luck")] == [
        (f.case, f.variant, f.seed, f.error) for f in progress.failures
    ]
    assert (3, 4) == (len(progress.runs), len(seen))
    assert 3 == trained(tmp_path, case)[0].kept


class Unlucky(RoastCase):
    """The roast case whose evaluation fails for one run, known by its data."""

    def evaluate(self, model, data, settings):
        """Raise for seed 1 on raw targets."""
        unlucky = self.make_data(settings, 1)["val_temp_f"][0, 0]
        if settings.target_scale == "raw" and abs(float(data["val_temp_f"][0, 0] - unlucky)) < 1e-3:
            raise ArithmeticError("no such luck")
        return super().evaluate(model, data, settings)


def test_stack_whose_ends_fail_as_it_did_is_given_up(tmp_path, monkeypatch):
    """Twelve runs that cannot be trained: the stack and its two ends are tried, and every run has its error."""
    tried = []

    def failing(task):
        tried.append(len(task))
        raise ArithmeticError("no such luck")

    monkeypatch.setattr("goldmark.training._machines.train_task", failing)
    progress, seen = trained(tmp_path, brief(), seeds=6)
    assert ([12, 1, 1], 12) == (tried, len(seen))
    errors = {(failure.variant, failure.seed): failure.error for failure in progress.failures}
    assert 12 == len(errors)
    assert "ArithmeticError: no such luck" == errors["normalized", 0] == errors["raw_targets", 5]
    as_others = "ArithmeticError: no such luck (as its stack did, and the first and the last of it alone)"
    assert {as_others} == {error for job, error in errors.items() if job not in {("normalized", 0), ("raw_targets", 5)}}


ONE_VARIANT = replace(brief(), variants=brief().variants[:1])


@pytest.fixture(scope="module")
def six():
    """Runs of six seeds of one variant, trained as one stack."""
    return machines.train_task(tuple(plan_jobs(ONE_VARIANT, None, range(6), "cpu")))


@pytest.mark.parametrize("bad", [{0}, {3}, {5}, {0, 5}, {0, 1, 2, 3, 4, 5}])
def test_stack_with_good_runs_loses_none_of_them(tmp_path, monkeypatch, six, bad):
    """Errors that name their own run: wherever the bad ones stand, first and last included, the others are trained."""

    def failing(task):
        if unlucky := [job.seed for job in task if job.seed in bad]:
            raise ArithmeticError(f"no luck with {unlucky}")
        return [six[job.seed] for job in task]

    monkeypatch.setattr("goldmark.training._machines.train_task", failing)
    progress, _ = trained(tmp_path, ONE_VARIANT, seeds=6)
    assert bad == {failure.seed for failure in progress.failures}
    assert set(range(6)) - bad == {seed for _, seed in progress.runs}
    assert {f"ArithmeticError: no luck with {[seed]}" for seed in bad} == {f.error for f in progress.failures}


def test_diverged_run_is_a_failure_and_is_not_tried_again(tmp_path):
    """A learning rate of 1e30 ends in NaN; the same seed would again."""
    case = brief(lr=1e30, lr_min=None, clip=None)
    for kept in (0, 4):
        progress, _ = trained(tmp_path, case)
        assert (kept, 0, 4) == (progress.kept, len(progress.runs), len(progress.failures))
        assert "diverged: the training loss of epoch 2 is not finite" == progress.failures[0].error


def test_folder_is_one_matrix_at_a_time(tmp_path):
    """The second one is told who is there, and may go on when the first is done."""
    there = "another goldmark command is at work in .*; wait, or name another folder"
    with alone(tmp_path), pytest.raises(UsageError, match=there), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
