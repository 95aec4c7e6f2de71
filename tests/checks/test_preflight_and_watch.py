"""The two calls: what they return, print and refuse, and how they fit structures of inputs and outputs."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, mlp, numbers

import goldmark
from goldmark.case import Finding
from goldmark.checks import Findings, row_keys


def finding(name, *, trouble=True):
    """A finding of a name."""
    return Finding(name=name, trouble=trouble, numbers={"x": 0.5}, threshold=0.1, advice="do it", relation="x is small")


def test_findings_print_the_cause_first_and_leave_out_what_is_no_trouble():
    """Order of cause, one line each with relation, numbers and advice; then the notes."""
    findings = Findings([finding("no_skill"), finding("overlap", trouble=False), finding("input_scale")], ["late"])
    assert ("input_scale", "no_skill") == findings.names
    line = "input_scale: x is small; measured: x 0.5 (threshold 0.1); do it"
    assert [line, line.replace("input_scale", "no_skill"), "note: late"] == str(findings).splitlines()
    assert "no findings" == str(Findings([]))


def program(**bug):
    """Model, optimizer, batches and loss of a classifier; what is named replaces a part."""
    model = bug.get("model") or mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train = bug.get("train") or batched(*classes(64))
    return model, optimizer, train, batched(*classes(32, seed=1)), functional.cross_entropy


def test_assert_healthy_returns_for_a_healthy_program_and_lists_all_findings_of_another():
    """The error's text is that of the findings."""
    assert () == goldmark.assert_healthy(*program())
    with pytest.raises(AssertionError, match=r"2 findings before training, the cause first\ndropout_rate: p is the"):
        goldmark.assert_healthy(*program(model=nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.95))))


def test_preflight_fixture_is_the_call(preflight):
    """A test asks for `preflight` and gets the asserting form."""
    preflight(*program())
    with pytest.raises(AssertionError, match="normalized_outputs"):
        preflight(*program(model=mlp(8, 16, 3, last=nn.Softmax(dim=1))))


def test_batches_that_can_be_read_once_are_refused():
    """A generator would be empty for the training."""
    model, optimizer, train, _, loss_fn = program()
    with pytest.raises(ValueError, match="batches are a generator, which can be read once; pass a list"):
        goldmark.preflight(model, optimizer, (batch for batch in train), None, loss_fn)
    with pytest.raises(ValueError, match="batches are empty"):
        goldmark.preflight(model, optimizer, [], None, loss_fn)
    with pytest.raises(ValueError, match=r"a batch is a tuple of 3; give \(inputs, targets\)"):
        goldmark.preflight(model, optimizer, [(*train[0], 1)], None, loss_fn)


def test_names_that_the_model_does_not_have_are_noted():
    """A misspelt declaration is no silent pass."""
    findings = goldmark.preflight(*program(), frozen=["backbone"], tied=[("a", "b")])
    assert any("frozen names ['backbone']" in note for note in findings.notes)
    assert any("tied names 'a', and the model has no such parameter" in note for note in findings.notes)


class Two(NamedTuple):
    """Two outputs."""

    near: torch.Tensor
    far: torch.Tensor


class Structured(nn.Module):
    """A model of two inputs and two named outputs."""

    def __init__(self):
        super().__init__()
        self.trunk, self.near, self.far = nn.Linear(8, 16), nn.Linear(16, 1), nn.Linear(16, 1)

    def forward(self, x, weight):
        """Two columns."""
        h = self.trunk(x * weight).relu()
        return Two(self.near(h), self.far(h))


@pytest.mark.parametrize("scale", [1.0, 500.0])
def test_inputs_and_outputs_may_be_tuples_and_names(scale):
    """Outputs meet their targets by name: the scale of one of two targets is seen, and a fit one is not."""
    x, y = numbers(64)
    batches = [((x, torch.ones(64, 1)), {"near": y, "far": y * scale})]
    model = Structured()

    def loss_fn(output, targets):
        return sum(functional.mse_loss(getattr(output, name), target) for name, target in targets.items())

    optimizer = torch.optim.Adam(model.parameters())
    expected = ("target_scale",) if scale > 1 else ()
    assert expected == goldmark.preflight(model, optimizer, batches, None, loss_fn).names


def test_without_after_backward_the_findings_say_so():
    """Only what the step's hooks see is judged."""
    model, optimizer, train, _, loss_fn = program()
    with goldmark.watch(model, optimizer) as watch:
        for x, y in train * 3:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
    assert () == watch.findings
    assert ("after_backward was never called: only what the optimizer's steps show was judged",) == watch.findings.notes


def test_findings_can_be_read_while_training_goes_on():
    """They are those so far."""
    model, optimizer, train, _, loss_fn = program()
    with goldmark.watch(model, optimizer) as watch:
        for x, y in train * 5:
            loss = loss_fn(output := model(x), y)
            loss.backward()  # and gradients are never zeroed
            watch.after_backward((x, y), output, loss)
            optimizer.step()
        assert "stale_gradients" in watch.findings.names


def test_accumulate_must_be_a_count():
    """Zero backward passes make no step."""
    model, optimizer, *_ = program()
    with pytest.raises(ValueError, match="accumulate is 0; give the number of backward passes"):
        goldmark.watch(model, optimizer, accumulate=0)


def test_row_keys_tell_examples_apart_and_equal_ones_not():
    """Equal rows of floats, integers and pairs have equal keys; a last bit makes another."""
    x = torch.randn(500, 7)
    assert torch.equal(row_keys(x), row_keys(x.clone()))
    assert 500 == len(row_keys(x).unique())
    near = x.clone()
    near[:, 3] = torch.nextafter(near[:, 3], torch.tensor(9.0))
    assert not bool((row_keys(near) == row_keys(x)).any())
    assert not torch.equal(row_keys((x, torch.ones(500))), row_keys((x, torch.zeros(500))))


def test_a_model_that_takes_whole_batches_alone_gets_them():
    """Fewer rows than the program uses are a convenience."""

    class Fixed(nn.Module):
        """A model of batches of 128."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x):
            """Logits (128, 3)."""
            return self.layer(x.view(128, 8))

    model = Fixed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert () == goldmark.preflight(model, optimizer, batched(*classes(256), 128), None, functional.cross_entropy)


def test_what_a_watch_cannot_read_is_a_note_and_no_error():
    """Training goes on."""
    model, optimizer, train, _, loss_fn = program()
    with goldmark.watch(model, optimizer) as watch:
        for x, y in train * 3:
            loss = loss_fn(output := model(x), y)
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward((x, y), output, loss, {"labels": "a word"})
            optimizer.step()
    assert () == watch.findings
    assert any("a backward pass was not judged: ValueError" in note for note in watch.findings.notes)
