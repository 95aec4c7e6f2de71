"""Submodules that fall back into eval mode while they train."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import goldmark
from goldmark import checks


def model_of_parts():
    """An encoder with dropout, a norm of its own, and a head."""
    return nn.ModuleDict(
        {
            "encoder": nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)),
            "norms": nn.ModuleList([nn.BatchNorm1d(8)]),
            "head": nn.Linear(8, 1),
        }
    )


def fallen(modes, *, part="encoder", epochs=(), optimizer_of=None, without=()):
    """Take a step in each of some modes of a part: `t` for training, `e` for eval; return what is left on in eval."""
    model = model_of_parts()
    optimizer = torch.optim.SGD((optimizer_of or (lambda model: model.parameters()))(model), lr=0.1)
    with goldmark.watch(model, optimizer) as watch:
        for place, mode in enumerate(modes):
            model[part].train(mode == "t")
            hidden = model["norms"][0](model["encoder"](torch.randn(6, 4)))
            optimizer.zero_grad()
            model["head"](hidden.detach() if place in without else hidden).square().mean().backward()
            watch.after_backward()
            optimizer.step()
            if place + 1 in epochs:
                watch.end_epoch()
    return [finding for finding in watch.findings if finding.name == "eval_mode_left_on"]


def test_a_part_that_falls_twice_is_named():
    """By the outermost module that is in eval mode."""
    (finding,) = fallen("tt" + "eeee" + "t" + "eeee")
    assert "encoder" in finding.relation
    assert "norms" not in finding.relation


@pytest.mark.parametrize("modes", ["tteeee", "eeeeteeee", "ttettettett", "eeeeeeeee", "teeeteeeteee"])
def test_one_fall_and_short_ones_pass(modes):
    """A part that never was in training mode did not fall."""
    assert [] == fallen(modes)


def test_falls_where_epochs_begin_pass():
    """Parts may take turns."""
    assert [] == fallen("teeee" * 3, epochs=(1, 6, 11))
    assert [] != fallen("teeee" * 3, epochs=(5, 10))


def test_a_part_without_a_gradient_or_whose_optimizer_does_not_step_passes():
    """As in alternating training."""
    assert [] == fallen("teeee" * 3, without=[place for place in range(15) if place % 5])
    assert [] == fallen("teeee" * 3, optimizer_of=lambda model: model["head"].parameters())


def test_norms_alone_are_frozen_on_purpose():
    """Whether they lie in a list of their own or not."""
    assert [] == fallen("teeee" * 3, part="norms")


def test_the_check_by_itself_takes_names():
    """The model itself has no name."""
    model = model_of_parts()
    assert not checks.check_eval_mode_left_on(model).trouble
    finding = checks.check_eval_mode_left_on(model, {"encoder", ""})
    assert finding.trouble
    assert "encoder, the model" in finding.relation
