"""A stack trains what the plain loop trains, run by run, whatever stands beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import pytest
import torch
from torch import nn

from goldmark.case import Metric, ModelCase, Variant
from goldmark.cases import CASES
from goldmark.runs import Job, plan_jobs
from goldmark.training import _tasks as tasks
from goldmark.training import draws
from goldmark.training._plan import group_jobs, miniature
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked

SHORT = {"roast": {"length": 16, "shortest": 12}}  # generated step by step


def shortened(case, steps):
    """The case with so many steps in every variant, two to an epoch, and few short examples."""
    variants = tuple(replace(v, changes={**v.changes, "steps": steps}) for v in case.variants)
    few = {"n_train": 2 * case.settings.batch, "n_val": 8} | SHORT.get(case.name, {})
    return replace(case, settings=replace(case.settings, **few), variants=variants)


def jobs_of_two_shapes(case, dtype):
    """Two runs of the first and of the last group: two variants where the group has them, else two seeds."""
    jobs = [replace(job, dtype=dtype) for job in plan_jobs(case, None, range(2), "cpu")]
    groups = miniature(group_jobs(jobs))
    return [groups[0], groups[-1]]


def largest_difference(run, other):
    """The largest relative difference between two histories; below .1 absolute, for skills are differences near 0."""
    pairs = [(row[name], its[name]) for row, its in zip(run.history, other.history, strict=True) for name in row | its]
    return max(0.0 if a == b else abs(a - b) / max(abs(a), 0.1) for a, b in pairs)


@pytest.mark.parametrize("name", CASES)
def test_stack_is_the_plain_loop_in_float64(name):
    """Two shapes of every case: equal streams, rates and recipes; histories to 1e-9, far above float64 rounding."""
    for task in jobs_of_two_shapes(shortened(CASES[name], 3), "float64"):
        for run, stacked in zip(map(train_single, task), train_stacked(task), strict=True):
            assert (run.stream, run.exact) == (stacked.stream, stacked.exact)
            assert run.learning_rates == stacked.learning_rates
            assert largest_difference(run, stacked) < 1e-9, (run.variant, run.seed)
            assert pytest.approx(run.metrics, rel=1e-9, abs=1e-9) == stacked.metrics


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_float32_stack_drifts_no_more_than_one_ulp_does(name):
    """The fixed variant, 6 steps: a stack is as near to the plain loop as that is to itself from a nudged start.

    Ten times the drift of one ulp in every weight, plus 1e-6: two roundings differ in size from case to case.
    """
    case = shortened(CASES[name], 6)
    fixed = next(variant.name for variant in case.variants if variant.role == "fixed")
    nudged = nudged_twin(case)
    jobs = [Job(case, fixed, seed) for seed in (0, 1)]
    alone = [train_single(job) for job in jobs]
    drift = max(map(largest_difference, alone, [train_single(replace(job, case=nudged)) for job in jobs]))
    together = train_stacked(jobs)
    assert max(map(largest_difference, alone, together)) < 10 * drift + 1e-6


def nudged_twin(case):
    """The same case, with every weight at the start one ulp further up."""

    class Nudged(type(case)):
        def make_model(self, settings, data):
            model = super().make_model(settings, data)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.copy_(torch.nextafter(parameter, torch.full_like(parameter, math.inf)))
            return model

    return Nudged(**{field.name: getattr(case, field.name) for field in fields(case)})


@pytest.mark.parametrize("name", CASES)
def test_run_does_not_depend_on_its_neighbours(name):
    """Bitwise on a CPU: the same run in stacks of one, of two and of five, at other places."""
    case = shortened(CASES[name], 3)
    fixed = next(variant.name for variant in case.variants if variant.role == "fixed")
    jobs = [Job(case, fixed, seed) for seed in range(5)]
    five, two, one = (train_stacked(its) for its in (jobs, [jobs[3], jobs[1]], [jobs[3]]))
    for run in (two[0], one[0]):
        assert replace(five[3], seconds=0.0) == replace(run, seconds=0.0)


@dataclass(frozen=True)
class LineSettings:
    """Fit a line."""

    lr: float = 0.05
    lr_min: float | None = 0.01
    weight_decay: float = 0.1
    clip: float | None = 0.5
    steps: int = 6
    batch: int = 4
    slope: float = 3.0


class Line(nn.Module):
    """A slope, an offset, and a weight that the loss never sees."""

    def __init__(self):
        super().__init__()
        self.line, self.norm, self.idle = nn.Linear(1, 1), nn.BatchNorm1d(1), nn.Parameter(torch.ones(3))

    def forward(self, x):
        """The line on normalised x."""
        return self.line(self.norm(x[:, None]))[:, 0]


class LineCase(ModelCase[LineSettings]):
    """A line that needs no fix."""

    def make_data(self, settings, seed):
        """x in (0, 1), y a line, and a weight for the loss of each step."""
        x = draws.uniform(draws.key(seed, 0, "line x"), (16,))
        weights = torch.arange(settings.steps, dtype=torch.float64) / settings.steps
        return {"train_x": x, "val_x": x, "slope": torch.tensor(settings.slope).double(), "step_weight": weights}

    def make_model(self, settings, data):
        """A fresh line."""
        return Line()

    def loss(self, model, data, rows, draws, settings):
        """A weighted squared error; the slope comes as a tensor."""
        assert data["step_weight"].ndim == 0
        x = data["train_x"][rows]
        return data["step_weight"] * nn.functional.mse_loss(model(x), data["slope"] * x)

    def evaluate(self, model, data, settings):
        """The slope, the idle weights, and the batches that BatchNorm has seen."""
        seen = model.norm.num_batches_tracked
        return {"slope": float(model.line.weight), "idle": float(model.idle.sum()), "batches": float(seen)}

    def baselines(self, data, settings):
        """None."""
        return ()

    def examine(self, fresh, trained, data, settings):
        """Nothing."""
        return ()


LINE = LineCase(
    name="line",
    title="a line",
    says="a line that needs no fix",
    settings=LineSettings(),
    seeds=2,
    variants=(
        Variant(name="fit", says="the line", role="fixed"),
        Variant(
            name="steep",
            says="gradients far above the clip",
            role="option",
            of="fit",
            changes={"slope": 3000.0, "clip": 0.1},
        ),
        Variant(
            name="slow",
            says="a tenth of the rate, no decay",
            role="option",
            of="fit",
            changes={"lr": 0.005, "weight_decay": 0.01},
        ),
        Variant(name="flat", says="no slope at all", role="option", of="fit", changes={"slope": 0.0}),
        Variant(name="free", says="no clipping", role="option", of="fit", changes={"clip": None}),
    ),
    metrics=(
        Metric(name="slope", says="fitted"),
        Metric(name="idle", says="of the weight that is not trained"),
        Metric(name="batches", says="that BatchNorm has seen"),
    ),
    claims=(),
    stackable=frozenset({"slope"}),
)


def test_settings_that_stack_act_run_by_run():
    """Rates, decay, clipping and a setting that comes as data: each run of a mixed stack has its own."""
    jobs = [Job(LINE, name, 0, dtype="float64") for name in ("fit", "steep", "slow")]
    assert 1 == len(group_jobs(jobs))
    together, alone = train_stacked(jobs), [train_single(job) for job in jobs]
    assert max(map(largest_difference, alone, together)) < 1e-12  # float64 rounding
    assert 3 == len({run.metrics["slope"] for run in together})


def test_settings_that_are_there_or_not_do_not_stack():
    """No slope and no clipping leave operations out, so that they make groups of their own."""
    groups = group_jobs(Job(LINE, variant.name, 0) for variant in LINE.variants)
    assert [["fit", "steep", "slow"], ["flat"], ["free"]] == [[job.variant for job in group] for group in groups]


def test_weights_that_the_loss_does_not_reach_keep_their_values():
    """As under torch's AdamW, which neither moves nor decays a parameter without a gradient."""
    assert {3.0} == {run.metrics["idle"] for run in train_stacked([Job(LINE, "fit", seed) for seed in (0, 1)])}


