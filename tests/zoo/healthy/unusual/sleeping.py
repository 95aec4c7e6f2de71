"""Submodules that are in eval mode for some of the steps, as it is meant."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.healthy.unusual.batches import data
from zoo.loops import look, plain_step


class Encoded(nn.Module):
    """An encoder with dropout and BatchNorm, and a head."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))

    def forward(self, x):
        """Logits (B, 3)."""
        return self.head(self.encoder(x))


def moded(set_modes, *, epochs=4):
    """Look at steps before each of which `set_modes(model, epoch, step)` is called."""
    model, places = Encoded(), [0, 0]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        set_modes(model, *places)
        plain_step(watcher, model, optimizer, inputs, targets)
        places[1] += 1

    def end(epoch):
        places[:] = epoch + 1, 0

    return look(model, optimizer, *data(), functional.cross_entropy, step=step, end=end, epochs=epochs)


@healthy
def batchnorm_that_stands_still_for_the_rest_of_each_epoch():
    def set_modes(model, epoch, step):
        model.encoder[1].train(step < 3)

    return moded(set_modes)


@healthy
def an_encoder_that_is_frozen_for_half_of_each_epoch():
    def set_modes(model, epoch, step):
        model.encoder.train(step < 3).requires_grad_(step < 3)

    return moded(set_modes)


@healthy
def an_encoder_that_sleeps_for_good_amid_an_epoch():
    def set_modes(model, epoch, step):
        model.encoder.train(epoch < 1 or (epoch == 1 and step < 3))

    return moded(set_modes)


@healthy
def parts_that_take_turns_by_the_epoch():
    def set_modes(model, epoch, step):
        model.encoder.train(epoch % 2 == 0)
        model.head.train(epoch % 2 == 1)

    return moded(set_modes, epochs=6)
