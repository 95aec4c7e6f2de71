"""What preflight and watch leave behind: nothing, to the bit."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from zoo.loops import batched, classes, mlp

import goldmark


class Stateful(nn.Module):
    """A model with buffers, dropout, a frozen part and attributes that change as it runs."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5)
        self.frozen, self.last = nn.Linear(16, 16).requires_grad_(False), nn.Linear(16, 3)
        self.calls, self.memory = 0, None

    def forward(self, x):
        """Logits (B, 3); counts its calls."""
        self.calls += 1
        self.memory = self.drop(self.norm(self.first(x)).relu())
        return self.last(self.frozen(self.memory) + np.random.rand() + random.random())  # noqa: NPY002, S311


class Shuffling:
    """Batches in an order that is shuffled in place by a generator of its own."""

    def __init__(self):
        self.x, self.y = classes(64)
        self.order, self.generator, self.passes = np.arange(64), np.random.default_rng(0), 0

    def __iter__(self):
        self.passes += 1
        self.generator.shuffle(self.order)
        for start in range(0, 64, 16):
            rows = torch.from_numpy(self.order[start : start + 16])
            yield self.x[rows], self.y[rows]


def trained_a_little(model, optimizer):
    """Take a step, so that gradients and optimizer state are there."""
    x, y = classes(32)
    functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def everything(model, optimizer, *generators):
    """All that must be as it was, as values."""
    own = [
        (p.requires_grad, None if p.grad is None else p.grad.clone(), p.detach().clone()) for p in model.parameters()
    ]
    state = copy.deepcopy(optimizer.state_dict())
    modes = [module.training for module in model.modules()]
    buffers = [buffer.clone() for buffer in model.buffers()]
    seeds = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # noqa: NPY002
    return own, state, modes, buffers, seeds, [generator.get_state() for generator in generators]


def assert_same(before, after):
    """Compare nested values, tensors to the bit."""
    if isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    elif isinstance(before, dict):
        assert before.keys() == after.keys()
        for key, value in before.items():
            assert_same(value, after[key])
    elif isinstance(before, tuple | list):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_same(one, other)
    else:
        assert before == after


def test_preflight_leaves_model_optimizer_and_randomness_as_they_were():
    """Weights, buffers, gradients, modes, attributes, optimizer state, and the states of six generators."""
    model = Stateful()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    trained_a_little(model, optimizer)
    scheduler.step()
    model.norm.eval()
    own, of_sampler = torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)
    dataset = TensorDataset(*classes(64))
    sampler = RandomSampler(dataset, generator=of_sampler)
    train, val = DataLoader(dataset, 16, sampler=sampler, generator=own), DataLoader(dataset, 16, shuffle=True)
    before = everything(model, optimizer, own, of_sampler)
    memory, gradients, calls = model.memory, [p.grad for p in model.parameters()], model.calls
    goldmark.preflight(model, optimizer, train, val, functional.cross_entropy)
    assert_same(before, everything(model, optimizer, own, of_sampler))
    assert model.memory is memory
    assert (calls, 1) == (model.calls, scheduler.last_epoch)
    assert all(p.grad is gradient for p, gradient in zip(model.parameters(), gradients, strict=True))


def test_preflight_leaves_a_users_own_loader_as_it_was():
    """Its order, its numpy generator and its counters: the next pass is the one that would have come."""
    loaders, model = [Shuffling(), Shuffling()], mlp(8, 16, 3)
    goldmark.preflight(model, torch.optim.SGD(model.parameters(), lr=0.1), loaders[0], None, functional.cross_entropy)
    assert (0, loaders[1].passes) == (loaders[0].passes, 0)
    for (x, _), (other_x, _) in zip(*loaders, strict=True):
        assert torch.equal(x, other_x)


def test_preflight_leaves_all_as_it_was_where_the_model_raises():
    """The model's own error comes through, after everything was put back."""

    class Raising(Stateful):
        """A model that raises in its third pass."""

        def forward(self, x):
            """Logits, twice."""
            if self.calls == 1:
                raise ZeroDivisionError("of the model")
            return super().forward(x)

    model = Raising()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = everything(model, optimizer)
    with pytest.raises(ZeroDivisionError, match="of the model"):
        goldmark.preflight(model, optimizer, batched(*classes(64)), None, functional.cross_entropy)
    assert_same(before, everything(model, optimizer))
    assert model.calls == 0


@pytest.mark.parametrize("with_terms", [False, True])
def test_a_watched_run_is_the_run_unwatched(with_terms):
    """Weights, buffers and random states after training are the same bits with a watch and without."""

    def train(*, watched):
        torch.manual_seed(0)
        model = Stateful()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        with goldmark.watch(model, optimizer) as watch:
            for x, y in batched(*classes()) * 2:
                output = model(x)
                terms = {"labels": functional.cross_entropy(output, y), "size": output.square().mean()}
                loss = sum(terms.values())
                optimizer.zero_grad()
                loss.backward()
                if watched:
                    watch.after_backward((x, y), output, loss, terms if with_terms else None)
                optimizer.step()
        return everything(model, optimizer)

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = train(watched=False)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    assert_same(expected, train(watched=True))


def test_a_watch_takes_its_hooks_away():
    """After the context, and where its body raises: no hook, no patched backward, no global hook."""
    from torch.optim import optimizer as torch_optimizer

    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    backward = torch.autograd.backward
    n_global = len(torch_optimizer._global_optimizer_post_hooks)  # noqa: SLF001
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the loop is what must not leave hooks behind
        with goldmark.watch(model, optimizer) as watch:
            for x, y in batched(*classes()):
                output = model(x)
                terms = {"a": functional.cross_entropy(output, y), "b": output.square().mean()}
                sum(terms.values()).backward()
                watch.after_backward((x, y), output, sum(terms.values()), terms)
                optimizer.step()
            raise ZeroDivisionError
    assert torch.autograd.backward is backward
    assert n_global == len(torch_optimizer._global_optimizer_post_hooks)  # noqa: SLF001
    assert not optimizer._optimizer_step_pre_hooks  # noqa: SLF001
    assert not optimizer._optimizer_step_post_hooks  # noqa: SLF001
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())  # noqa: SLF001
    assert not any(p._backward_hooks for p in model.parameters())  # noqa: SLF001
