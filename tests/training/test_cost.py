"""The cost of a run, found without training it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from goldmark.case import Metric, ModelCase, Variant
from goldmark.cases import CASES
from goldmark.runs import Job
from goldmark.training import _cost as cost
from goldmark.training._single import train_single


@dataclass(frozen=True)
class Settings:
    """One linear layer."""

    lr: float = 0.1
    lr_min: float | None = None
    weight_decay: float = 0.0
    clip: float | None = None
    steps: int = 7
    batch: int = 5
    n_train: int = 50
    n_val: int = 10


class LinearCase(ModelCase[Settings]):
    """A layer."""

    def make_data(self, settings, seed):
        """Ones."""
        return {"train_x": torch.ones(settings.n_train, 3), "val_x": torch.ones(settings.n_val, 3)}

    def make_model(self, settings, data):
        """Three inputs, four outputs."""
        return nn.Linear(3, 4)

    def loss(self, model, data, rows, draws, settings):
        """The mean square of the outputs."""
        return model(data["train_x"][rows]).square().mean()

    def evaluate(self, model, data, settings):
        """Nothing."""
        return {}

    def baselines(self, data, settings):
        """None."""
        return ()

    def examine(self, fresh, trained, data, settings):
        """Nothing."""
        return ()


LINEAR = LinearCase(
    name="linear",
    title="a layer",
    says="a layer",
    settings=Settings(),
    seeds=1,
    variants=(
        Variant(name="fit", says="fit", role="fixed"),
        Variant(name="wide", says="twice the batch", role="option", of="fit", changes={"batch": 10}),
    ),
    metrics=(Metric(name="none", says="none"),),
    claims=(),
)


def test_operations_are_those_of_the_matrix_products():
    """B x 3 times 3 x 4: 2 B 12 forward and as many for the weights' gradient; the inputs need none."""
    found = cost.counted_cost(Job(LINEAR, "fit", 0))
    assert (16, 7, 2 * 2 * 5 * 12) == (found.n_parameters, found.n_steps, found.flops_per_step)
    assert 2 * found.flops_per_step == cost.counted_cost(Job(LINEAR, "wide", 0)).flops_per_step


def test_memory_grows_with_the_batch_and_with_the_data():
    """What the backward pass keeps follows the batch, and every example counts."""
    small, wide = (cost.counted_cost(Job(LINEAR, name, 0)).n_bytes for name in ("fit", "wide"))
    longer = replace(LINEAR, settings=replace(LINEAR.settings, n_train=1050))
    assert wide > small
    assert 2 * 1000 * 3 * 4 == cost.counted_cost(Job(longer, "fit", 0)).n_bytes - small


def test_parameters_are_those_of_a_trained_run():
    """The model that is counted is the one that is trained."""
    roast = CASES["roast"]
    job = Job(replace(roast, settings=replace(roast.settings, steps=1)), "normalized", 0)
    assert train_single(job).exact["n_parameters"] == cost.counted_cost(job).n_parameters


def test_stack_fits_into_the_free_memory(monkeypatch):
    """Seven tenths of what is free, shared by the processes, and never less than one run."""
    a_run = cost.counted_cost(Job(LINEAR, "fit", 0))
    monkeypatch.setattr(cost, "free_bytes", lambda device: 100 * a_run.n_bytes)
    assert [70, 35, 1] == [cost.largest_stack(a_run, "cpu", processes) for processes in (1, 2, 1000)]
