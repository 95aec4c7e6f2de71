"""Loaders: the order of examples, in an epoch and in a batch, and whether random augmentation is random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, WeightedRandomSampler, default_collate

from goldmark.case import Finding
from goldmark.checks._structures import map_tensors, row_keys, tensors_of

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


def check_reordered_inputs(collate_fn: Collate, examples: Sequence[Any], fewest: int = 4) -> Finding:
    """Find out whether `collate_fn` brings the inputs of a batch into another order, and leaves the targets in theirs.

    Examples are collated twice as they come, and once in another order, which targets (N, ...) follow. An example is
    then seen with another target, at least half as often as where inputs and targets are independent. What varies at
    random passes, and so do inputs that are no tensors of examples, or tell their places.
    """
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
    first, again = _collated(collate_fn, examples), _collated(collate_fn, examples)
    dealt = _collated(collate_fn, [examples[place] for place in order.tolist()])
    moved = chance = 0.0
    if first is not None and again is not None and dealt is not None and _are_same(first, again):
        sides = [(one.keys.sort().values, one.targets[one.keys.argsort()]) for one in (first, dealt)]
        follows = torch.equal(dealt.targets, first.targets[order]) and dealt.rest == first.rest
        if follows and torch.equal(sides[0][0], sides[1][0]):
            moved = float(((sides[0][1] != sides[1][1]) & _occur_once(sides[0][0])).sum())
        chance = float((first.targets[:, None] != first.targets[None]).sum()) / len(examples)
    return Finding(
        name="reordered_inputs",
        trouble=moved >= max(fewest, chance / 2),
        numbers={"examples": float(len(examples)), "with_another_target": moved, "by_chance": chance},
        threshold=max(fewest, chance / 2),
        relation="an example must keep its target whatever the order in which a batch is made",
        advice="sort the examples before they are taken apart, batch.sort(key=...), and not the inputs alone",
    )


@dataclass(frozen=True, kw_only=True)
class _Collated:
    keys: Tensor  # (N,) of inputs
    targets: Tensor  # (N,) hashes
    rest: str  # what else there is in the inputs: lengths in a list


def _collated(collate_fn: Collate, examples: Sequence[Any]) -> _Collated | None:
    """Return the hashes of a batch; None where its tensors are none of examples."""
    inputs, targets = collate_fn(map_tensors(Tensor.clone, list(examples)))
    sides = [keys for part in (inputs, targets) if (keys := _keys_of(part, len(examples))) is not None]
    if len(sides) < 2:
        return None
    return _Collated(keys=sides[0], targets=sides[1], rest=repr(map_tensors(lambda tensor: tensor[:0], inputs)))


def _keys_of(part: Any, n: int) -> Tensor | None:
    """Return the hash (N,) of each example: of packed sequences, a list of tensors, or a dimension of all tensors.

    That is the first, or the second; None where some have no such dimension.
    """
    if isinstance(part, PackedSequence):
        return row_keys(pad_packed_sequence(part, batch_first=True)[0])
    if isinstance(part, list | tuple) and len(part) == n and all(isinstance(one, Tensor) for one in part):
        return torch.cat([row_keys(one[None]) for one in part])
    tensors = list(tensors_of(part))
    if not tensors or any(n not in one.shape[:2] for one in tensors):
        return None
    return row_keys([one if len(one) == n else one.transpose(0, 1) for one in tensors])


def _are_same(first: _Collated, again: _Collated) -> bool:
    return torch.equal(first.keys, again.keys) and torch.equal(first.targets, again.targets)


def _occur_once(keys: Tensor) -> Tensor:
    _, places, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    once: Tensor = counts[places] == 1
    return once


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
