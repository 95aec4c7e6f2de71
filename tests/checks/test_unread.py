"""Terms that are left out of a loss, by the graphs of both."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import goldmark
from goldmark.checks._unread import is_summed, unread_terms


@pytest.fixture
def outputs():
    """Two outputs of one layer, and the whole of them."""
    whole = nn.Linear(4, 5)(torch.randn(6, 4))
    left, right = whole.split((2, 3), dim=1)
    return {"whole": whole, "left": left, "right": right}


def test_a_term_of_an_output_that_the_loss_does_not_read(outputs):
    """Before and after the backward pass, which frees what is saved and leaves the nodes."""
    terms = {"left": outputs["left"].square().mean(), "right": outputs["right"].abs().mean(), "number": 0.5}
    told = (outputs["left"], outputs["right"])
    for _ in range(2):
        assert {"right"} == unread_terms(terms["left"], told, terms)
        assert frozenset() == unread_terms(terms["left"] + 0.1 * terms["right"], told, terms)
        terms["left"].backward(retain_graph=True)


def test_a_term_that_is_back_propagated_by_itself_counts(outputs):
    """Wherever a pass has started."""
    terms = {"left": outputs["left"].mean(), "right": outputs["right"].mean()}
    told = (outputs["left"], outputs["right"])
    assert frozenset() == unread_terms(terms["left"], told, terms, [terms["right"].grad_fn])


def test_a_number_for_a_log_passes(outputs):
    """One of the same outputs, of a form of them, or of a slice of what the loss reads in other slices."""
    left, right, whole = outputs["left"], outputs["right"], outputs["whole"]
    loss = left.square().mean() + right.square().mean()
    assert frozenset() == unread_terms(loss, (left, right), {"log": right.abs().mean()})
    shown = right.softmax(1)
    assert frozenset() == unread_terms(loss, (left, shown), {"log": shown.mean()})
    assert frozenset() == unread_terms(whole.mean(), (whole, right), {"log": right.mean()})
    others = left.mean() + whole[:, 2:].mean()
    assert frozenset() == unread_terms(others, (left, right), {"log": right.mean()})


def test_a_loss_that_reads_no_output_tells_nothing(outputs):
    """Nor does a loss without a graph."""
    loss, told = outputs["whole"].mean(), (outputs["left"], outputs["right"])
    assert frozenset() == unread_terms(loss, told, {"right": outputs["right"].mean()})
    assert frozenset() == unread_terms(loss.detach(), told, {"right": outputs["right"].mean()})


def test_what_is_summed_lies_before_the_last_layers(outputs):
    """A loss that nobody knows may hold any term."""
    left, right = outputs["left"].mean(), outputs["right"].mean()
    assert is_summed(left, 2 * left + 1)
    assert not is_summed(right, 2 * left + 1)
    assert is_summed(right, None)
    assert is_summed(0.0, left)


@pytest.mark.parametrize(("added", "names"), [(None, ["weightless_term"]), (50, [])])
def test_a_term_that_is_added_in_one_step_alone_counts(added, names):
    """Though no sample was taken of it."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with goldmark.watch(model, optimizer) as watch:
        for step in range(100):
            output = model(torch.randn(8, 4)).unbind(1)
            terms = {"left": output[0].square().mean(), "right": output[1].square().mean()}
            loss = sum(terms.values()) if step == added else terms["left"]
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward(output=output, loss=loss, terms=terms)
            optimizer.step()
            if step % 25 == 24:
                watch.end_epoch()
    assert names == [name for name in watch.findings.names if name == "weightless_term"]
