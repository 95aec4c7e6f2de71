"""Loaders: the order of examples, and whether random augmentation is random."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, WeightedRandomSampler, default_collate

from goldmark.case import Finding
from goldmark.checks._structures import row_keys

Collate = Callable[[list[Any]], Any]


def check_fixed_order(first: Tensor, second: Tensor, *, shuffled: bool) -> Finding:
    """Find out whether two epochs of a loader that is meant to shuffle have one order; both are `row_keys` (N,)."""
    same = len(first) == len(second) and len(first) >= 8 and torch.equal(first, second)
    return Finding(
        name="fixed_order",
        trouble=shuffled and same and bool((first != first[0]).any()),
        numbers={"examples": float(len(first)), "shuffled": float(shuffled)},
        threshold=0.0,
        relation="two epochs of a shuffling loader must differ in order",
        advice="seed the generator once, before the first epoch, and not in __iter__ or at the start of each epoch",
    )


def shuffles(loader: Any) -> bool:
    """Tell whether a loader says that it shuffles: a DataLoader that was built with shuffle=True."""
    return isinstance(_sampler_of(loader), RandomSampler)


def _sampler_of(loader: Any) -> Any:
    """Return what draws the examples of a loader, also where batches are sampled."""
    batches = getattr(loader, "batch_sampler", None)
    return batches.sampler if isinstance(batches, BatchSampler) else getattr(loader, "sampler", None)


def draws_examples(loader: Any, n_rows: int) -> bool:
    """Tell whether the rows of a loader's batches are examples that it drew at random: no series, and none goes on."""
    return shuffles(loader) and (getattr(loader, "batch_size", None) or 0) >= n_rows > 1


def check_one_batch(n_unlike: int, n_samples: int, n_known: int, forwards: float = 1.0) -> Finding:
    """Find out whether training sees one batch again and again, of several that there are.

    `forwards` are the forward passes to a backward one: of several, the batches of all but the last are not known.
    """
    return Finding(
        name="one_batch",
        trouble=n_unlike == 1 and n_samples >= 8 and n_known > 1 and forwards < 1.5,
        numbers={"unlike_batches": float(n_unlike), "samples": float(n_samples), "batches": float(n_known)},
        threshold=1.0,
        relation="training must go through its batches",
        advice="make the iterator once an epoch: next(iter(loader)) in a loop begins anew each time",
    )


def check_augmentation_without_effect(
    dataset: Any, indices: Iterable[int] = range(8), n_draws: int = 4, *, collate_fn: Collate = default_collate
) -> Finding:
    """Find out whether a dataset that is declared to augment gives the same examples every time, also once collated."""
    chosen = list(indices)
    draws = torch.stack([row_keys(collate_fn([dataset[index] for index in chosen])) for _ in range(n_draws)])
    varied = int((draws != draws[:1]).any(dim=0).sum())
    return Finding(
        name="augmentation_without_effect",
        trouble=varied == 0,
        numbers={"examples": float(len(chosen)), "that_vary": float(varied)},
        threshold=0.0,
        relation="an augmented example must vary from one epoch to the next",
        advice="look at whether the transform is passed on, its result is used, and its probability is above 0",
    )


def check_sampler_weights(
    n_weights: int, n_examples: int, n_draws: int, n_classes: int | None = None, threshold: float = 10.0
) -> Finding:
    """Find out whether a sampler has a weight for each class in place of one for each example: it draws the first few.

    That is so where there are as many weights as classes, or an epoch of `n_draws` draws each of the examples that
    have a weight more than `threshold` times. A training half that lies first in a dataset has fewer weights as well.
    """
    times = n_draws / max(n_weights, 1)
    few = n_weights == n_classes and threshold * n_weights <= n_examples
    return Finding(
        name="sampler_weights",
        trouble=0 < n_weights < n_examples and (few or times > threshold),
        numbers={"weights": float(n_weights), "examples": float(n_examples), "times_drawn": times},
        threshold=threshold,
        relation=f"a sampler needs a weight for each of {n_examples} examples: without one they are never drawn",
        advice="index the weights of the classes by the labels: WeightedRandomSampler(class_weights[labels], ...)",
    )


def weighted_sampler(loader: Any) -> WeightedRandomSampler | None:
    """Return the sampler that draws a loader's examples by weights; None where another one does."""
    sampler = _sampler_of(loader)
    return sampler if isinstance(sampler, WeightedRandomSampler) else None


def collate_of(loader: Any) -> Collate:
    """Return what makes a batch of examples in a loader; of one that does not batch, what would by default."""
    return loader.collate_fn if getattr(loader, "batch_sampler", None) is not None else default_collate


def workers_of(loader: Any) -> int:
    """Return how many worker processes a loader uses."""
    return loader.num_workers if isinstance(loader, DataLoader) else 0
