"""Programs whose batches, models, outputs or losses are unusual: a preflight ends none, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, mlp

import goldmark
from goldmark.checks._structures import filled, map_tensors, row_keys, tensors_of


def found_of(model, batches, loss_fn=functional.cross_entropy, *, watched=True):
    """The names and notes of a preflight, and of a watch of ten steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    early = goldmark.preflight(model, optimizer, batches, None, loss_fn)
    if not watched:
        return early.names, early.notes
    with goldmark.watch(model, optimizer) as watch:
        for inputs, targets in batches * 2:
            output = model(inputs)
            loss = loss_fn(output, targets)
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward((inputs, targets), output, loss)
            optimizer.step()
    return (*early.names, *watch.findings.names), (*early.notes, *watch.findings.notes)


class Sparse(nn.Module):
    """A layer of sparse inputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.3 * torch.randn(8, 3))

    def forward(self, x):
        """Logits (B, 3)."""
        return x @ self.weight


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_sparse_inputs_are_hashed_by_their_entries(layout):
    """Equal rows have equal hashes; a watch judges the steps."""
    x, y = classes(160)
    x = x.relu()
    keys = row_keys(torch.cat([x, x[:3]]).to_sparse(layout=layout))
    assert torch.equal(keys[:3], keys[160:])
    assert len(torch.unique(keys)) == 160
    names, notes = found_of(Sparse(), [(one.to_sparse(layout=layout), labels) for one, labels in batched(x, y)])
    assert () == names
    assert not any("backward pass" in note for note in notes)


@pytest.mark.parametrize("of", [lambda y: y.to_sparse(), lambda y: y.to(torch.cfloat)], ids=["sparse", "complex"])
def test_targets_may_be_sparse_or_complex(of):
    """They are read, and moved, as others are."""

    def loss_fn(output, targets):
        wanted = targets.to_dense() if targets.layout != torch.strided else targets.real
        return functional.mse_loss(output, wanted)

    batches = [(x, of(functional.one_hot(y, 3).float())) for x, y in batched(*classes(160))]
    assert () == found_of(mlp(8, 16, 3), batches, loss_fn)[0]


class Complex(nn.Module):
    """Two layers of complex numbers."""

    def __init__(self):
        super().__init__()
        self.first, self.last = (nn.Linear(n, m, dtype=torch.cfloat) for n, m in ((8, 16), (16, 3)))

    def forward(self, x):
        """Logits (B, 3)."""
        return self.last(self.first(x).tanh()).abs()


def test_complex_numbers_are_told_apart_and_judged():
    """By both of their parts."""
    x, y = classes(160)
    assert len(torch.unique(row_keys(torch.complex(torch.zeros_like(x), x)))) == 160
    names, notes = found_of(Complex(), batched(torch.complex(x, x.roll(1, 0)), y))
    assert () == names
    assert not any("backward pass" in note for note in notes)


@pytest.mark.parametrize("place", [0, 2])
def test_a_batch_may_be_empty(place):
    """As where a filter left nothing of it."""
    batches = batched(*classes(160))
    batches.insert(place, (torch.zeros(0, 8), torch.zeros(0, dtype=torch.long)))

    def loss_fn(output, targets):
        return functional.cross_entropy(output, targets) if len(targets) else 0 * output.sum()

    assert () == found_of(mlp(8, 16, 3), batches, loss_fn)[0]


class StrictError(Exception):
    """Of a kind that no library knows."""


@pytest.mark.parametrize("error", [AssertionError, StrictError, ZeroDivisionError])
def test_a_model_or_a_loss_may_insist_on_what_it_is_given(error):
    """What they raise where a check asks them for something else is a note."""

    class Insisting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = mlp(8, 16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            if len(x) != 32 or not self.training:
                raise error
            return self.layers(x)

    def loss_fn(output, targets):
        if not output.requires_grad or len(output) != 32:
            raise error
        return functional.cross_entropy(output, targets)

    names, notes = found_of(Insisting(), batched(*classes(160)), loss_fn)
    assert () == names
    assert any(error.__name__ in note for note in notes)


class Named(dict):
    """A dict whose items are attributes as well, as outputs of libraries are."""

    __getattr__ = dict.__getitem__


@dataclass(frozen=True)
class Both:
    """Two tensors, of which a loss may read one."""

    logits: torch.Tensor
    hidden: torch.Tensor


@pytest.mark.parametrize("made", [Named, Both])
def test_outputs_keep_their_type(made):
    """The loss reads attributes of what it is given: no check is left out for that."""

    class Told(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            """What the layers say."""
            hidden = self.first(x).relu()
            return made(logits=self.last(hidden), hidden=hidden)

    def loss_fn(output, targets):
        return functional.cross_entropy(output.logits, targets)

    assert ((), ()) == found_of(Told(), batched(*classes(160)), loss_fn)
    one = map_tensors(torch.neg, made(logits=torch.ones(2), hidden=torch.zeros(2)))
    assert isinstance(one, made)
    assert [-2.0, 0.0] == [float(tensor.sum()) for tensor in tensors_of(one)]


def test_a_mapping_that_takes_no_items_becomes_a_dict():
    """Its items are there all the same."""

    class Closed(Named):
        __setitem__ = None

    assert {"a": 2, "b": 3} == filled(Closed(a=1, b=3), {"a": 2})


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_model_without_shapes_or_without_hooks_is_not_judged():
    """The note says what to do."""
    x, y = classes(160)
    assert () == found_of(nn.LazyLinear(3), batched(x, y))[0]
    for model in (nn.LazyLinear(3), torch.jit.script(mlp(8, 16, 3))):
        names, notes = found_of(model, batched(x, y), watched=False)
        assert () == names
        assert len(notes) == 1
    scripted_in_part = nn.Sequential(torch.jit.script(nn.Linear(8, 16)), nn.Linear(16, 3))
    assert () == found_of(scripted_in_part, batched(x, y), watched=False)[0]


def test_nested_tensors_are_left_out():
    """They have no shape."""

    class Ragged(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x):
            """Logits (B, 3), of two lengths."""
            return self.layer(torch.nested.nested_tensor([x[:9], x[9:]]))

    def loss_fn(output, targets):
        return functional.cross_entropy(torch.cat(output.unbind()), targets)

    assert () == found_of(Ragged(), batched(*classes(160)), loss_fn)[0]


class Centred(nn.Module):
    """A loss that takes a mean away which follows the outputs, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("centre", torch.zeros(3))
        self.calls, self.past = 0, []

    def forward(self, output, targets):
        """The loss."""
        self.calls += 1
        self.past.append(self.calls)
        self.centre = 0.9 * self.centre + 0.1 * output.detach().mean(0)
        return functional.cross_entropy(output - self.centre, targets)


