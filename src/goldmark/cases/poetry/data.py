"""Synthetic windows of word vectors: a grammar of phrases, and independent words of the same frequency law as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings


def windows(settings: PoetrySettings, seed: int) -> dict[str, Tensor]:
    """Return a seed's `train_tokens` (N, T, D) and `val_tokens`, float64; every window is full, so none is masked."""
    n = settings.n_train + settings.n_val
    words = {"grammar": phrase_words, "iid": zipf_words}[settings.text](settings, seed, n)
    tokens = word_vectors(settings, seed)[words]
    return {"train_tokens": tokens[: settings.n_train], "val_tokens": tokens[settings.n_train :]}


def word_vectors(settings: PoetrySettings, seed: int) -> Tensor:
    """Return the vectors (V, D) of all words: entries of mean square 1, a part of it in a mean common to all.

    The common mean is what a model that ignores its code answers with: trained word vectors have one too (Mu, Bhat and
    Viswanath, "All-but-the-top", ICLR 2018).
    """
    size = (settings.vocabulary, settings.embedding)
    places = torch.arange(1, settings.embedding + 1, dtype=torch.float64)
    own = draws.normal(_key(seed, "word vectors"), size) * places ** (-settings.spectrum / 2)
    own = own - own.mean(dim=0)
    common = draws.normal(_key(seed, "common mean"), size[1:])
    return _of_energy(common, settings.mean_share) + _of_energy(own, 1 - settings.mean_share)


def phrase_words(settings: PoetrySettings, seed: int, n: int) -> Tensor:
    """Return word numbers (n, T): phrases of different words, the first one uniform, the next by a Markov chain."""
    length, n_phrases = settings.phrase_length, settings.n_phrases
    lexicon = draws.permutation(_key(seed, "phrases"), settings.vocabulary)[: n_phrases * length]
    # exponential draws over their sum: every row is uniform over all distributions (a flat Dirichlet)
    weights = -draws.uniform(_key(seed, "transitions"), (n_phrases, n_phrases)).log()
    transitions = (weights / weights.sum(dim=1, keepdim=True)).cumsum(dim=1)
    place = draws.uniform(_key(seed, "chain"), (n, settings.length // length))
    chain = [(place[:, 0] * n_phrases).long()]
    for column in place.unbind(dim=1)[1:]:
        passed = column[:, None] > transitions[chain[-1]]
        chain.append(passed.sum(dim=1).clamp_max(n_phrases - 1))  # a row may sum to 1 less a rounding
    return lexicon.reshape(n_phrases, length)[torch.stack(chain, dim=1)].flatten(1)


def zipf_words(settings: PoetrySettings, seed: int, n: int) -> Tensor:
    """Return word numbers (n, T), drawn independently: word i as often as 1 / (i + 1) (Zipf, 1935)."""
    weights = 1 / torch.arange(1, settings.vocabulary + 1, dtype=torch.float64)
    bounds = (weights / weights.sum()).cumsum(dim=0)
    places = draws.uniform(_key(seed, "words"), (n, settings.length))
    return torch.searchsorted(bounds, places).clamp_max(settings.vocabulary - 1)


def _key(seed: int, site: str) -> Tensor:
    return draws.key(seed, 0, f"poetry {site}")


def _of_energy(x: Tensor, energy: float) -> Tensor:
    """Return x scaled to a mean square per entry."""
    return x * (energy / x.square().mean()).sqrt()
