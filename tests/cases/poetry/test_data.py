"""The generators of the poetry case: windows of a grammar of phrases, and of independent words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from goldmark.cases.poetry import CASE, PoetrySettings
from goldmark.cases.poetry.data import phrase_words, windows, word_vectors, zipf_words

SETTINGS = PoetrySettings()


@pytest.mark.parametrize("text", ["grammar", "iid"])
def test_data_have_the_stated_shapes_and_type(text):
    """512 training and 128 validation windows of 12 tokens of 48 entries, float64 as all that makes the objective."""
    data = CASE.make_data(replace(SETTINGS, text=text), 0)
    assert (512, 12, 48) == tuple(data["train_tokens"].shape)
    assert (128, 12, 48) == tuple(data["val_tokens"].shape)
    assert {torch.float64} == {tensor.dtype for tensor in data.values()}


@pytest.mark.parametrize("text", ["grammar", "iid"])
def test_data_repeat_by_seed_and_differ_between_seeds(text, settings):
    """A seed gives the same bits again, another one shares no value."""
    first, again, other = (windows(replace(settings, text=text), seed) for seed in (3, 3, 4))
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        assert not (tensor == other[name]).any()


def test_widths_do_not_touch_the_data():
    """Narrow and wide train on the same windows, so that their scores can be compared by seed."""
    wide, narrow = (CASE.make_data(CASE.settings_of(name), 0) for name in ("wide", "narrow"))
    assert wide.keys() == narrow.keys()
    assert [] == [name for name in wide if not torch.equal(wide[name], narrow[name])]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.9])
def test_stated_share_of_the_energy_is_the_common_mean(share):
    """Entries have mean square 1, of which the mean over words holds the share: both are scaled, so to rounding."""
    vectors = word_vectors(replace(SETTINGS, mean_share=share), 0)
    assert 1.0 == pytest.approx(float(vectors.square().mean()), rel=1e-12)
    assert share == pytest.approx(float(vectors.mean(dim=0).square().mean()), rel=1e-12)


@pytest.mark.parametrize("spectrum", [0.0, 0.2, 1.0])
def test_variance_falls_along_the_entries_with_the_stated_power(spectrum):
    """Entry i varies as i^-spectrum: over 4000 words the fitted exponent is within .03 of it (standard error .004)."""
    own = word_vectors(replace(SETTINGS, vocabulary=4000, spectrum=spectrum), 0)
    slope = np.polyfit(np.log(np.arange(1, 49)), np.log(own.var(dim=0).numpy()), 1)[0]
    assert -spectrum == pytest.approx(slope, abs=0.03)


def test_grammar_windows_are_two_phrases_of_six_words_each_of_their_own():
    """6 phrases, no word in two of them or twice in one, any window two of them."""
    words = phrase_words(SETTINGS, 0, 640)
    phrases = words.reshape(-1, 6).unique(dim=0)
    assert (6, 6) == tuple(phrases.shape)
    assert 36 == len(phrases.unique())
    assert words.max() < SETTINGS.vocabulary


def test_tokens_are_the_vectors_of_the_words_in_their_order():
    """Training windows come first, and place t of a window holds the vector of its word t."""
    words, vectors, data = phrase_words(SETTINGS, 0, 640), word_vectors(SETTINGS, 0), windows(SETTINGS, 0)
    assert torch.equal(vectors[words[5, 7]], data["train_tokens"][5, 7])
    assert torch.equal(vectors[words[512 + 5, 7]], data["val_tokens"][5, 7])


def test_first_phrase_is_uniform_and_the_next_depends_on_it():
    """Over 6000 windows: 1000 of each first phrase within 5 standard errors (29 each), each with its own successors."""
    first, second = (words.unique(return_inverse=True)[1] for words in phrase_words(SETTINGS, 1, 6000)[:, [0, 6]].T)
    counts = np.zeros((6, 6))
    np.add.at(counts, (first.numpy(), second.numpy()), 1)
    assert (np.abs(counts.sum(axis=1) - 1000) < 145).all()
    shares = counts / counts.sum(axis=1, keepdims=True)
    # rows drawn from one distribution would differ by .11 at most (5 standard errors of a share of .5, two rows)
    assert all(np.abs(a - b).max() > 0.15 for i, a in enumerate(shares) for b in shares[:i])


def test_validation_windows_of_the_grammar_are_mostly_seen_in_training():
    """At least nine in ten: the fixture asks for capacity, not for generalisation."""
    data = windows(SETTINGS, 0)
    train, val = (data[f"{half}_tokens"].flatten(1) for half in ("train", "val"))
    assert float((val[:, None] == train[None]).all(dim=2).any(dim=1).double().mean()) > 0.9


def test_halves_share_no_window_of_independent_words():
    """Twelve independent words never repeat by chance: a window in both halves would be a leak."""
    data = windows(replace(SETTINGS, text="iid"), 0)
    train, val = (data[f"{half}_tokens"].flatten(1) for half in ("train", "val"))
    assert not (val[:, None] == train[None]).all(dim=2).any()


def test_iid_words_follow_zipf():
    """Over 48000 words each of the ten most frequent comes within 5 standard errors of its share 1 / (i H)."""
    words = zipf_words(SETTINGS, 0, 4000).flatten()
    shares = 1 / np.arange(1, 65) / (1 / np.arange(1, 65)).sum()
    counts = np.bincount(words.numpy(), minlength=64)
    errors = np.sqrt(len(words) * shares * (1 - shares))
    assert 64 == len(counts)
    assert (np.abs(counts - len(words) * shares) < 5 * errors)[:10].all()


def test_iid_words_are_independent_of_their_neighbors():
    """Neighbors are equal as often as two independent draws, within 5 standard errors (.0013 each)."""
    words = zipf_words(SETTINGS, 0, 4000)
    shares = 1 / np.arange(1, 65) / (1 / np.arange(1, 65)).sum()
    equal = float((words[:, 1:] == words[:, :-1]).double().mean())
    assert float((shares**2).sum()) == pytest.approx(equal, abs=5 * 0.0013)
