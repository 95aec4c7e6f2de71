"""Classes chosen among outputs: torch's functions do what they did, and are put back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace

import goldmark
from goldmark.checks import check_choice_of_one


class Chooses(nn.Module):
    """All ways of choosing."""

    def forward(self, x: Tensor) -> Tensor:
        """The largest along the second dimension, four times (4, N)."""
        return torch.stack([x.argmax(1), torch.argmax(x, dim=1), x.max(dim=1)[1], torch.max(x, 1)[1]])


class Marked(Tensor):
    """A subclass."""


@pytest.fixture
def model():
    """One output for each example."""
    return nn.Linear(3, 1)


@pytest.fixture
def watch(model):
    """A watch that goes on."""
    with goldmark.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)) as active:
        yield active


def counted(watch):
    """Calls of argmax and max among one output, and those among several."""
    chosen = watch.record.chosen
    return chosen.argmax_of_one, chosen.max_of_one, chosen.several


def test_candidates_may_vary_in_number():
    """A list of one is no output of one."""
    assert check_choice_of_one(1, 0).trouble
    assert not check_choice_of_one(3, 1).trouble
    assert not check_choice_of_one(0, 4).trouble


def test_choices_among_what_a_model_gave_are_heard(watch, model):
    """By positions and keywords, of what has the shape of the output; not over examples, nor of one example."""
    output = model(torch.randn(4, 3))
    for dim in (1, -1):
        assert [0, 0, 0, 0] == output.sigmoid().argmax(dim).tolist()
    torch.max(input=output, dim=1, keepdim=True)
    for other in (output.squeeze(1), torch.ones(5, 1)):
        other.argmax(-1)
    output.argmax(0), output.argmax(), output.max(), torch.max(output, output)
    model(torch.randn(1, 3)).argmax(1)
    assert (2, 1, 0) == counted(watch)


def test_several_outputs_are_no_trouble():
    """A classifier of two classes, by all ways."""
    model = nn.Linear(3, 2)
    with goldmark.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)) as watch:
        Chooses()(model(torch.randn(4, 3)))
    assert (0, 0, 4) == counted(watch)
    assert () == watch.findings.names


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_scripts_traces_maps_and_subclasses_work_meanwhile(watch):
    """And give what they give without a watch."""
    x = torch.randn(4, 3)
    wanted = Chooses()(x).tolist()
    assert wanted == torch.jit.script(Chooses())(x).tolist()
    assert wanted == symbolic_trace(Chooses())(x).tolist()
    assert wanted == Chooses()(x.as_subclass(Marked)).tolist()
    assert wanted[0] == torch.vmap(lambda row: torch.argmax(row, dim=0))(x).tolist()


def test_torch_is_as_it_was_afterwards(model):
    """Also where a method is inherited."""
    before = torch.argmax, torch.max, dict(vars(Tensor))
    with goldmark.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)):
        assert torch.argmax is not before[0]
    assert before == (torch.argmax, torch.max, dict(vars(Tensor)))
