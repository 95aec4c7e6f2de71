"""A small recipe of the case with its data and a fresh model in float64, and poems as a user's files have them."""

from __future__ import annotations

import json
import random

import pytest

from goldmark.cases.poetry import CASE, PoetrySettings
from goldmark.training import draws

ADJECTIVES = ["silent", "golden", "weary", "distant", "hollow", "gentle"]
NOUNS = ["river", "moon", "sparrow", "garden", "shadow", "harbour", "candle", "winter"]
VERBS = ["remembers", "follows", "forgives", "carries"]
PLACES = ["beneath the stair", "across the snow", "before the dawn", "along the shore"]
WORDS = sorted({"the", "a", *ADJECTIVES, *NOUNS, *VERBS, *" ".join(PLACES).split()})


@pytest.fixture(scope="module")
def settings():
    """A small grammar, 4 hidden units in the decoder."""
    return PoetrySettings(n_train=96, n_val=40, encoder_hidden=10, decoder_hidden=4, steps=6, batch=32)


@pytest.fixture(scope="module")
def data(settings):
    """Its first seed."""
    return CASE.make_data(settings, 0)


@pytest.fixture(scope="module")
def model(settings, data):
    """A fresh model in evaluation mode, in float64."""
    with draws.initial_weights(0):
        return CASE.make_model(settings, data).double().eval()


@pytest.fixture(scope="session")
def poems():
    """48 poems of one to five lines of ten words."""
    chance = random.Random(0)  # noqa: S311 - no secret

    def line():
        first, second = (f"{chance.choice(ADJECTIVES)} {noun}" for noun in chance.sample(NOUNS, 2))
        return f"The {first} {chance.choice(VERBS)} a {second} {chance.choice(PLACES)},"

    return ["\n".join(line() for _ in range(chance.randint(1, 5))) for _ in range(48)]


@pytest.fixture(scope="session")
def poems_file(tmp_path_factory, poems):
    """The poems as objects with a title, by turns with `text` and `content`, and as plain texts."""
    entries = [
        [{"title": "T", "text": poem}, {"content": poem, "id": place}, poem][place % 3]
        for place, poem in enumerate(poems)
    ]
    path = tmp_path_factory.mktemp("poems") / "poems.json"
    path.write_text(json.dumps(entries))
    return path


@pytest.fixture(scope="session")
def vector_lines():
    """A vector of 6 numbers for every word of the poems and for one other, a line each."""
    chance = random.Random(1)  # noqa: S311 - no secret
    return [" ".join([word, *(f"{chance.gauss(0.3, 1):.4f}" for _ in range(6))]) for word in (*WORDS, "zinc")]


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory, vector_lines):
    """The vectors in GloVe's format."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("\n".join(vector_lines) + "\n")
    return path


@pytest.fixture(scope="session")
def measured(poems_file, vectors_file):
    """The case on the poems with their vectors."""
    return CASE.on_file(poems_file, {"embeddings": vectors_file})
