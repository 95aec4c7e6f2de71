"""Masks that lie elsewhere than what they mark, and inputs of which one is the same for all examples."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import check_constant_inputs, check_masks_elsewhere


def marked(n, seed, *, channels=1, labels=1):
    """Noisy images (N, C, 24, 24) of bright squares, and masks (N, 24, 24) of as many labels."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(n, 24, 24, dtype=torch.long)
    rows, columns = torch.randint(3, 15, (2, n), generator=generator).tolist()
    for place, (row, column) in enumerate(zip(rows, columns, strict=True)):
        masks[place, row : row + 6, column : column + 7] = 1 + place % labels
    images = masks[:, None].bool() + 0.4 * torch.randn(n, channels, 24, 24, generator=generator)
    return images, masks


def moved(masks, generator):
    """Shift each mask by some pixels, up or down."""
    places = torch.randint(3, 6, (len(masks), 2), generator=generator) * (
        2 * torch.randint(0, 2, (len(masks), 1), generator=generator) - 1
    )
    return torch.stack([mask.roll(place.tolist(), (0, 1)) for mask, place in zip(masks, places, strict=True)])


@pytest.mark.parametrize(("channels", "labels"), [(1, 1), (3, 1), (4, 2), (1, 5)])
def test_masks_are_named_where_training_alone_has_them_elsewhere(channels, labels):
    """Not in place, nor where validation has them elsewhere, too, nor of few examples."""
    images, masks = marked(32, 0, channels=channels, labels=labels)
    val = marked(16, 1, channels=channels, labels=labels)
    elsewhere = moved(masks, torch.Generator().manual_seed(2))
    assert check_masks_elsewhere(images, elsewhere, *val).trouble
    assert check_masks_elsewhere(images, elsewhere[:, None].float(), val[0], val[1][:, None]).trouble
    assert not check_masks_elsewhere(images, masks, *val).trouble
    assert not check_masks_elsewhere(images, elsewhere, images, elsewhere).trouble
    assert not check_masks_elsewhere(images[:15], elsewhere[:15], *val).trouble
    assert not check_masks_elsewhere(images, elsewhere, val[0][:7], val[1][:7]).trouble


def test_masks_of_other_images_lie_elsewhere():
    """As where two lists of files are in two orders; on large images every second pixel is looked at."""
    images, masks = (part.repeat_interleave(5, -1).repeat_interleave(5, -2) for part in marked(32, 0))
    val = [part.repeat_interleave(5, -1).repeat_interleave(5, -2) for part in marked(16, 1)]
    finding = check_masks_elsewhere(images, masks.roll(1, 0), *val)
    assert finding.trouble
    assert finding.numbers["told"] < 0.3
    assert not check_masks_elsewhere(images, masks, *val).trouble


@pytest.mark.parametrize(
    "change",
    [
        lambda images, masks: (images + 4 * torch.randn_like(images), masks),
        lambda images, masks: (
            torch.where(torch.arange(len(images))[:, None, None, None] % 2 == 0, images, -images),
            masks,
        ),
        lambda images, masks: (images.roll(3, -1), masks.roll(3, -1)),
        lambda images, masks: (torch.randn_like(images), masks),
        lambda images, masks: (images, torch.zeros_like(masks)),
        lambda images, masks: (images, torch.ones_like(masks)),
        lambda images, masks: (
            images,
            torch.zeros_like(masks).index_fill(2, torch.tensor([0]), 1)[:, :3].repeat(1, 8, 1),
        ),
        lambda images, masks: (images * torch.nan, masks),
    ],
    ids=["noise", "inverted", "moved alike", "nothing to see", "empty", "full", "stripes", "not finite"],
)
def test_training_images_that_hide_what_is_marked_pass(change):
    """Whatever a healthy augmentation, or masks without marks, may bring."""
    torch.manual_seed(0)
    assert not check_masks_elsewhere(*change(*marked(32, 0)), *marked(16, 1)).trouble


def test_preflight_compares_both_halves():
    """Targets that are no masks, of unlike size or of any numbers, are left alone."""
    images, masks = marked(32, 0)
    val = [(image, mask.float()) for image, mask in [marked(16, 1)]]
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(0, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def named(targets):
        train = [(images[part], targets[part].float()) for part in (slice(0, 16), slice(16, 32))]
        loss_fn = functional.binary_cross_entropy_with_logits
        return "masks_elsewhere" in goldmark.preflight(model, optimizer, train, val, loss_fn).names

    elsewhere = moved(masks, torch.Generator().manual_seed(2))
    assert [True, False, False] == [named(targets) for targets in (elsewhere, masks, elsewhere + 0.3 * images[:, 0])]


class Conditioned(nn.Module):
    """A regression on a token, or another number for all, and inputs (B, 4)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(5, 1)

    def forward(self, condition, x):
        """Numbers (B, 1)."""
        return self.body(torch.cat([condition[:, None].float(), x], dim=1))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), False),
        (torch.arange(4.0).repeat_interleave(16)[:, None].expand(64, 4), False),
        (torch.full((64, 4), 0.5), True),
    ],
    ids=["all unlike", "unlike between batches", "all equal"],
)
def test_one_of_several_inputs_may_be_the_same_for_all(x, expected):
    """Only where each of them is are all examples equal."""
    model, tokens = Conditioned(), torch.full((64,), 7)
    targets = torch.randn(64, 1, generator=torch.Generator().manual_seed(1))
    train = [((tokens[:16], x[at : at + 16]), targets[at : at + 16]) for at in range(0, 64, 16)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert expected == (
        "constant_inputs" in goldmark.preflight(model, optimizer, train, None, functional.mse_loss).names
    )


def test_a_column_that_is_lost_is_named_whatever_stands_beside_it():
    """The other inputs excuse a first one that is the same in all of its numbers."""
    table = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    assert not check_constant_inputs(torch.ones(64, 4), others=[table]).trouble
    assert check_constant_inputs(torch.ones(64, 4), others=[torch.ones(3, 2)]).trouble
    table[:, 1] = -9.0
    assert check_constant_inputs(table, others=[table]).trouble
