"""Batches and outputs as users write them: tensors in tuples, lists and dicts, and how a model is called with them."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

_ODD = -7_046_029_254_386_353_131  # 2^64 over the golden ratio


def tensors_of(structure: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists, dicts and objects with fields, in their order.

    Nested tensors, whose rows differ in length and which have no shape, are left out.
    """
    if isinstance(structure, Tensor):
        yield from () if structure.is_nested else (structure,)
    elif isinstance(structure, Mapping):
        for item in structure.values():
            yield from tensors_of(item)
    elif isinstance(structure, tuple | list):
        for item in structure:
            yield from tensors_of(item)
    elif is_dataclass(structure) and not isinstance(structure, type):
        for field in fields(structure):
            yield from tensors_of(getattr(structure, field.name))


def first_tensor(structure: Any) -> Tensor | None:
    """Return the first tensor of a nested structure, or None."""
    return next(tensors_of(structure), None)


def map_tensors(change: Callable[[Tensor], Tensor], structure: Any) -> Any:
    """Return the same nested structure with every tensor changed."""
    if isinstance(structure, Tensor):
        return change(structure)
    if isinstance(structure, Mapping):
        return filled(structure, {name: map_tensors(change, item) for name, item in structure.items()})
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_tensors(change, item) for item in structure))
    if isinstance(structure, tuple | list):
        return type(structure)(map_tensors(change, item) for item in structure)
    if is_dataclass(structure) and not isinstance(structure, type):
        own = copy.copy(structure)
        for field in fields(structure):
            object.__setattr__(
                own, field.name, map_tensors(change, getattr(structure, field.name))
            )  # a frozen one, too
        return own
    return structure


