"""Loaders: the order of examples, and whether random augmentation is random."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from goldmark.case import Finding
from goldmark.checks._structures import row_keys


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
    sampler = getattr(loader, "sampler", None)
    if isinstance(getattr(loader, "batch_sampler", None), BatchSampler):
        sampler = loader.batch_sampler.sampler
    return isinstance(sampler, RandomSampler)


def check_one_batch(n_unlike: int, n_samples: int, n_known: int) -> Finding:
    """Find out whether training sees one batch again and again, of several that there are."""
    return Finding(
        name="one_batch",
        trouble=n_unlike == 1 and n_samples >= 8 and n_known > 1,
        numbers={"unlike_batches": float(n_unlike), "samples": float(n_samples), "batches": float(n_known)},
        threshold=1.0,
        relation="training must go through its batches",
        advice="make the iterator once an epoch: next(iter(loader)) in a loop begins anew each time",
    )


def check_worker_randomness(dataset: Any, index: int = 0, n_draws: int = 3) -> Finding:
    """Find out whether workers of a DataLoader would augment alike: their randomness is copied with the dataset.

    Workers get copies of the dataset and seeds of their own for Python, numpy and torch. A generator that the dataset
    keeps is copied with it, so that each worker draws the same numbers.
    """
    draws = [_draws(copy.deepcopy(dataset), index, n_draws, seed) for seed in (1, 2)]
    random_at_all = len(set(draws[0])) > 1
    return Finding(
        name="worker_randomness",
        trouble=random_at_all and draws[0] == draws[1],
        numbers={"unlike_draws_in_a_worker": float(len(set(draws[0]))), "draws": float(n_draws)},
        threshold=1.0,
        relation="workers must augment independently",
        advice="draw from torch's global generator, or seed the dataset's own in worker_init_fn",
    )


def _draws(dataset: Any, index: int, n_draws: int, seed: int) -> tuple[int, ...]:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    return tuple(_item_key(dataset[index]) for _ in range(n_draws))


def _item_key(item: Any) -> int:
    tensors = [torch.as_tensor(part)[None] for part in (item if isinstance(item, tuple | list) else (item,))]
    return int(row_keys(tensors)[0])


def check_augmentation_without_effect(dataset: Any, indices: Iterable[int] = range(8), n_draws: int = 4) -> Finding:
    """Find out whether a dataset that is declared to augment gives the same examples every time."""
    varied = [len({_item_key(dataset[index]) for _ in range(n_draws)}) > 1 for index in indices]
    return Finding(
        name="augmentation_without_effect",
        trouble=not any(varied),
        numbers={"examples": float(len(varied)), "that_vary": float(sum(varied))},
        threshold=0.0,
        relation="an augmented example must vary from one epoch to the next",
        advice="look at whether the transform is passed on, its result is used, and its probability is above 0",
    )


def workers_of(loader: Any) -> int:
    """Return how many worker processes a loader uses."""
    return loader.num_workers if isinstance(loader, DataLoader) else 0
