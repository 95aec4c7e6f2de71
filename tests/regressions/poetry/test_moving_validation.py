"""Validation cut to the curriculum's length: early epochs are scored on easier windows, and one of them is the best.

Poetry record, "best at epoch 6": windows of 20, 30, 40 and 50 words in epochs 1-7, 8-15, 16-23 and 24-30, also of the
validation set, so that losses of different phases are of different tasks.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.case import Variant
from goldmark.cases.poetry import CASE, scores
from goldmark.checks import check_moving_validation
from goldmark.runs import Job
from goldmark.training._prepare import end_epoch, prepare
from goldmark.training._schedule import evaluated_epochs, train_size
from goldmark.training.draws import key, normal

EPOCHS = (1, 10, 20, 30)  # one of each phase
LENGTHS = {1: 3, 10: 5, 20: 6, 30: 8}  # of 8 words, as the record's 20, 30 and 40 of 50


@pytest.fixture(scope="module")
def untrained(small):
    """A run that is ready to be trained and takes no step, of 30 epochs, each one step."""
    settings = replace(small, n_train=32, batch=32, steps=30)
    case = replace(CASE, settings=settings, variants=(Variant(name="small", says="small", role="option"),))
    return prepare(Job(case, "small", 0))


def of_the_engine(run):
    """The right form: the row that the engine writes at the end of the first, the middle and the last epoch."""

    def row(epoch):
        end_epoch(run, epoch, 0.0, ())
        return {name: value for name, value in run.history[-1].items() if name != "epoch"}

    return row


def evaluated(run):
    """The epochs, from 0, in which the engine evaluates."""
    return sorted(evaluated_epochs(run.settings, train_size(run.data)))


def cut(run):
    """The bug: windows of the phase's length."""

    def row(epoch):
        with torch.no_grad():
            return scores.evaluate(run.model.eval(), {"val_tokens": run.data["val_tokens"][:, : LENGTHS[epoch]]})

    return row


def drawn_anew(run):
    """A control: full windows, other ones in each epoch."""

    def row(epoch):
        with torch.no_grad():
            return scores.evaluate(run.model.eval(), {"val_tokens": run.data["val_tokens"][epoch : epoch + 20]})

    return row


def test_validation_of_an_unchanged_model_does_not_move(untrained):
    """The right form: the engine scores one model alike in all epochs, to the last bit."""
    finding = check_moving_validation(of_the_engine(untrained), evaluated(untrained))
    assert {"token_cosine", "r2"} <= untrained.history[-1].keys()  # so that all epochs were evaluated
    assert not finding.trouble, f"validation on a moving length: {finding.advice}, {finding.numbers}"


@pytest.mark.parametrize("evaluate", [cut, drawn_anew])
def test_moving_yardstick_is_found(untrained, evaluate):
    """The bug, and a control that keeps the length: the model stays, its scores move."""
    assert check_moving_validation(evaluate(untrained), EPOCHS).trouble


def test_every_evaluated_epoch_is_scored_at_full_length(untrained, monkeypatch):
    """What the engine hands to the scores is the whole validation half, in every epoch."""
    shapes = []
    monkeypatch.setattr(scores, "evaluate", lambda model, data: shapes.append(data["val_tokens"].shape) or {})
    for epoch in evaluated(untrained):
        end_epoch(untrained, epoch, 0.0, ())
    assert [(64, 8, 24)] * 3 == shapes, "validation on a moving length"


class Fixed:
    """A model that writes the same words, whatever it is shown."""

    def __init__(self, words):
        self.words = words

    def encode(self, tokens, valid=None):
        """Return codes of two numbers, and the windows as what attention would see."""
        return tokens[:, 0, :2], tokens

    def decoder(self, codes, memory):
        """Return the words, which are the states too."""
        words = self.words[:, : memory.shape[1]]
        return words, words


def unscored_places(evaluate):
    """The places of a window of 50 words at which another word changes no score by token."""
    words, targets = (normal(key(0, 0, name), (8, 50, 4)) for name in ("words", "targets"))
    before = evaluate(Fixed(words), {"val_tokens": targets})["token_cosine"]
    places = []
    for place in range(50):
        other = targets.clone()
        other[:, place] *= -1
        places += [place] * (evaluate(Fixed(words), {"val_tokens": other})["token_cosine"] == before)
    return places


def first_20(model, data):
    """The bug in its first phase: the record's 20 words."""
    return scores.evaluate(model, {"val_tokens": data["val_tokens"][:, :20]})


def test_every_word_of_a_window_is_scored():
    """The right form scores all 50 places; cut to the first phase, 30 of them could hold anything."""
    assert [] == unscored_places(scores.evaluate), "validation is cut to a curriculum's length"
    assert list(range(20, 50)) == unscored_places(first_20)
