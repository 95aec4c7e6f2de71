"""Augmentation: whether masks move with their images, and whether what a test is judged by has moved."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from goldmark.checks import check_misaligned_augmentation, check_unmoved_by_augmentation, preflight


def test_measure_is_the_mean_change_in_sd_of_the_targets():
    """Against numpy; rounding of float64 only."""
    plain, moved, targets = np.random.default_rng(0).normal(size=(3, 50))
    finding = check_unmoved_by_augmentation(*map(torch.from_numpy, (plain, moved, targets)))
    expected = np.abs(moved - plain).mean() / targets.std(ddof=1)
    assert pytest.approx(expected, rel=1e-12) == finding.numbers["moved"]
    assert not finding.trouble


@pytest.mark.parametrize(
    ("moved", "advice"), [(0.0, "compared with itself"), (1e-5, "collapsed"), (math.nan, "collapsed")]
)
def test_predictions_that_do_not_move_are_trouble(moved, advice):
    """Exactly equal is one function twice; next to equal is a constant model; NaN is trouble."""
    plain, targets = torch.ones(50), torch.linspace(-2, 2, 50)
    finding = check_unmoved_by_augmentation(plain.double(), plain.double() + moved, targets)
    assert finding.trouble
    assert advice in finding.advice


def test_predictions_of_two_sets_are_refused():
    """Nothing is broadcast."""
    with pytest.raises(ValueError, match=r"predictions \(3,\) and, augmented, \(1,\) differ in shape"):
        check_unmoved_by_augmentation(torch.zeros(3), torch.zeros(1), torch.zeros(3))


IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
MASKS = (IMAGES[:, :1] > 0).long()
MOVEMENTS = {
    "mirrored": lambda one: one.flip(-1),
    "upside down": lambda one: one.flip(-2),
    "half a turn": lambda one: one.flip(-2, -1),
    "a quarter": lambda one: torch.rot90(one, 1, (-2, -1)),
    "three quarters": lambda one: torch.rot90(one, 3, (-2, -1)),
}


def misaligned(move_image, move_mask, masks=MASKS):
    """Whether draws of all examples, as they are and once moved, are trouble."""
    draws = [((x, y), (move_image(x), move_mask(y))) for x, y in zip(IMAGES, masks, strict=True)]
    return check_misaligned_augmentation(draws).trouble


def unmoved(one):
    """A draw as it was."""
    return one


@pytest.mark.parametrize("move", MOVEMENTS.values(), ids=MOVEMENTS)
def test_image_and_mask_must_move_together(move):
    """One without the other is trouble, as is another movement; brightness and contrast are the image's own."""
    assert not misaligned(move, move)
    assert not misaligned(lambda one: 1.3 * move(one) + 0.2, move)
    assert misaligned(move, unmoved)
    assert misaligned(unmoved, move)
    assert misaligned(lambda one: 1.3 * move(one) + 0.2, lambda one: move(one).transpose(-2, -1))


def test_one_example_is_no_evidence():
    """An accident of one picture, such as a mask that is its own image under another movement."""
    draws = [((x, y), (x.flip(-1), y)) for x, y in zip(IMAGES, MASKS, strict=True)]
    answers = [check_misaligned_augmentation(draws[:n]) for n in (1, 2)]
    assert [(False, 1.0), (True, 2.0)] == [(one.trouble, one.numbers["misaligned"]) for one in answers]


def test_what_is_no_mirror_image_of_itself_passes():
    """Flow changes its sign as it is mirrored, left and right arms their labels; noise and crops leave no relation."""
    mirror = MOVEMENTS["mirrored"]
    assert not misaligned(mirror, lambda flow: -flow.flip(-1), masks=2 * MASKS - 1)
    assert not misaligned(
        mirror, lambda arms: torch.tensor([0, 2, 1])[arms.flip(-1)], masks=MASKS + (IMAGES[:, 1:2] > 1)
    )
    assert not misaligned(lambda one: mirror(one) + 0.1 * torch.randn_like(one), unmoved)
    assert not misaligned(mirror, unmoved, masks=IMAGES[:, 1:2])
    assert not misaligned(mirror, unmoved, masks=torch.ones_like(MASKS))


POINTS = torch.tensor([[[1.0, 2.0], [3.0, 5.0]], [[0.0, 4.0], [2.0, 6.0]], [[0.1, 0.2], [0.3, 0.4]], [[3, 3], [4, 4]]])


@pytest.mark.parametrize("targets", [POINTS, POINTS.flatten(1), POINTS / 6], ids=["points", "boxes", "shares"])
def test_points_that_stay_as_their_images_move_are_trouble(targets):
    """Of which two examples or more have unlike ones; those that move, by whatever rule, are none."""
    mirror = MOVEMENTS["mirrored"]
    assert misaligned(mirror, unmoved, masks=targets)
    assert not misaligned(unmoved, unmoved, masks=targets)
    assert not misaligned(mirror, lambda points: 6 - points, masks=targets)
    assert not misaligned(lambda one: one + torch.randn_like(one), unmoved, masks=targets)


@pytest.mark.parametrize(
    "targets",
    [POINTS[:, :1], POINTS.flatten(1).flip(1), -POINTS, 10 * POINTS, POINTS[:, 0, 0], POINTS[:1].expand(4, 2, 2)],
    ids=["one point", "no corners", "negative", "outside", "one number", "all alike"],
)
def test_targets_that_may_be_no_points_pass(targets):
    """As an age and a weight, which a mirror leaves as they are."""
    assert not misaligned(MOVEMENTS["mirrored"], unmoved, masks=targets)


def test_images_that_are_to_be_turned_back_pass():
    """The target is the image itself, in black and white, upright or not."""
    draws = [((y.float(), y), (y.float().flip(-1), y)) for y in MASKS]
    assert not check_misaligned_augmentation(draws).trouble


class Mirrored(Dataset):
    """Images and masks that are mirrored where a generator of the dataset's own says so."""

    def __init__(self, move_mask):
        self.generator, self.move_mask = np.random.default_rng(0), move_mask

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        mirrored = self.generator.random() < 0.5
        image, mask = IMAGES[index], MASKS[index, 0]
        return (image.flip(-1), self.move_mask(mask)) if mirrored else (image, mask)


@pytest.mark.parametrize(("move_mask", "expected"), [(unmoved, True), (MOVEMENTS["mirrored"], False)])
def test_examples_are_drawn_again_from_a_loader(move_mask, expected):
    """Nothing needs to be declared; the dataset's generator is left as it was."""
    dataset, model = Mirrored(move_mask), nn.Conv2d(3, 2, 3, padding=1)
    before = dataset.generator.bit_generator.state
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = preflight(model, optimizer, DataLoader(dataset, batch_size=4), None, functional.cross_entropy)
    assert expected == ("misaligned_augmentation" in found.names)
    assert before == dataset.generator.bit_generator.state