def test_batch_statistics_are_each_runs_own():
    """BatchNorm's counter has seen every step once, and its running mean differs from run to run."""
    runs = train_stacked([Job(LINE, "fit", seed) for seed in (0, 1)])
    assert [6.0, 6.0] == [run.metrics["batches"] for run in runs]


@dataclass(frozen=True, kw_only=True)
class GeneratingCase(LineCase):
    """The line, and what it answers to its own answers."""

    calls: list[str] = field(default_factory=list)

    def generate(self, model, data, settings):
        """Three answers, each to the one before."""
        self.calls.append("generate")
        answers = [data["val_x"]]
        for _ in range(3):
            answers.append(model(answers[-1]))
        return {"answers": torch.stack(answers)}

    def evaluate_trained(self, model, data, settings):
        """Their sum."""
        return {"answers": float(data["answers"].sum())}


def test_what_models_generate_is_made_by_all_of_a_stack_at_once():
    """One call for three runs, and each is scored on its own; in the plain loop a call for each run."""
    declared = {field.name: getattr(LINE, field.name) for field in fields(LINE)}
    metrics = (*LINE.metrics, Metric(name="answers", says="their sum"))
    case = GeneratingCase(**declared | {"metrics": metrics})
    jobs = [Job(case, name, 0, dtype="float64") for name in ("fit", "steep", "slow")]
    together = [run.metrics["answers"] for run in train_stacked(jobs)]
    assert (["generate"], 3) == (case.calls, len(set(together)))
    assert pytest.approx(together, rel=1e-12) == [train_single(job).metrics["answers"] for job in jobs]
    assert 4 == len(case.calls)


def test_stack_that_does_not_fit_is_halved(monkeypatch):
    """Out of memory with more than two runs: five are trained in halves, in order; a single run's error is raised."""
    sizes = []

    def small_memory(task):
        sizes.append(len(task))
        if len(task) > limit:
            raise torch.cuda.OutOfMemoryError
        return train_stacked(task)

    monkeypatch.setattr("goldmark.training._stacked.train_stacked", small_memory)
    case, limit = replace(LINE, stacks_on_cpu=True), 2
    runs = tasks.train_task(tuple(Job(case, "fit", seed) for seed in range(5)))
    assert list(range(5)) == [run.seed for run in runs]
    assert [5, 2, 3, 1, 2] == sizes
    limit = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        tasks.train_task((Job(case, "fit", 0),))
