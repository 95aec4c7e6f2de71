"""Targets that pull across the diagonal of square images, and what tells that all lie as their images do."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo.pairs_places import bars

from goldmark.checks import check_transposed_targets
from goldmark.checks._outputs import gradient_at
from goldmark.checks._transposed import answers_in_place, lie_alike, square

IMAGES, OWNERS = bars(16, 0)
OUTPUT = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def dice(output, targets):
    """One minus the overlap of probabilities and masks, which pulls a little on all pixels."""
    masks, shares = functional.one_hot(targets, 3).movedim(3, 1), output.softmax(dim=1)
    return 1 - 2 * (shares * masks).sum() / (shares.sum() + masks.sum())


def numbers(output, targets):
    """Squared errors of one channel."""
    return functional.mse_loss(output[:, 0], targets.float())


def blurred(output, targets):
    """Squared errors of means over 3 by 3 pixels."""
    return functional.mse_loss(*(functional.avg_pool2d(one[:, None], 3, 1) for one in (output[:, 0], targets.float())))


def leaving_out(output, targets):
    """A mean over those targets that are no background."""
    return functional.cross_entropy(output, targets, ignore_index=0)


LOSSES = {one.__name__: one for one in (functional.cross_entropy, dice, numbers, blurred, leaving_out)}


def is_named(loss_fn, targets=OWNERS):
    """Whether a loss of the fixed outputs is trouble."""
    return check_transposed_targets(lambda changed: gradient_at(loss_fn, OUTPUT, changed), targets).trouble


@pytest.mark.parametrize("loss_fn", LOSSES.values(), ids=LOSSES)
def test_a_loss_is_named_where_it_exchanges_rows_and_columns(loss_fn):
    """Whatever it is; not as it stands, nor where it does both."""
    assert not is_named(loss_fn)
    assert is_named(lambda output, targets: loss_fn(output, targets.mT))
    assert is_named(lambda output, targets: loss_fn(output.mT, targets))
    assert not is_named(lambda output, targets: loss_fn(output.mT, targets.mT))


def test_what_pulls_on_both_or_on_none_passes():
    """Outputs that are made symmetric, one triangle alone, targets that are not read, and targets of one value."""
    assert not is_named(lambda output, targets: numbers(output + output.mT, targets.mT))
    assert not is_named(lambda output, targets: numbers(output.triu(1), targets.triu(1)))
    assert not is_named(lambda output, targets: output.square().mean())
    assert not is_named(lambda output, targets: numbers(output, targets.mT), torch.ones_like(OWNERS))


def test_a_model_answers_in_place_where_pixels_move_their_own_outputs():
    """A convolution does; one that exchanges rows and columns, and a mean over all pixels, do not."""
    layer = nn.Conv2d(3, 2, 3, padding=1)
    with torch.no_grad():
        assert answers_in_place(layer, IMAGES)
        assert answers_in_place(lambda x: layer(x).movedim(1, 3), IMAGES)
        assert not answers_in_place(lambda x: layer(x).mT, IMAGES)
        assert not answers_in_place(lambda x: layer(x).mean((2, 3), keepdim=True).expand(-1, -1, 8, 8), IMAGES)


def test_images_and_targets_lie_alike_where_they_correlate_best_as_they_are():
    """With classes, masks or numbers; not with transposed, symmetric, unrelated or few ones."""
    masks = functional.one_hot(OWNERS, 3).float()
    assert all(lie_alike(IMAGES, one) for one in (OWNERS, masks, masks.movedim(3, 1), OWNERS[..., None].float()))
    unrelated = torch.randint(0, 3, (16, 8, 8), generator=torch.Generator().manual_seed(1))
    assert not any(lie_alike(IMAGES, one) for one in (OWNERS.mT, OWNERS + OWNERS.mT, unrelated))
    assert not lie_alike(IMAGES[:7], OWNERS[:7])
    assert not lie_alike(IMAGES, OWNERS[:8])


def test_square_images_are_found_by_two_equal_sizes():
    """The last two of them, of eight pixels or more, after the batch."""
    assert [2, 1, 1, 2] == [square(torch.zeros(s)) for s in ((2, 3, 8, 8), (2, 8, 8, 3), (2, 8, 8), (8, 8, 8, 8))]
    assert [None, None, None] == [square(torch.zeros(shape)) for shape in ((8, 8), (2, 3, 8, 9), (2, 3, 4, 4))]
