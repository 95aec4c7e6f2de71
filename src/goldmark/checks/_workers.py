"""Workers of a DataLoader, played in this process: what each would draw, from the state that each starts with."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate
from torch.utils.data._utils import worker as torch_worker

from goldmark.case import Finding
from goldmark.checks._state import Restore, generator_state
from goldmark.checks._structures import row_keys

_SEEDS = (1, 1001)  # of two epochs, whose workers have other seeds each


def check_worker_randomness(
    dataset: Any,
    index: int = 0,
    n_draws: int = 3,
    *,
    init_fn: Callable[[int], Any] | None = None,
    collate_fn: Callable[[list[Any]], Any] = default_collate,
    ordered: bool = False,
) -> Finding:
    """Find out whether workers of a DataLoader would augment alike, because their randomness is copied or seeded alike.

    Workers get copies of the dataset and of all modules, and seeds of their own for Python, numpy and torch; then
    `init_fn(worker_id)` runs. A generator that the dataset or a module keeps is copied, so that each worker draws the
    same numbers, and so does an `init_fn` that seeds all workers alike. One that seeds them alike in every epoch gives
    each example the same augmentation every time where examples come in one order: `ordered`.
    """
    program = (dataset, init_fn, collate_fn)
    starts = ((0, _SEEDS[0]), (1, _SEEDS[0]), (0, _SEEDS[1]))
    first, second, later = (_draws(program, index, n_draws, worker, seed) for worker, seed in starts)
    random_at_all = len(set(first)) > 1
    return Finding(
        name="worker_randomness",
        trouble=random_at_all and (first == second or (ordered and first == later)),
        numbers={"unlike_draws_in_a_worker": float(len(set(first))), "draws": float(n_draws)},
        threshold=1.0,
        relation=f"{'workers' if first == second else 'epochs'} must augment independently",
        advice="draw from torch's global generator, or seed the dataset's own by get_worker_info().seed",
    )


def _draws(program: tuple[Any, Any, Any], index: int, n_draws: int, worker: int, seed: int) -> tuple[int, ...]:
    """Return the hashes of what a worker makes of one example, again and again."""
    restores = list(_outer_generators(program))
    dataset, init_fn, collate_fn = copy.deepcopy(program)
    random.seed(seed + worker)
    np.random.seed(seed + worker)  # noqa: NPY002
    torch.manual_seed(seed + worker)
    try:
        with _called_a_worker(worker, seed + worker, dataset):
            if init_fn is not None:
                init_fn(worker)
            return tuple(item_key(dataset[index], collate_fn) for _ in range(n_draws))
    finally:
        for restore in restores:
            restore()


@contextmanager
def _called_a_worker(worker: int, seed: int, dataset: Any) -> Iterator[None]:
    """Let `torch.utils.data.get_worker_info` answer as in a worker of two."""
    before, threads = torch_worker._worker_info, torch.get_num_threads()  # noqa: SLF001
    torch_worker._worker_info = torch_worker.WorkerInfo(  # noqa: SLF001
        id=worker, num_workers=2, seed=seed, dataset=dataset
    )
    try:
        yield
    finally:
        torch_worker._worker_info = before  # noqa: SLF001
        torch.set_num_threads(threads)  # which some set for each worker


def _outer_generators(program: tuple[Any, ...]) -> Iterator[Restore]:
    """Yield what restores the generators that a program finds in its modules and closures."""
    for part in program:
        kept = vars(part).values() if hasattr(part, "__dict__") else ()
        for one in (part, *kept):
            for function in _functions(one):
                outer = inspect.getclosurevars(function)
                for value in (*outer.nonlocals.values(), *outer.globals.values()):
                    restore = generator_state(value)
                    if restore is not None:
                        yield restore


def _functions(one: Any) -> Iterator[Any]:
    """Yield a function itself, or the methods of an object of a class that was written in Python."""
    if inspect.isfunction(one):
        yield one
    else:
        yield from (value for kind in type(one).__mro__ for value in vars(kind).values() if inspect.isfunction(value))


def item_key(item: Any, collate_fn: Callable[[list[Any]], Any] = default_collate) -> int:
    """Return a hash of an example, as a batch of it alone."""
    return int(row_keys(collate_fn([item])).sum())
