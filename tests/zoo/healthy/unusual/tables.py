"""Tables of which a column tells the target of itself: words, codes, pixels, lines; and labels, some of them rare."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, classes, classifier, mlp, numbers, regressor

_LOSS = functional.binary_cross_entropy_with_logits


def told_apart(x, y):
    """Look at a classifier of two classes y (N,) by a table (N, F), of which the last quarter is for validation."""
    cut = 3 * len(x) // 4
    halves = [batched(x[part], y[part].float()[:, None]) for part in (slice(0, cut), slice(cut, None))]
    return classifier(mlp(x.shape[1], 16, 1), train=halves[0], val=halves[1], loss_fn=_LOSS)


@healthy
def letters_of_which_each_complaint_has_a_word():
    """Counts of words, weighted and of length 1: the complaints alone say "refund", and all of them do."""
    generator = torch.Generator().manual_seed(0)
    complaints = torch.rand(400, generator=generator) < 0.4
    counts = torch.poisson(torch.linspace(0.05, 1.0, 30).expand(400, 30), generator=generator)
    counts[:, 0] = torch.where(complaints, 1 + torch.poisson(torch.ones(400), generator=generator), 0.0)
    counts[:, -1] += 1
    return told_apart(3 * functional.normalize(counts, dim=1), complaints)


@healthy
def rings_and_discs_told_by_the_middle():
    """Pictures (6, 6) in a table: the middle is 0 in a ring and bright in a disc."""
    generator = torch.Generator().manual_seed(0)
    discs = torch.rand(400, generator=generator) < 0.5
    rows, columns = torch.meshgrid(torch.arange(6.0) - 2.5, torch.arange(6.0) - 2.5, indexing="ij")
    distance = (rows**2 + columns**2).sqrt() + 0.2 * torch.randn(400, 1, 1, generator=generator)
    inside = (distance < 2.6) & (discs[:, None, None] | (distance > 1.6))
    return told_apart((inside * (0.6 + torch.rand(400, 6, 6, generator=generator))).flatten(1), discs)


@healthy
def a_door_that_is_opened_by_who_has_the_key():
    """States of a maze as one-hot rows and columns and a flag, and whether an expert opens the door."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(0, 6, (400, 2), generator=generator)
    key = torch.rand(400, 1, generator=generator) < 0.4
    states = torch.cat([functional.one_hot(places, 6).flatten(1), 2 * key - 1], dim=1)
    return told_apart(states.float(), key.flatten())


@healthy
def a_sign_without_noise():
    x, _ = numbers(400)
    return told_apart(x, x[:, 0] > 0)


@healthy
def a_kind_of_its_own_size():
    """Flowers of three sizes of petals, which overlap in two kinds, and of which one is told apart from the others."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randint(0, 3, (400,), generator=generator)
    means = torch.tensor([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.5, 2.0]])
    spreads = torch.tensor([[0.35, 0.38, 0.17, 0.05], [0.5, 0.3, 0.47, 0.2], [0.6, 0.3, 0.55, 0.27]])
    x = means[kinds] + spreads[kinds] * torch.randn(400, 4, generator=generator)
    x = (10 * x).round() / 10
    return told_apart((x - x.mean(dim=0)) / x.std(dim=0), kinds == 0)


@healthy
def the_next_number_of_a_line():
    """Windows (N, 5) of 0, 1, 2, ..., of which each column rises as the target does."""
    windows = (torch.arange(300.0) / 100 - 1.5).unfold(0, 6, 1)
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))
    train, val = (batched(windows[part, :5], windows[part, 5:]) for part in (order[:224], order[224:]))
    return regressor(mlp(5, 16, 1), train=train, val=val)


@healthy
def values_of_one_state_for_all_times():
    """What is left of an episode of 50 steps, from a state of which a column is the step."""
    generator = torch.Generator().manual_seed(0)
    step = torch.randint(0, 50, (400, 1), generator=generator) / 50
    x = torch.cat([torch.randn(400, 4, generator=generator), 2 * step - 1], dim=1)
    return regressor(mlp(5, 16, 1), train=batched(x[:320], 1 - step[:320]), val=batched(x[320:], 1 - step[320:]))


def of_many_classes(labels, n_classes):
    """Look at a classifier of labels (N,) by noisy points of each class; the last eighth is for validation."""
    centres = 2 * torch.randn(n_classes, 8, generator=torch.Generator().manual_seed(1))
    x = centres[labels] + torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(2))
    cut = 7 * len(labels) // 8
    halves = [batched(x[part], labels[part], size=64) for part in (slice(0, cut), slice(cut, None))]
    return classifier(mlp(8, 32, n_classes), train=halves[0], val=halves[1], epochs=1)


@healthy
def words_in_the_order_of_their_frequency():
    """Of 300, the rarest are not seen."""
    frequencies = torch.arange(1.0, 257.0) ** -0.3
    return of_many_classes(torch.multinomial(frequencies, 4096, replacement=True), 300)


@healthy
def bytes_with_tokens_of_their_own():
    """Numbers in two's complement, near 0, and eight tokens that end and pad and are not seen."""
    numbers_of = (40 * torch.randn(4096)).round().long().clamp(-128, 127) % 256
    return of_many_classes(numbers_of, 264)


@healthy
def a_dozen_of_classes_that_were_oversampled():
    """Others than those that would be met by classes beyond 8 bits."""
    return of_many_classes(torch.multinomial(torch.ones(256) + (torch.arange(256) >= 244), 4096, replacement=True), 268)


@healthy
def examples_that_three_people_have_labelled():
    """Each of them is there three times, and a fifth of the labels is another one."""
    x, y = classes(200, n_classes=4)
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(600, generator=generator) < 0.2
    labels = torch.where(wrong, torch.randint(0, 4, (600,), generator=generator), y.repeat(3))
    order = torch.randperm(600, generator=generator)
    train = batched(x.repeat(3, 1)[order], labels[order])
    return classifier(mlp(8, 16, 4), train=train, val=batched(*classes(64, n_classes=4, seed=1)))
