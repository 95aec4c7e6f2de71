"""What a loss holds beside its arguments, and changes as it is called: centres, running scales, counts of calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import nn

from goldmark.checks._state import Restore, attributes_of, contents_of, generator_state, module_state

_DEPTH = 4  # a method, its owner, a function that it calls, what that closes over
_INSTALLED = ("site-packages", "dist-packages")  # what libraries keep for themselves is theirs to change


@contextmanager
def loss_as_found(loss_fn: Any, model: nn.Module) -> Iterator[None]:
    """Put back whatever the body changes in a loss, and in what it closes over or names, beside the model.

    That are modules but for their weights, other objects that can be called, small tensors, lists and dicts, numbers,
    and generators.
    """
    restores = list(_held(loss_fn, _DEPTH, {id(one) for one in model.modules()}))
    try:
        yield
    finally:
        for restore in restores:
            restore()


def _held(value: Any, depth: int, known: set[int]) -> Iterator[Restore]:
    if id(value) in known or depth == 0 or isinstance(value, type):
        return
    known.add(id(value))
    generator = generator_state(value)
    if generator is not None:
        yield generator
    yield from contents_of(value)
    if isinstance(value, FunctionType) and not _is_of_library(value):
        yield from _names(value)
    for one in _parts(value):
        yield from _held(one, depth - 1, known)
    if isinstance(value, nn.Module):
        yield from _module(value)
    elif callable(value) and hasattr(value, "__dict__") and not isinstance(value, FunctionType | MethodType):
        yield attributes_of(value, dict(vars(value)))


def _parts(value: Any) -> list[Any]:
    """Return what a function closes over and names, a method is one of, and an object or a module holds."""
    if isinstance(value, FunctionType):
        if _is_of_library(value):
            return []
        closed_over = chain.from_iterable(map(_contents, value.__closure__ or ()))
        return [*closed_over, *(value.__globals__.get(name) for name in value.__code__.co_names)]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, nn.Module):
        own = [one for name, one in vars(value).items() if not name.startswith("_")]
        return [*own, *value.children(), *value.buffers(recurse=False)]
    return list(vars(value).values()) if callable(value) and hasattr(value, "__dict__") else []


def _is_of_library(function: FunctionType) -> bool:
    """Tell whether a function is none of the program's own, by the file that it stands in."""
    standard = str(function.__module__).partition(".")[0] in sys.stdlib_module_names
    return standard or any(name in function.__code__.co_filename for name in _INSTALLED)


def _names(function: FunctionType) -> Iterator[Restore]:
    """Yield what gives the names that a function closes over, and the globals that it names, their values again."""
    for cell in function.__closure__ or ():
        yield from (partial(setattr, cell, "cell_contents", value) for value in _contents(cell))
    known = function.__globals__
    yield partial(known.update, {name: known[name] for name in function.__code__.co_names if name in known})


def _contents(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # nothing is there yet
        return []


def _module(module: nn.Module) -> Iterator[Restore]:
    """Yield what puts back the attributes of a module, and takes away gradients that its weights did not have."""
    yield module_state(module)
    yield from (partial(setattr, one, "grad", None) for one in module.parameters(recurse=False) if one.grad is None)