class Object:
    """The same, as an object that can be called."""

    def __init__(self):
        self.centre, self.calls, self.past = torch.zeros(3), 0, []

    __call__ = Centred.forward


def closed_over():
    """The same, as a function that closes over what it changes."""
    centre, calls, past = torch.zeros(3), 0, {"n": 0}

    def loss_fn(output, targets):
        nonlocal centre, calls
        calls += 1
        past["n"] += 1
        centre.mul_(0.9).add_(output.detach().mean(0))
        centre = centre + 1
        return functional.cross_entropy(output - centre, targets)

    return loss_fn, lambda: (centre.tolist(), calls, past)


@pytest.mark.parametrize(
    "of", [lambda loss: loss, lambda loss: loss.__call__, partial, lambda loss: lambda *a: loss(*a)]
)
@pytest.mark.parametrize("made", [Centred, Object])
def test_a_loss_is_left_as_it_was(made, of):
    """Whether it is given itself or something calls it."""
    loss = made()
    found_of(mlp(8, 16, 3), batched(*classes(160)), of(loss), watched=False)
    assert ([0.0] * 3, 0, []) == (loss.centre.tolist(), loss.calls, loss.past)


def test_what_a_loss_closes_over_is_left_as_it_was():
    """Names are given back what they stood for, and that its numbers."""
    loss_fn, shown = closed_over()
    found_of(mlp(8, 16, 3), batched(*classes(160)), loss_fn, watched=False)
    assert ([0.0] * 3, 0, {"n": 0}) == shown()


def test_lists_and_tensors_that_a_model_keeps_are_left_as_they_were():
    """They are no buffers, and changed where they lie."""

    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.mean, self.past = nn.Linear(8, 3), torch.zeros(3), []

        def forward(self, x):
            """Logits (B, 3)."""
            output = self.layer(x)
            self.mean.mul_(0.9).add_(output.detach().mean(0))
            self.past.append(len(x))
            return output

    model = Keeping()
    found_of(model, batched(*classes(160)), watched=False)
    assert ([0.0] * 3, []) == (model.mean.tolist(), model.past)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_watch_of_a_scripted_model_goes_on():
    """It takes no hooks, and its steps are watched all the same: a zeroed gradient is named."""
    model = torch.jit.script(mlp(8, 16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with goldmark.watch(model, optimizer) as watch:
        for inputs, targets in batched(*classes()) * 2:
            output = model(inputs)
            loss = functional.cross_entropy(output, targets)
            loss.backward()
            watch.after_backward((inputs, targets), output, loss)
            optimizer.zero_grad()
            optimizer.step()
    assert "zeroed_gradients" in watch.findings.names
