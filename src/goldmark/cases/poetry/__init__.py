"""Poetry: an autoencoder for poems whose decoder was too narrow to write them, while its encoder took the blame.

What happened. Windows of 50 word vectors were coded in 16 numbers by a tanh RNN of 64 units and written back by another
one. Token cosine stayed at .59-.62, while 16 of 16 code dimensions counted as utilised.

The documented cause. The encoder's 64 units in front of 300 inputs compress twice; 512 units were to bring .95 or more.

What the evidence says. A bottleneck there is, in the decoder: its outputs are affine in h hidden units, so they lie in
a space of h + 1 dimensions, and an eigenvalue bound says before training what no such model can reach. Widening the
encoder alone does nothing. On the record's own data widening both did nothing either (.622 and .624 with 512 units): a
token cosine of .62 beside a sequence cosine of .965 is what one mean vector for everything reaches there. The .86
reported later comes from attention over all encoder states, a path around the code. The count of utilised dimensions is
taken after a BatchNorm and cannot fail; the record's first principal component holds 99.6 % of the variance.

Two fixtures tell both halves: on `grammar` (few phrases) the width of the decoder decides; on `iid` (independent words,
more than six numbers can hold) widening does not help. Validation windows of the grammar are mostly seen in training:
the case is about capacity, not generalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Half, Look, ModelCase, UsageError
from goldmark.cases.poetry import objective, scores
from goldmark.cases.poetry.data import windows
from goldmark.cases.poetry.evaluations import evaluations
from goldmark.cases.poetry.experiments import CLAIMS, VARIANTS
from goldmark.cases.poetry.model import PoetryAutoencoder, make_model
from goldmark.cases.poetry.objective import Forcing, Objective
from goldmark.cases.poetry.presets import PRESETS, chosen_preset, preset_settings, preset_variant, train_autoencoder
from goldmark.cases.poetry.texts import Texts, read_texts, source_of, split_texts
from goldmark.training.cells import Cell
from goldmark.training.draws import Draws

__all__ = ["CASE", "MeasuredPoetryCase", "PoetryCase", "PoetrySettings", "train_autoencoder"]


@dataclass(frozen=True)
class PoetrySettings:
    """A run of the case; the defaults are the fixed recipe at fast scale."""

    text: Literal["grammar", "iid"] = "grammar"
    n_train: int = 512  # windows
    n_val: int = 128
    length: int = 12  # words of a window
    vocabulary: int = 64  # words
    embedding: int = 48  # entries of a word's vector
    spectrum: float = 0.2  # entry i of a vector has variance i^-spectrum
    mean_share: float = 0.2  # of the vectors' energy, in a mean common to all words
    n_phrases: int = 6
    phrase_length: int = 6  # words
    encoder_hidden: int = 80
    decoder_hidden: int = 80
    cell: Cell = "rnn"
    layers: int = 1  # of encoder and decoder
    bidirectional: bool = False  # encoder
    attention_heads: int = 0  # of the decoder's attention over all encoder states; 0: none
    code_size: int = 6
    dropout: float = 0.1  # of the encoder's last state
    objective: Objective = "sum"
    forcing: Forcing | None = None  # teacher forcing, drawn per step or per batch; None: free running
    lr: float = 8e-3
    lr_min: float | None = 1e-5
    weight_decay: float = 0.0
    clip: float | None = 1.0
    steps: int = 250
    batch: int = 64


@dataclass(frozen=True, kw_only=True)
class PoetryCase(ModelCase[PoetrySettings]):
    """Windows of word vectors through a narrow code and back."""

    def make_data(self, settings: PoetrySettings, seed: int) -> Data:
        """Return `train_tokens` (N, T, D), `val_tokens`, and the tensors that make objective and teacher forcing."""
        halves = self.windows(settings, seed)
        counted = replace(settings, n_train=len(halves["train_tokens"]))
        return {**halves, **objective.objective_tensors(settings), **objective.forcing_tensors(counted)}

    def windows(self, settings: PoetrySettings, seed: int) -> Data:
        """Return the windows of a seed in two halves."""
        return windows(settings, seed)

    def make_model(self, settings: PoetrySettings, data: Data) -> PoetryAutoencoder:
        """Return a fresh model for the data's word vectors."""
        return make_model(settings, data["train_tokens"].shape[-1])

    def loss(self, model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: PoetrySettings) -> Tensor:
        """Return the objective of a batch; the data's tensors say which, so that unlike variants stack."""
        return objective.loss(model, data, rows, draws)

    def evaluate(self, model: nn.Module, data: Data, settings: PoetrySettings) -> dict[str, float]:
        """Return scores in free running, ranks of codes and states, and the score with shuffled codes."""
        return scores.evaluate(model, data)

    def evaluate_trained(self, model: nn.Module, data: Data, settings: PoetrySettings) -> dict[str, float]:
        """Return what the data and the decoder's width allow, and the gap of teacher forcing that full runs declare."""
        return scores.token_bounds(data, settings) | {"forced_gap": scores.forced_gap(model, data)}

    def look(self, model: nn.Module, data: Data, half: Half, rows: slice, settings: PoetrySettings) -> Look:
        """Return both terms of the objective in free running, those with a weight as they count."""
        return objective.look(model, data, half, rows)

    def inputs(self, data: Data, rows: Tensor, draws: Draws, settings: PoetrySettings) -> dict[str, Tensor]:
        """Return the word vectors of some training windows, which nothing augments."""
        return {"tokens": data["train_tokens"][rows]}

    def baselines(self, data: Data, settings: PoetrySettings) -> tuple[Baseline, ...]:
        """Return the predictors that ignore the window they are asked for."""
        return scores.baselines(data)

    def examine(
        self, fresh: nn.Module, trained: nn.Module, data: Data, settings: PoetrySettings
    ) -> tuple[Finding, ...]:
        """Find out whether the decoder's width allows the wanted score, and whether the trained model uses its code."""
        return scores.examine(trained, data, settings)

    def close(self, data: Data, settings: PoetrySettings) -> dict[str, Any]:
        """Return the ceilings of the decoder's width and the constant's score."""
        return scores.close(data, settings)

    def evaluations(self, model: nn.Module, data: Data, settings: PoetrySettings) -> dict[str, dict[str, float | str]]:
        """Return cosines with and without teacher forcing, with other codes, what codes hold, floor and ceiling."""
        return evaluations(model, data, settings)

    def on_file(self, path: Path, companions: Mapping[str, Path] = {}) -> MeasuredPoetryCase:
        """Return the case on a user's poems, with `embeddings` or hashed words; raise `UsageError` for a bad file."""
        embeddings = companions.get("embeddings")
        texts = read_texts(path, embeddings, self.settings.embedding)
        vocabulary, embedding = texts.vectors.shape
        measured = {
            "texts": texts,
            "says": texts.says,
            "data_source": source_of([path] if embeddings is None else [path, embeddings]),
            "settings": replace(self.settings, vocabulary=vocabulary, embedding=embedding),
        }
        return MeasuredPoetryCase(**{field.name: getattr(self, field.name) for field in fields(self)} | measured)

    def with_preset(self, name: str) -> ModelCase[PoetrySettings]:
        """Raise `UsageError`: a preset is for poems of a user."""
        raise UsageError(f"preset '{name}' is for your own poems; give them with --data FILE")


