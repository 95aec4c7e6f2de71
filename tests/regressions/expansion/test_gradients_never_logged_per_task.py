"""The record logged the norm of the whole gradient, "healthy" at all times, and never that of each task."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from goldmark.case import Finding
from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.terms import TERMS, term_losses
from goldmark.training.draws import Draws

HEALTHY = (0.001, 100.0)  # of the whole gradient's norm, as in the record
MOST = 0.5  # of the gradient on the shared trunk
STEPS = 34  # half of a run: at the start the share misleads, and at the end it is too late
SCALES = {"broken": "bars", "fixed": "unit"}


@pytest.fixture(scope="module")
def halfway(made):
    """Settings, data and model of both recipes, halfway through their training."""

    def trained(scale):
        settings, data, model = made(n_train=64, batch=32, bars=72, countdown_scale=scale)
        groups = {name: CASE.learning_rate(settings, name) for name, _ in model.named_parameters()}
        optimizer = torch.optim.AdamW([{"params": [p], "lr": groups[name]} for name, p in model.named_parameters()])
        for step in range(STEPS):
            rows = torch.arange(settings.batch) + settings.batch * (step % 2)
            optimizer.zero_grad()
            CASE.loss(model, data, rows, Draws.at(0, step), settings).backward()
            optimizer.step()
        return settings, data, model

    return {name: trained(scale) for name, scale in SCALES.items()}


def whole_norm(settings, data, model):
    """The record's log: return whether the norm of the whole gradient is out of its healthy range."""
    model.zero_grad()
    CASE.loss(model, data, torch.arange(settings.batch), Draws.at(0, STEPS), settings).backward()
    norm = float(nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))
    return not HEALTHY[0] <= norm <= HEALTHY[1]


def per_task(settings, data, model):
    """What the case logs: return whether the countdown has most of the weighted gradient on the shared trunk."""
    return logged_share(settings, data, model) > MOST


def logged_share(settings, data, model):
    """The countdown's share as evaluation logs it; NaN where it does not."""
    with torch.no_grad():
        return CASE.evaluate(model, data, settings).get("countdown_share_gradient", math.nan)


def blind(log, halfway):
    """Find out whether a log fails to alarm on the broken recipe alone."""
    alarms = {name: log(*made) for name, made in halfway.items()}
    return Finding(
        name="blind_log",
        trouble=alarms != {"broken": True, "fixed": False},
        numbers={name: float(alarm) for name, alarm in alarms.items()},
        threshold=0.0,
        advice="the log of gradients does not tell which task has the trunk: log the share of each task's gradient",
    )


def test_shares_of_each_task_tell_the_broken_recipe(halfway):
    """The right form: the countdown's share of the trunk is more than half with a countdown in bars, and not else."""
    finding = blind(per_task, halfway)
    assert not finding.trouble, f"{finding.advice}; alarms: {dict(finding.numbers)}"


def test_the_whole_norm_is_healthy_either_way(halfway):
    """The broken form: both recipes have a norm between .001 and 100."""
    assert blind(whole_norm, halfway).trouble


def test_what_is_logged_is_the_share_of_one_task(halfway):
    """Second implementation: the norm of each weighted term's gradient on the LSTM and the bottleneck, one by one."""
    settings, data, model = halfway["broken"]
    norms = {}
    for place, term in enumerate(TERMS):
        model.zero_grad()
        losses, _ = term_losses(model, data, "train")
        (losses[term] * (-2 * model.log_sigma[place]).exp() / 2).backward()
        trunk = [*model.lstm.parameters(), *model.bottleneck.parameters()]
        norms[term] = float(torch.cat([p.grad.flatten() for p in trunk]).norm())
    expected = norms["countdown"] / sum(norms.values())
    assert pytest.approx(expected, rel=1e-4) == logged_share(settings, data, model), (  # sums of float32
        "what evaluation logs is not the countdown's share of the gradient: log the gradient of each task"
    )


def test_the_share_is_a_metric_of_every_run():
    """It is kept with each run, so that a bad one can be explained afterwards."""
    assert "countdown_share_gradient" in {metric.name for metric in CASE.metrics}
