"""Derivatives by inputs: heard where they have no graph, and trouble where a loss is made of nothing else."""

import pytest
import torch
from torch import nn

from goldmark import checks
from goldmark.checks import watch
from goldmark.checks._derivatives import DERIVATIVES, DerivativeCalls


def heard(take):
    """What is heard of derivatives while `take(layer, t)` runs, as inputs beside the weights of the layer."""
    layer, t, calls = nn.Linear(1, 1), torch.rand(4, 1).requires_grad_(), DerivativeCalls()
    DERIVATIVES.add(calls)
    try:
        take(layer, t)
    finally:
        DERIVATIVES.remove(calls)
    return len(calls.inputs_beside({*map(id, layer.parameters())}))


def test_a_derivative_by_inputs_is_heard_where_it_has_no_graph():
    """One by weights, or of what no weight is in, is not kept; nor are those that torch takes in its own transforms."""
    assert 1 == heard(lambda layer, t: torch.autograd.grad(layer(t).sum(), t))
    assert 1 == heard(lambda layer, t: torch.autograd.grad([layer(t)], (t,), [torch.ones(4, 1)], None, False))
    assert 0 == heard(lambda layer, t: torch.autograd.grad(layer(t).sum(), t, create_graph=True))
    assert 0 == heard(lambda layer, t: torch.autograd.grad(layer(t).sum(), t, None, None, True))
    assert 0 == heard(lambda layer, t: torch.autograd.grad(layer(t).sum(), layer.weight))
    assert 0 == heard(lambda layer, t: torch.autograd.grad(t.sin().sum(), t))
    assert 0 == heard(lambda layer, t: torch.func.vmap(torch.func.jacrev(layer))(t))


def copied(layer, t):
    """Derive by a copy of weights, as the inner step of a first-order method does."""
    copies = {name: one.detach().clone().requires_grad_() for name, one in layer.named_parameters()}
    torch.autograd.grad(torch.func.functional_call(layer, copies, (t,)).sum(), list(copies.values()))


def test_a_copy_of_weights_is_no_input():
    """What depends on copies depends on no weight."""
    assert 0 == heard(copied)


@pytest.mark.parametrize(
    "loss_of",
    [lambda a, b: a + 10 * b, lambda a, b: sum([b, 0.5 * a]), lambda a, b: torch.stack([b, a]).mean(), lambda a, b: a],
    ids=["sum", "list", "stack", "alone"],
)
def test_a_summand_of_inputs_alone_trains_nothing(loss_of):
    """Whatever it is multiplied by; a source beside the output, and another tensor's term, pass."""
    layer, t = nn.Linear(1, 1), torch.rand(4, 1).requires_grad_()
    idle, live = (0.5 - t.cos()).square().mean(), (layer(t) - t.cos()).square().mean()
    assert checks.check_derivative_without_graph(loss_of(idle, live), {}, [t]).trouble
    assert not checks.check_derivative_without_graph(loss_of(live, live), {"live": live}, [t]).trouble
    assert not checks.check_derivative_without_graph(loss_of(idle, live), {}, [torch.rand(4, 1)]).trouble


def test_a_term_of_inputs_alone_is_named():
    """Also where the loss multiplies it by a weight of its own."""
    layer, t, factor = nn.Linear(1, 1), torch.rand(4, 1).requires_grad_(), nn.Parameter(torch.zeros(()))
    terms = {"equation": (0.5 - t.cos()).square().mean(), "start": layer(torch.zeros(1, 1)).square().mean()}
    loss = (-factor).exp() * terms["equation"] + factor + terms["start"]
    finding = checks.check_derivative_without_graph(loss, terms, [t])
    assert finding.trouble
    assert "equation reaches only inputs" in finding.relation


def test_the_engine_of_torch_is_put_back():
    """After the watch, and in steps that are not looked at."""

    def engine():
        return vars(torch.autograd)["_engine_run_backward"]

    own, layer, replaced = engine(), nn.Linear(1, 1), []
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with watch(layer, optimizer):
        for _ in range(10):
            replaced.append(engine() is not own)
            layer(torch.ones(1, 1)).sum().backward()
            optimizer.step()
    assert ([True] * 8 + [False] * 2, own) == (replaced, engine())
