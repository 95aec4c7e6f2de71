"""Workers of a DataLoader, played in this process: what each would draw, from the state that each starts with."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate
from torch.utils.data._utils import worker as torch_worker

from goldmark.case import Finding
from goldmark.checks._state import Restore, generator_state
from goldmark.checks._structures import row_keys

InitFunction = Callable[[int], Any]  # a DataLoader's worker_init_fn
_SEEDS = (1, 1001)  # of two epochs, whose workers have other seeds each


def check_worker_randomness(
    dataset: Any,
    index: int = 0,
    n_draws: int = 3,
    *,
    init_fn: InitFunction | None = None,
    collate_fn: Callable[[list[Any]], Any] = default_collate,
    n_workers: int = 2,
    restarted: bool = False,
) -> Finding:
    """Find out whether workers of a DataLoader would augment alike, because their randomness is copied or seeded alike.

    Workers get copies of the dataset and of all modules, and seeds of their own for Python, numpy and torch; then
    `init_fn(worker_id)` runs. A generator that the dataset or a module keeps is copied, so that each worker draws the
    same numbers, and so does an `init_fn` that seeds all workers alike. One that seeds them alike in every epoch lets
    them draw the numbers of the first again, where they are `restarted` for each: of examples in one order each gets
    the same augmentation every time. Raises `ValueError` for an `init_fn` that knows the dataset by another way than
    `get_worker_info`, which cannot be played.
    """

    def drawn(worker: int, seed: int) -> tuple[int, ...]:
        with _played((dataset, init_fn, collate_fn), worker, seed, n_workers) as (copied, _, collate):
            return tuple(item_key(copied[index], collate) for _ in range(n_draws))

    first, later = (drawn(0, seed) for seed in _SEEDS)
    random_at_all, alike = len(set(first)) > 1, n_workers > 1 and first == drawn(1, _SEEDS[0])
    return Finding(
        name="worker_randomness",
        trouble=random_at_all and (alike or (restarted and first == later)),
        numbers={"unlike_draws_in_a_worker": float(len(set(first))), "draws": float(n_draws)},
        threshold=1.0,
        relation=f"{'workers' if alike else 'epochs'} must augment independently",
        advice="draw from torch's global generator, or seed the dataset's own by get_worker_info().seed",
    )


def check_worker_shards(
    dataset: Any, n_examples: int = 8, *, init_fn: InitFunction | None = None, n_workers: int = 2
) -> Finding:
    """Find out whether each worker of a DataLoader would go through all of an iterable dataset, not through its share.

    Every example then comes once from each worker. Compared are the first examples that two workers yield.
    """

    def yielded(worker: int) -> list[int]:
        with _played((dataset, init_fn, default_collate), worker, _SEEDS[0], n_workers) as (copied, _, collate):
            return [item_key(item, collate) for item in islice(copied, n_examples)]

    first, second = yielded(0), yielded(1)
    return Finding(
        name="worker_shards",
        trouble=len(set(first)) > 1 and first == second,
        numbers={"examples_alike": float(sum(one == other for one, other in zip(first, second, strict=False)))},
        threshold=0.0,
        relation="an example must come from one worker alone",
        advice="yield every n-th example, by the id and num_workers of get_worker_info(), or use one worker",
    )


@contextmanager
def _played(
    program: tuple[Any, InitFunction | None, Any], worker: int, seed: int, n_workers: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Give copies of a dataset and its functions, in a state as in a worker that has been started."""
    restores = [restore for part in program for restore in _outer_generators(part, program[0])]
    dataset, init_fn, collate_fn = _copied(program)
    random.seed(seed + worker)
    np.random.seed(seed + worker)  # noqa: NPY002
    torch.manual_seed(seed + worker)
    try:
        info = torch_worker.WorkerInfo(id=worker, num_workers=n_workers, seed=seed + worker, dataset=dataset)
        with _called_a_worker(info):
            if init_fn is not None:
                _start(init_fn, worker)
            yield dataset, init_fn, collate_fn
    finally:
        for restore in restores:
            restore()


def _copied(program: tuple[Any, InitFunction | None, Any]) -> tuple[Any, InitFunction | None, Any]:
    try:
        return copy.deepcopy(program)
    except (copy.Error, pickle.PickleError, OSError) as error:
        raise ValueError(f"the dataset cannot be copied as for a worker: {error}") from error


def _start(init_fn: InitFunction, worker: int) -> None:
    """Call an init function, which may need what only a real worker has."""
    try:
        init_fn(worker)
    except (AssertionError, OSError, ImportError) as error:
        raise ValueError(f"worker_init_fn cannot be played: {type(error).__name__}: {error}") from error


@contextmanager
def _called_a_worker(info: Any) -> Iterator[None]:
    """Let `torch.utils.data.get_worker_info` answer as in a worker."""
    before, threads = torch_worker._worker_info, torch.get_num_threads()  # noqa: SLF001
    torch_worker._worker_info = info  # noqa: SLF001
    try:
        yield
    finally:
        torch_worker._worker_info = before  # noqa: SLF001
        torch.set_num_threads(threads)  # which some set for each worker


def _outer_generators(part: Any, dataset: Any) -> Iterator[Restore]:
    """Yield what restores the generators that a part of a program finds in modules and closures, and their names."""
    kept = vars(part).values() if hasattr(part, "__dict__") else ()
    for function in (function for one in (part, *kept) for function in _functions(one)):
        outer = inspect.getclosurevars(function)
        if any(value is dataset for value in (*outer.globals.values(), *outer.nonlocals.values())):
            raise ValueError(f"{function.__name__} knows the dataset; let it use get_worker_info().dataset")
        for name, value in (*outer.globals.items(), *outer.nonlocals.items()):
            state = generator_state(value)
            if state is not None:
                yield state
                yield _binding(function, name, value)


def _binding(function: Any, name: str, value: Any) -> Restore:
    """Return what gives a name of a closure or of a module its value back."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if name in cells:
        return partial(setattr, cells[name], "cell_contents", value)
    return partial(function.__globals__.__setitem__, name, value)


def _functions(one: Any) -> Iterator[Any]:
    """Yield a function itself, or the methods of an object of a class that was written in Python."""
    if inspect.isfunction(one):
        yield one
    elif not isinstance(one, Tensor):
        yield from (value for kind in type(one).__mro__ for value in vars(kind).values() if inspect.isfunction(value))


def item_key(item: Any, collate_fn: Callable[[list[Any]], Any] = default_collate) -> int:
    """Return a hash of an example, as a batch of it alone."""
    return int(row_keys(collate_fn([item])).sum())
