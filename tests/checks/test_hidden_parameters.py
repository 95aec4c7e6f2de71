"""Parameters that a model hides: those behind tensors that it computes once and keeps."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from goldmark.checks import check_hidden_parameters, preflight

KEEPING = {
    "alone": lambda tensor: tensor,
    "in a list": lambda tensor: [tensor],
    "in lists of a dict": lambda tensor: {"weights": [tensor]},
}


class Keeping(nn.Module):
    """A layer on its inputs times a tensor that it keeps, in some container, beside what the layer gave last."""

    def __init__(self, tensor, keep=KEEPING["alone"]):
        super().__init__()
        self.kept, self.head, self.last = keep(tensor), nn.Linear(4, 2), None

    def forward(self, x):
        """Logits (B, 2)."""
        kept = self.kept
        while not isinstance(kept, torch.Tensor):
            kept = next(iter(kept.values() if isinstance(kept, dict) else kept))
        self.last = self.head(x * kept)
        return self.last


def names_of(model, *further):
    """The names of what a preflight finds, with parameters that the optimizer owns besides the model's."""
    optimizer = torch.optim.SGD([*model.parameters(), *further], lr=0.1)
    batches = [(torch.randn(8, 4), torch.arange(8) % 2) for _ in range(2)]
    return preflight(model, optimizer, batches, None, functional.cross_entropy).names


@pytest.mark.parametrize("keep", KEEPING.values(), ids=KEEPING)
def test_what_is_computed_from_a_parameter_hides_it(keep):
    """Its dtype or its shape was changed: the module keeps the result, and no parameter."""
    for tensor in (nn.Parameter(torch.ones(4)).unsqueeze(0), nn.Parameter(torch.ones(4).double()).float()):
        assert ("hidden_parameters",) == names_of(Keeping(tensor, keep))


def test_the_name_of_the_tensor_is_told():
    """And not that of a layer's output, which is computed from the model's own parameters as well."""
    model = Keeping(nn.Parameter(torch.ones(4)).view(1, 4))
    loss = model(torch.randn(8, 4)).sum()
    reached = [*model.parameters(), model.kept.grad_fn.next_functions[0][0].variable]
    finding = check_hidden_parameters(model, reached)
    assert loss.requires_grad
    assert (True, 1.0) == (finding.trouble, finding.numbers["tensors"])
    assert finding.relation.endswith("must be a parameter: kept")


def test_parameters_that_somebody_trains_or_has_are_not_hidden():
    """The optimizer owns it, or another module has it, as where one network makes the weights of another."""
    parameter = nn.Parameter(torch.ones(4))
    assert "hidden_parameters" not in names_of(Keeping(parameter.view(1, 4)), parameter)
    maker = nn.Linear(1, 4)
    assert "hidden_parameters" not in names_of(Keeping(maker.weight[:, 0]))


def test_outputs_that_are_kept_from_an_earlier_pass_are_not_hidden():
    """They were computed from the model's own parameters."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model.cached = [model[0](torch.randn(3, 4))]
    assert "hidden_parameters" not in names_of(model)
