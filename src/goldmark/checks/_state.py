"""Leave everything as it was: weights, buffers, gradients, modes, optimizer state, and every source of randomness."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Restore = Callable[[], None]
_DEPTH = 4  # a loader, its dataset, a list of transforms, each of them
_LEFT_ALONE = (type, ModuleType, FunctionType, Tensor, np.ndarray, str, bytes, nn.Module)
_FEW = 32  # transforms in a list; a longer one holds examples
_MOST_NUMBERS = 2**20  # of a tensor that is no data


@contextmanager
def left_as_found(model: nn.Module, optimizers: tuple[torch.optim.Optimizer, ...], *loaders: Any) -> Iterator[None]:
    """Put back, bit for bit, whatever the body changes in a model, its optimizers, loaders and random states."""
    restores = [
        *(module_state(module) for module in model.modules()),
        *(tensor_state(tensor) for tensor in _tensors(model, optimizers)),
        *(_optimizer(optimizer) for optimizer in optimizers),
        *(restore for loader in loaders for restore in _source(loader, _DEPTH, set())),
        _global_randomness(),
    ]
    try:
        yield
    finally:
        for restore in restores:
            restore()


def _tensors(model: nn.Module, optimizers: tuple[torch.optim.Optimizer, ...]) -> list[Tensor]:
    owned = [parameter for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]]
    return list({id(tensor): tensor for tensor in (*model.parameters(), *model.buffers(), *owned)}.values())


def tensor_state(tensor: Tensor) -> Restore:
    value, trains = tensor.detach().clone(), tensor.requires_grad
    gradient = tensor.grad if tensor.is_leaf else None
    gradient_value = None if gradient is None else gradient.detach().clone()

    def restore() -> None:
        if not torch.equal(tensor, value):  # a tensor's version does not tell: BatchNorm leaves it as it is
            with torch.no_grad():
                tensor.copy_(value)
        if tensor.is_leaf:
            if tensor.requires_grad != trains:
                tensor.requires_grad_(trains)
            tensor.grad = gradient
            if gradient is not None and gradient_value is not None:
                gradient.detach().copy_(gradient_value)

    return restore


def module_state(module: nn.Module) -> Restore:
    if isinstance(module, torch.jit.ScriptModule):  # whose attributes lie elsewhere, and change in no way but this
        mode = module.training
        return lambda: setattr(module, "training", mode)
    attributes, buffers = dict(vars(module)), dict(module._buffers)  # noqa: SLF001
    contents = [one for name, value in attributes.items() if not name.startswith("_") for one in contents_of(value)]

    def restore() -> None:
        vars(module).clear()
        vars(module).update(attributes)
        module._buffers.clear()  # noqa: SLF001
        module._buffers.update(buffers)  # noqa: SLF001
        for content in contents:
            content()

    return restore


def contents_of(value: Any) -> Iterator[Restore]:
    """Yield what puts back the numbers of a tensor, or the entries of a list or a dict, that is small, and no data."""
    if isinstance(value, Tensor):
        plain = value.layout == torch.strided and not value.is_nested
        yield from [tensor_state(value)] if plain and value.numel() <= _MOST_NUMBERS else []
    elif type(value) in (list, dict) and len(value) <= _FEW:
        yield partial(_refill, value, value.copy())


def _refill(value: Any, entries: Any) -> None:
    value.clear()
    if isinstance(value, dict):
        value.update(entries)
    else:
        value.extend(entries)


def _optimizer(optimizer: torch.optim.Optimizer) -> Restore:
    state = {parameter: {name: (v, _copy(v)) for name, v in own.items()} for parameter, own in optimizer.state.items()}
    groups = [dict(group) for group in optimizer.param_groups]

    def restore() -> None:
        optimizer.state.clear()
        for parameter, own in state.items():
            optimizer.state[parameter] = {name: _put_back(value, kept) for name, (value, kept) in own.items()}
        for group, kept_group in zip(optimizer.param_groups, groups, strict=True):
            group.clear()
            group.update(kept_group)

    return restore


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _put_back(value: Any, kept: Any) -> Any:
    if isinstance(value, Tensor):
        value.detach().copy_(kept)
        return value
    return kept


def _global_randomness() -> Restore:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)

    return restore


def _source(source: Any, depth: int, known: set[int]) -> Iterator[Restore]:
    """Yield what restores the generators in a loader and below it, and the plain attributes of each."""
    if id(source) in known or isinstance(source, _LEFT_ALONE):
        return
    known.add(id(source))
    restore = generator_state(source)
    if restore is not None:
        yield restore
        return
    if isinstance(source, list | tuple) and len(source) <= _FEW:
        for value in source:
            yield from _source(value, depth - 1, known)
    attributes = getattr(source, "__dict__", None)
    if attributes is None or depth == 0 or (callable(source) and not hasattr(source, "__iter__")):
        return
    yield attributes_of(source, dict(attributes))
    for value in list(attributes.values()):
        yield from _source(value, depth - 1, known)


def attributes_of(source: Any, attributes: dict[str, Any]) -> Restore:
    orders = {name: list(value) for name, value in attributes.items() if isinstance(value, list)}
    arrays = {name: value.copy() for name, value in attributes.items() if _is_order(value)}

    def restore() -> None:
        for name, order in orders.items():
            attributes[name][:] = order
        for name, array in arrays.items():
            attributes[name][...] = array
        current = vars(source)
        for name in set(current) - set(attributes):
            current.pop(name, None)
        current.update(attributes)

    return restore


def _discard(result: object) -> None:
    """Take what a call returns, and return nothing."""


def _is_order(value: Any) -> bool:
    """Tell whether a value may be an order of examples, which some loaders shuffle in place."""
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu"


def generator_state(source: Any) -> Restore | None:
    """Return what puts a generator back to where it stands now; None where the source is no generator."""
    if isinstance(source, torch.Generator):
        state = source.get_state()
        return lambda: _discard(source.set_state(state))
    if isinstance(source, np.random.Generator):
        bits = source.bit_generator.state
        return lambda: setattr(source.bit_generator, "state", bits)
    if isinstance(source, np.random.RandomState):
        legacy = source.get_state()
        return lambda: source.set_state(legacy)
    if isinstance(source, random.Random):
        python = source.getstate()
        return lambda: source.setstate(python)
    return None
