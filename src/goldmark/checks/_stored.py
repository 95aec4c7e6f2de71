"""Stored examples: whether reading one changes what the dataset keeps of it, so that epochs add up in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from goldmark.case import Finding
from goldmark.checks._structures import UNFIT

_DEPTH = 4  # datasets in datasets
_N_READ = 4  # examples of a half


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What a dataset keeps for one example, in the memory of an array or a list of all of them."""

    entry: Tensor
    storage: Any


def check_examples_modified(before: Sequence[Tensor], after: Sequence[Tensor]) -> Finding:
    """Find out whether what a dataset keeps of its examples was changed as they were read again.

    `before` are its entries after a first reading, as a cache may be filled then, `after` those after a second one.
    """
    n_changed = sum(not _same(one, other) for one, other in zip(before, after, strict=True))
    return Finding(
        name="examples_modified",
        trouble=n_changed > 0,
        numbers={"changed": float(n_changed), "entries": float(len(before))},
        threshold=0.0,
        relation="reading an example must leave the dataset as it was: what it adds stays for the next epoch",
        advice="copy before changing in place: x = self.x[i].clone(), or .copy(), or x = x + noise and not x += noise",
    )


@contextmanager
def examples_as_found(*loaders: Any) -> Iterator[list[Finding]]:
    """Give a finding of each loader's dataset, and put back, bit for bit, what reading has changed in it.

    Datasets that read from files, or do not keep an entry for each example, are left as they are.
    """
    copies: list[tuple[Tensor, Tensor]] = []
    findings = []
    for loader in loaders:
        dataset = getattr(loader, "dataset", None)
        kept = _kept_by(dataset)
        finding = _read_twice(dataset, kept)
        if finding is None:
            continue
        if finding.trouble:
            storages = list({id(one.storage): one.storage for one in kept}.values())
            copies += [(own, own.clone()) for own in map(_as_tensor, _arrays(storages)) if own is not None]
        if _stays(loader):
            findings.append(finding)
    try:
        yield findings
    finally:
        for own, copied in copies:
            own.copy_(copied)


def _stays(loader: Any) -> bool:
    """Tell whether what reading changes is there in the next epoch: workers that end with one take it with them."""
    return getattr(loader, "num_workers", 0) == 0 or bool(getattr(loader, "persistent_workers", False))


def _read_twice(dataset: Any, kept: Sequence[_Kept]) -> Finding | None:
    """Read the first examples twice, and compare what is kept after each time; put back what the second has changed.

    What the first alone has changed stays, as an example in a cache does, of which the dataset may know elsewhere.
    """
    if not kept:
        return None
    start = [one.entry.clone() for one in kept]
    try:
        for index in range(_N_READ):
            dataset[index]
        between = [one.entry.clone() for one in kept]
        for index in range(_N_READ):
            dataset[index]
        finding = check_examples_modified(between, [one.entry for one in kept])
    except UNFIT:
        return None
    if finding.trouble:
        for one, value in zip(kept, start, strict=True):
            one.entry.copy_(value)
    return finding


def _kept_by(dataset: Any) -> list[_Kept]:
    """Return what a dataset keeps for its first examples."""
    try:
        return [one for index in range(_N_READ) for one in _kept_for(dataset, index)]
    except UNFIT:
        return []


def _kept_for(dataset: Any, index: int, depth: int = _DEPTH) -> Iterator[_Kept]:
    """Yield the arrays that a dataset, and those within it, keep for one example; single numbers may count readings."""
    if depth == 0 or not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__") or len(dataset) <= index:
        return
    if isinstance(dataset, Subset):
        yield from _kept_for(dataset.dataset, int(dataset.indices[index]), depth - 1)
        return
    for value in _values(dataset):
        if len(value) != len(dataset) and not isinstance(value, Subset):
            continue
        if isinstance(value, Tensor | np.ndarray):
            whole = _as_tensor(value)
            if whole is not None and whole.dim() > 1:
                yield _Kept(entry=whole[index], storage=value)
        elif isinstance(value, list | tuple):
            arrays = [_as_tensor(one) for one in _arrays(value[index])]
            yield from (_Kept(entry=one, storage=value) for one in arrays if one is not None and one.dim() > 0)
        else:
            yield from _kept_for(value, index, depth - 1)


def _values(dataset: Any) -> Iterator[Any]:
    """Yield what a dataset keeps that has a length, also in short lists and in dicts."""
    for value in list(getattr(dataset, "__dict__", {}).values()):
        inner = list(value.values()) if isinstance(value, Mapping) else [value]
        if isinstance(value, list | tuple) and len(value) != len(dataset):
            inner = list(value)[:_N_READ]
        yield from (one for one in inner if hasattr(one, "__len__") and getattr(one, "ndim", 1) > 0)


def _arrays(structure: Any) -> Iterator[Any]:
    """Yield tensors and arrays in nested tuples, lists and dicts."""
    if isinstance(structure, Tensor | np.ndarray):
        yield structure
    elif isinstance(structure, Mapping | list | tuple):
        for one in structure.values() if isinstance(structure, Mapping) else structure:
            yield from _arrays(one)


def _as_tensor(value: Any) -> Tensor | None:
    """Return a tensor in the same memory; None of what cannot be changed, or holds no numbers."""
    if isinstance(value, Tensor):
        return value.detach() if value.layout == torch.strided else None
    if not value.flags.writeable or value.dtype.kind not in "biufc":
        return None
    try:
        return torch.from_numpy(value)
    except (TypeError, ValueError):
        return None


def _same(one: Tensor, other: Tensor) -> bool:
    """Tell whether all numbers are the same, gaps too."""
    return bool(((one == other) | ((one != one) & (other != other))).all())  # noqa: PLR0124
