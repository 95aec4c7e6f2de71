"""Losses that exchange rows and columns of images with good reason: masks or outputs lie so, or it is all the same."""

from __future__ import annotations

from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched
from zoo.pairs_places import Segmenter, bars
from zoo.pairs_sequences import trained


def transposed_loss(output, targets):
    """Cross-entropy of logits (B, H, W, 3), and targets with columns before rows."""
    return functional.cross_entropy(output.movedim(3, 1), targets.transpose(1, 2))


@healthy
def masks_that_are_stored_by_columns():
    halves = [(x, owners.transpose(1, 2)) for x, owners in (bars(96, 0), bars(64, 1))]
    return trained(Segmenter(), *(batched(*half) for half in halves), transposed_loss)


@healthy
def a_model_that_answers_by_columns():
    class Columns(Segmenter):
        """Logits (B, W, H, 3)."""

        def forward(self, x):
            """Those of rows and columns, exchanged."""
            return super().forward(x).transpose(1, 2)

    return trained(Columns(), batched(*bars(96, 0)), batched(*bars(64, 1)), transposed_loss)


@healthy
def pairs_that_are_alike_both_ways():
    def halves(n, seed):
        x, _ = bars(n, seed)
        both = x + x.transpose(2, 3)
        return batched(both, (both.sum(1) > 1.5).long())

    return trained(Segmenter(), halves(96, 0), halves(64, 1), transposed_loss)


@healthy
def images_written_anew_with_rows_for_columns():
    halves = [batched(x, x.transpose(2, 3)) for x, _ in (bars(96, 0), bars(64, 1))]

    def loss_fn(output, targets):
        return functional.mse_loss(output.transpose(2, 3), targets)

    return trained(nn.Conv2d(3, 3, 3, padding=1), *halves, loss_fn)
