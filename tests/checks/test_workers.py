"""What workers of a DataLoader would draw: against real workers, and with all that they start from put back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from goldmark.checks import check_worker_randomness

OUTER = np.random.default_rng(0)
DRAWS = {
    "torch": lambda own: float(torch.rand(())),
    "numpy": lambda own: float(np.random.rand()),  # noqa: NPY002
    "python": lambda own: random.random(),  # noqa: S311
    "own": lambda own: float(own.random()),
    "outer": lambda own: float(OUTER.random()),
    "none": lambda own: 1.0,
}


class Drawing(Dataset):
    """Numbers from one source of randomness."""

    def __init__(self, source):
        self.generator, self.transform = np.random.default_rng(0), DRAWS[source]

    def __len__(self):
        """Four."""
        return 4

    def __getitem__(self, index):
        """A number."""
        return self.transform(self.generator)


def seed_by_worker(worker):
    """Give each worker a generator of its own, and the same one in every epoch."""
    get_worker_info().dataset.generator = np.random.default_rng(worker)


def seed_alike(worker):
    """Give all workers the same generator."""
    np.random.seed(0)  # noqa: NPY002


def epoch(dataset, init_fn):
    """The first number that each of two real workers draws; they take batches in turn."""
    loader = DataLoader(dataset, batch_size=1, num_workers=2, worker_init_fn=init_fn)
    return [float(number) for number in loader][:2]


@pytest.mark.parametrize(
    ("source", "init_fn"),
    [("numpy", None), ("own", None), ("outer", None), ("own", seed_by_worker), ("numpy", seed_alike)],
)
def test_the_answer_is_that_of_real_workers(source, init_fn):
    """Alike in two workers, or in the same worker of two epochs, where examples come in one order."""
    dataset = Drawing(source)
    first, later = epoch(dataset, init_fn), epoch(dataset, init_fn)
    answers = [check_worker_randomness(dataset, init_fn=init_fn, ordered=ordered).trouble for ordered in (False, True)]
    assert [first[0] == first[1], first[0] in (first[1], later[0])] == answers


@pytest.mark.parametrize("source", ["torch", "python", "none"])
def test_what_workers_seed_by_themselves_passes(source):
    """And so does a dataset without randomness."""
    assert not check_worker_randomness(Drawing(source), ordered=True).trouble


def test_generators_and_threads_are_left_as_they_were():
    """Of the dataset and of the module, and what `get_worker_info` says here."""
    dataset, threads = Drawing("outer"), torch.get_num_threads()
    before = OUTER.bit_generator.state, dataset.generator.bit_generator.state
    check_worker_randomness(dataset, init_fn=lambda worker: torch.set_num_threads(threads + 1))
    assert before == (OUTER.bit_generator.state, dataset.generator.bit_generator.state)
    assert (None, threads) == (get_worker_info(), torch.get_num_threads())


def test_randomness_of_a_collate_function_is_a_workers_too():
    """Noise that is added to whole batches, by a generator that the function keeps."""
    kept = np.random.default_rng(0)

    def collate(items):
        return torch.tensor(items) + kept.random()

    assert check_worker_randomness(Drawing("none"), collate_fn=collate).trouble
