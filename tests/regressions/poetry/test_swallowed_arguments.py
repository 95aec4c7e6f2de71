"""Keyword arguments that nothing reads: `use_attention=True` was taken, swallowed, and a model without it trained.

Poetry record, one-line use: `poetry_autoencoder("poems.json", use_attention=True)`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.cases.poetry import PoetrySettings
from goldmark.cases.poetry.model import PoetryAutoencoder, make_model
from goldmark.checks import check_swallowed_arguments

SIZES = {"embedding": 6, "encoder_hidden": 4, "decoder_hidden": 4, "code_size": 2, "dropout": 0.1}
OTHER = {  # every setting that the model is made of, with another value
    "encoder_hidden": 8,
    "decoder_hidden": 8,
    "cell": "gru",
    "layers": 2,
    "bidirectional": True,
    "attention_heads": 4,
    "code_size": 3,
    "dropout": 0.3,
}


class Swallowing(PoetryAutoencoder):
    """The bug: whatever else is asked for is dropped."""

    def __init__(self, **kwargs):
        super().__init__(**{name: value for name, value in kwargs.items() if name in SIZES})


class Keeping(PoetryAutoencoder):
    """A control: what else is asked for is kept for later, and read by nobody."""

    def __init__(self, *, embedding, encoder_hidden, decoder_hidden, code_size, dropout, **options):
        super().__init__(
            embedding=embedding,
            encoder_hidden=encoder_hidden,
            decoder_hidden=decoder_hidden,
            code_size=code_size,
            dropout=dropout,
        )
        self.options = options


def without_attention(settings, embedding):
    """The bug, one step later: the setting is known, and the model is built without it."""
    return make_model(replace(settings, attention_heads=0), embedding)


def shape_of(model):
    """What tells models apart before they are trained: parameters by name and shape, and the dropout."""
    return {name: tuple(tensor.shape) for name, tensor in model.named_parameters()} | {"p": float(model.dropout.p)}


def idle_settings(make):
    """The settings whose other value makes no other model."""
    before = shape_of(make(PoetrySettings(), 6))
    return [
        name for name, value in OTHER.items() if shape_of(make(replace(PoetrySettings(), **{name: value}), 6)) == before
    ]


@pytest.mark.parametrize(("build", "arguments"), [(PoetryAutoencoder, SIZES), (PoetrySettings, {})])
def test_unknown_arguments_are_refused(build, arguments):
    """The right form: settings and model name all that they read."""
    finding = check_swallowed_arguments(build, **arguments)
    assert not finding.trouble, f"keyword arguments are swallowed: {finding.advice}"
    with pytest.raises(TypeError, match="use_attention"):
        build(**arguments, use_attention=True)


@pytest.mark.parametrize("build", [Swallowing, Keeping])
def test_swallowed_arguments_are_found(build):
    """The bug, and the control: both take `use_attention=True` and build the same model."""
    assert shape_of(build(**SIZES, use_attention=True)) == shape_of(build(**SIZES))
    finding = check_swallowed_arguments(build, **SIZES)
    assert finding.trouble
    assert build.__name__ in finding.advice


def test_every_setting_of_the_model_reaches_it():
    """The right form: another value makes another model; the bug leaves attention out."""
    assert [] == idle_settings(make_model), "settings of the model are swallowed"
    assert ["attention_heads"] == idle_settings(without_attention)
