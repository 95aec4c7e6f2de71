"""What workers of a DataLoader would draw: against real workers, and with all that they start from put back."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from goldmark.checks import check_worker_randomness, check_worker_shards, preflight

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
    """Alike in two workers, or in the same worker of two epochs, which starts anew for each."""
    dataset = Drawing(source)
    first, later = epoch(dataset, init_fn), epoch(dataset, init_fn)
    answers = [check_worker_randomness(dataset, init_fn=init_fn, restarted=one).trouble for one in (False, True)]
    assert [first[0] == first[1], first[0] in (first[1], later[0])] == answers


@pytest.mark.parametrize("source", ["torch", "python", "none"])
def test_what_workers_seed_by_themselves_passes(source):
    """And so does a dataset without randomness."""
    assert not check_worker_randomness(Drawing(source), restarted=True).trouble


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


class Stream(IterableDataset):
    """Numbers from 0 on, or a share of them."""

    def __init__(self, *, shared):
        self.shared, self.start, self.step = shared, 0, 1

    def __iter__(self):
        """Numbers."""
        info = get_worker_info()
        start, step = (info.id, info.num_workers) if self.shared and info else (self.start, self.step)
        return iter(range(start, 1000, step))


def deal(worker):
    """Give a worker its share of the stream."""
    info = get_worker_info()
    info.dataset.start, info.dataset.step = worker, info.num_workers


@pytest.mark.parametrize(
    ("shared", "init_fn", "trouble"), [(False, None, True), (True, None, False), (False, deal, False)]
)
def test_a_stream_must_be_dealt_to_workers(shared, init_fn, trouble):
    """By itself, or by the init function; the stream that the program has is left as it was."""
    stream = Stream(shared=shared)
    assert trouble == check_worker_shards(stream, init_fn=init_fn).trouble
    assert (0, 1) == (stream.start, stream.step)


def test_an_init_function_that_knows_the_dataset_by_name_is_refused():
    """A copy cannot be seeded by it; and one that makes a generator of its closure anew leaves that as it was."""
    dataset, kept = Drawing("own"), np.random.default_rng(0)

    def by_name(worker):
        dataset.generator = np.random.default_rng(worker)

    def anew(worker):
        nonlocal kept
        kept = np.random.default_rng(worker)

    before = kept
    assert check_worker_randomness(dataset, init_fn=anew).trouble
    assert before is kept
    with pytest.raises(ValueError, match=r"by_name knows the dataset; let it use get_worker_info\(\)\.dataset"):
        check_worker_randomness(dataset, init_fn=by_name)


def test_one_worker_alone_can_only_repeat_its_epochs():
    """There is nobody to be like."""
    answers = [check_worker_randomness(Drawing("own"), n_workers=1, restarted=one).trouble for one in (False, True)]
    assert [False, True] == answers


def test_an_init_function_that_needs_a_real_worker_is_a_note():
    """The rest of a preflight goes on, and what the module's generator had drawn is put back."""
    here = os.getpid()

    def init_fn(worker):
        OUTER.random()
        assert os.getpid() != here, "no process of its own"

    before, model = OUTER.bit_generator.state, torch.nn.Linear(2, 1)
    data = [(x, x.sum(0, keepdim=True)) for x in torch.randn(16, 2, generator=torch.Generator().manual_seed(0))]
    loader = DataLoader(data, batch_size=8, num_workers=1, worker_init_fn=init_fn)
    findings = preflight(model, torch.optim.SGD(model.parameters(), 0.1), loader, None, torch.nn.functional.mse_loss)
    reason = "ValueError: worker_init_fn cannot be played: AssertionError: no process of its own"
    assert f"workers was not judged: {reason}" in findings.notes
    assert before == OUTER.bit_generator.state