@dataclass(frozen=True, kw_only=True)
class MeasuredPoetryCase(PoetryCase):
    """The case on the poems of a user's file."""

    texts: Texts

    def windows(self, settings: PoetrySettings, seed: int) -> Data:
        """Return the windows of the poems in the two halves of a seed, no poem in both."""
        return split_texts(self.texts, settings, seed)

    def make_model(self, settings: PoetrySettings, data: Data) -> PoetryAutoencoder:
        """Return a fresh model for the vectors of the file; raise `UsageError` for attention, which sees padding."""
        if settings.attention_heads:
            raise UsageError(
                f"attention_heads is {settings.attention_heads}: attention would read the padding of short poems; "
                "leave it at 0 on a user's poems"
            )
        return super().make_model(settings, data)

    def with_preset(self, name: str, steps: int | None = None) -> MeasuredPoetryCase:
        """Return the case as one model of a preset's size, `auto`: of the poems'; raise `UsageError` for others."""
        chosen = chosen_preset(name, self.texts.n_words)
        settings = preset_settings(PRESETS[chosen], self.settings, self.texts, steps)
        return replace(self, settings=settings, variants=(preset_variant(chosen),), claims=(), seeds=1, fixtures={})


CASE = PoetryCase(
    name="poetry",
    title="An autoencoder for poems as sequences of word vectors",
    says="its decoder was too narrow for the words, the encoder was widened, and nothing changed",
    settings=PoetrySettings(),
    seeds=5,
    variants=VARIANTS,
    metrics=scores.METRICS,
    claims=CLAIMS,
    best_by="token_cosine",
    stackable=frozenset({"text", "objective", "forcing"}),  # each reaches the loss through tensors of the data
    stacks_on_cpu=True,
    fixtures={"poetry_grammar": "wide", "poetry_iid": "iid_wide"},
    reads="JSON list of poems",
    companions={"embeddings": "word vectors, in word2vec's or GloVe's text format"},
)
