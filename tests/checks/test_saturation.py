"""Bounded activations between layers: which are counted, and from where on they are saturated."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from goldmark import preflight
from goldmark.checks import check_saturated_units


class Gated(nn.Module):
    """Layers whose sigmoid is a gate, and whose last tanh is the output."""

    def __init__(self):
        super().__init__()
        self.value, self.gate, self.last = nn.Linear(8, 64), nn.Linear(8, 64), nn.Linear(64, 1)

    def forward(self, x):
        """A number in (-1, 1)."""
        return self.last(self.value(x) * self.gate(x).sigmoid()).tanh()


class Functions(nn.Module):
    """Hidden layers with a function between them."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList([nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 1)])

    def forward(self, x):
        """A number."""
        first, second, last = self.layers
        return last(self.function(second(self.function(first(x)))))


def names_of(model, *, std=4.0, optimizer=None):
    """The findings of a preflight of a model whose weights are drawn with a standard deviation."""
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
    x, y = torch.randn(64, 8), torch.rand(64, 1)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=1e-4)
    return preflight(model, optimizer, [(x, y)], None, nn.MSELoss()).names


@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid, functional.hardtanh, nn.Tanh(), nn.Sigmoid()])
def test_functions_and_modules_are_counted_alike(function):
    """Weights of 4 for 8 inputs are far too large, those of 0.3 are not."""
    assert "saturated_units" in names_of(Functions(function))
    assert "saturated_units" not in names_of(Functions(function), std=0.3)


def test_gates_and_outputs_may_be_at_their_bounds():
    """A gate decides, and an answer may be sure."""
    assert "saturated_units" not in names_of(Gated())


def test_one_layer_may_be_saturated():
    """As the last of a network that was trained before."""
    assert not check_saturated_units([0.9, 0.1]).trouble
    assert not check_saturated_units([0.4, 0.4]).trouble
    assert check_saturated_units([0.9, 0.6]).trouble


def test_a_network_that_was_trained_is_not_judged():
    """Its optimizer tells."""
    model = Functions(torch.tanh)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model(torch.randn(4, 8)).sum().backward()
    optimizer.step()
    assert "saturated_units" not in names_of(model, optimizer=optimizer)


@pytest.mark.parametrize(("n_hidden", "named"), [(3, False), (8, True)])
def test_the_gradient_of_a_row_of_sigmoids_vanishes(n_hidden, named):
    """Each passes on a quarter of it at most; three are no row."""
    widths = [8] * (n_hidden + 1)
    hidden = [layer for width in widths[1:] for layer in (nn.Linear(8, width), nn.Sigmoid())]
    assert named is ("vanishing_gradient" in names_of(nn.Sequential(*hidden, nn.Linear(8, 1)), std=0.3))