def filled(mapping: Mapping[Any, Any], items: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a mapping of the same type with other items; a dict, where that type takes none."""
    if type(mapping) is dict:
        return {**mapping, **items}
    try:
        own: Any = copy.copy(mapping)
        for name, item in items.items():
            own[name] = item
    except UNFIT:
        return {**mapping, **items}
    return own  # type: ignore[no-any-return]


def call(model: nn.Module, inputs: Any) -> Any:
    """Return `model(inputs)`; a tuple or a dict is spread where the model takes as many arguments, or those names.

    Where all arguments but one have a default, a tuple may be that one, or several: it is spread if refused whole.
    """
    parameters = inspect.signature(model.forward).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    most = math.inf if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(positional)
    fits = isinstance(inputs, tuple | list) and 1 < len(inputs) <= most and len(required) <= len(inputs)
    if fits and len(required) > 1:
        return model(*inputs)
    names = {p.name for p in parameters}
    if isinstance(inputs, Mapping) and inputs and names >= set(inputs):
        return model(**inputs)
    return _whole_or_spread(model, inputs) if fits else model(inputs)


def _whole_or_spread(model: nn.Module, inputs: Any) -> Any:
    try:
        return model(inputs)
    except (TypeError, AttributeError) as refusal:  # what a tuple in the place of a tensor raises
        try:
            return model(*inputs)
        except UNFIT:
            raise refusal from None


# What a program may raise where a check asks it for something unusual: a model or a loss may assert what it is given.
UNFIT = (Exception,)


def reason(error: BaseException) -> str:
    """Return what an error says, in one short line, for the note of a check that did not fit a program."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"


def rows(structure: Any, chosen: Tensor | slice) -> Any:
    """Return some examples of a batch: those rows of every tensor as long as the first; the rest is left as it is."""
    first = first_tensor(structure)
    if first is None or first.dim() == 0:
        return structure
    return map_tensors(lambda t: t[chosen] if t.dim() and len(t) == len(first) else t, structure)


def size_of(structure: Any) -> int:
    """Return how many examples a batch holds, by its first tensor; 0 where it has none."""
    first = first_tensor(structure)
    return len(first) if first is not None and first.dim() else 0


def row_keys(structure: Any, n_rows: int | None = None) -> Tensor:
    """Return a hash (N,) int64 for each example of a batch of `n_rows`: equal examples have equal hashes.

    Sums of 32-bit words times random odd 64-bit numbers, modulo 2^64: unlike rows collide with probability 2^-32 or so.
    """
    n = size_of(structure) if n_rows is None else n_rows
    keys = torch.zeros(n, dtype=torch.int64)
    for place, tensor in enumerate(tensors_of(structure)):
        if tensor.dim() and len(tensor) == n:
            keys = keys * 1_000_003 + _hashed(tensor.detach().cpu(), seed=place)
    return keys


def picked_rows(structure: Any, n_rows: int) -> Tensor | None:
    """Tell of `n_rows` examples which are picked by all masks among several tensors (N,) bool; None: there is no mask.

    A mask is a bool tensor (N,), or indices of rows, each once, that are fewer: both halves may hold all nodes of a
    graph, of which either counts its own.
    """
    tensors = list(tensors_of(structure))
    masks = [mask for tensor in tensors if (mask := _mask_of(tensor, n_rows)) is not None]
    return torch.stack(masks).all(dim=0) if masks and len(tensors) > 1 else None


def _mask_of(tensor: Tensor, n_rows: int) -> Tensor | None:
    """Return the rows that a tensor picks, (N,) bool; None where it is neither a mask nor indices of rows."""
    if tensor.dim() != 1 or tensor.is_floating_point() or tensor.is_complex():
        return None
    values = tensor.detach().cpu()
    if values.dtype == torch.bool:
        return values if len(values) == n_rows else None
    inside = 0 < len(values) < n_rows and 0 <= int(values.min()) and int(values.max()) < n_rows
    if not inside or len(torch.unique(values)) < len(values):
        return None
    return torch.zeros(n_rows, dtype=torch.bool).index_fill(0, values.long(), True)


def stored(tensor: Tensor) -> Tensor:
    """Return the real numbers that a tensor holds: of a sparse one, those that are not left out."""
    if tensor.layout != torch.strided:
        tensor = tensor.to_sparse_coo().coalesce().values()  # type: ignore[no-untyped-call]
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def first_rows(tensor: Tensor, most: int = 256, most_numbers: float = math.inf) -> Tensor:
    """Return a copy of the first rows (N, ...), at least one, which holds no more of the batch and stays as it is."""
    allowed = most_numbers * len(tensor) / max(tensor.numel(), 1)
    return tensor.detach()[: int(min(most, max(1.0, allowed)))].cpu().clone()


def drawn_keys(rows: Tensor, told_by: int = 16) -> Tensor:
    """Return hashes (N,) of the first numbers of rows, which tell drawn ones apart."""
    return row_keys(rows.reshape(len(rows), -1)[:, :told_by])


def _hashed(tensor: Tensor, seed: int) -> Tensor:
    if tensor.layout != torch.strided:
        return _hashed_entries(tensor, seed)
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if not tensor.numel():
        return torch.zeros(len(tensor), dtype=torch.int64)
    if tensor.is_floating_point():
        words = (tensor.float() + 0.0).contiguous().flatten(1 if tensor.dim() > 1 else 0).view(torch.int32)
    else:
        words = tensor.contiguous().flatten(1 if tensor.dim() > 1 else 0)
    words = words.reshape(len(tensor), -1).to(torch.int64)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(-(2**62), 2**62, (words.shape[1],), generator=generator) | 1
    mixed = words * weights
    return ((mixed ^ (mixed >> 29)) * _ODD).sum(dim=1)


def _hashed_entries(tensor: Tensor, seed: int) -> Tensor:
    """Return a hash (N,) of each row of a sparse tensor: the sum of those of its entries and their places."""
    sparse = tensor.to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
    (row, *places), entries = sparse.indices(), _hashed(sparse.values(), seed)
    for place in places:
        entries = entries * 1_000_003 + place
    return torch.zeros(len(tensor), dtype=torch.int64).index_add(0, row, (entries ^ (entries >> 29)) * _ODD)
