"""JadeCompact: an LSTM that never found the span in which price expands, with an F1 of 0 for 100 epochs.

What happened. In a window of 105 market bars the model predicts where price expands, of which kind the expansion is,
its pointers and, for every bar, a countdown to its start. Validation loss fell by 38 %; span F1 stayed 0.

The documented cause. The countdown's targets lie in [-20, 20], and its Huber loss made up 91.2 % of the loss;
uncertainty weighting "could not compensate". Four options: drop the countdown, map it to [0, 1], train on the span
alone, or raise the Huber delta to 10.

What the evidence says. Partly: scale matters where the shared trunk is narrow, the budget short and the uncertainty
weights slow (at their rate of 1e-3 they had no time). The raw share is no measure of it, since a Huber gradient is
bounded: a positive class weight brings the span back while the countdown keeps 85 % of the loss. What tells is
the share of the weighted gradient on the shared trunk, mid-training. Delta 10 is backwards: it multiplies the tail by
10. In the record, mapping to [0, 1] left F1 at 0: there the cue is weak and the classes 13 to 1, and only the class
weight moved F1, by shifting the threshold. The record's bar, F1 > 0, is below that of marking every bar.

The windows at fast scale have a strong cue, so that the countdown alone decides. The weak-cue fixture is the control:
there the options do not help. The span bias starts at the log-odds of a bar being in a span, unlike the record's: from
0, the first half of so short a run is spent on learning how rare spans are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Half, Look, ModelCase, UsageError
from goldmark.cases.expansion.bars import FEATURES, measured_windows
from goldmark.cases.expansion.data import generate
from goldmark.cases.expansion.evaluations import Section, record_evaluations
from goldmark.cases.expansion.experiments import CLAIMS, VARIANTS
from goldmark.cases.expansion.market import BARS_HOLD, SPANS_HOLD, Market, read_market
from goldmark.cases.expansion.model import TRUNK, JadeCompact
from goldmark.cases.expansion.scores import METRICS, baselines, close, examine, finish, look, score
from goldmark.cases.expansion.terms import (
    TermScales,
    log_sigma_at_start,
    positive_weight,
    sigmas,
    term_losses,
    total_loss,
    trained_terms,
)
from goldmark.fingerprint import sha256
from goldmark.training.draws import Draws, initial_weights


@dataclass(frozen=True)
class ExpansionSettings:
    """A run of the case; the defaults are the fixed recipe at fast scale."""

    n_train: int = 128  # windows
    n_val: int = 64
    bars: int = 72  # of a window
    features: int = 6  # of a bar
    cue: float = 2.5  # shift of feature 0 in the span, in sd of the noise
    span_min: int = 4  # bars
    span_max: int = 8
    kind_share: float = 0.5  # of windows of kind 1
    hidden: int = 16  # of the LSTM, a direction
    bidirectional: bool = False
    bottleneck: int = 8  # width of the shared tanh layer before all heads; 0 leaves it out
    pooled_width: int = 0  # of the hidden layer of the pooled heads; 0 leaves it out
    input_dropout: float = 0.0
    countdown_scale: Literal["bars", "unit"] = "unit"  # unit maps [-20, 20] to [0, 1]
    countdown_delta: float = 1.0  # of the Huber loss
    weighting: Literal["uncertainty", "sum"] = "uncertainty"
    terms: Literal["all", "no_countdown", "span"] = "all"  # of the loss
    pos_weight: Literal["one", "balanced"] = "one"  # of bars in a span; balanced is (1 - p) / p
    sigma_start: Literal["record", "equilibrium"] = "record"  # of the uncertainty weights
    informed_span_bias: bool = True  # starts at the log-odds of a bar being in a span, else as torch draws it
    lr: float = 1e-2
    sigma_lr: float = 1e-3  # of the uncertainty weights
    lr_min: float | None = None
    weight_decay: float = 0.01
    clip: float | None = None
    steps: int = 68
    batch: int = 32


@dataclass(frozen=True, kw_only=True)
class ExpansionCase(ModelCase[ExpansionSettings]):
    """Windows of market bars in which JadeCompact has to find the span of an expansion."""

    def make_data(self, settings: ExpansionSettings, seed: int) -> Data:
        """Return training and validation windows; see `data.generate` for names and shapes."""
        return generate(settings, seed)

    def make_model(self, settings: ExpansionSettings, data: Data) -> JadeCompact:
        """Return a fresh model; an informed span bias is the log-odds of a training bar being in a span."""
        span = data["train_span"]
        model = JadeCompact(settings, log_sigma_at_start(settings.sigma_start), TermScales(settings, span))
        if settings.informed_span_bias:
            nn.init.constant_(model.span.bias, -math.log(float(positive_weight(span))))
        return model

    def loss(self, model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: ExpansionSettings) -> Tensor:
        """Return the total loss of some training windows."""
        losses, _ = term_losses(model, data, "train", rows, draws)
        return total_loss(model, losses, settings)

    def evaluate(self, model: nn.Module, data: Data, settings: ExpansionSettings) -> dict[str, float]:
        """Return how well spans are found in the validation windows, and the countdown's shares of the loss."""
        return score(model, data, settings)

    def look(self, model: nn.Module, data: Data, half: Half, rows: slice, settings: ExpansionSettings) -> Look:
        """Return the four terms, those trained as they count, how well spans are found, and probabilities of bars."""
        return look(model, data, half, rows, settings)

    def shares_parameter(self, name: str) -> bool:
        """Return whether a parameter is of the trunk, before all heads."""
        return name.startswith(TRUNK)

    def sigmas(self, model: nn.Module, settings: ExpansionSettings) -> dict[str, float]:
        """Return the sigma of each trained term; none where the terms are summed as they are."""
        if settings.weighting == "sum":
            return {}
        known = sigmas(model)
        return {name: known[name] for name in trained_terms(settings)}

    def inputs(self, data: Data, rows: Tensor, draws: Draws, settings: ExpansionSettings) -> dict[str, Tensor]:
        """Return the features of some training windows, which nothing augments."""
        features = data["train_features"][rows]
        return {f"feature_{i}": features[..., i] for i in range(features.shape[-1])}

    def baselines(self, data: Data, settings: ExpansionSettings) -> tuple[Baseline, ...]:
        """Return the predictor that marks every bar."""
        return baselines(data)

    def examine(
        self, fresh: nn.Module, trained: nn.Module, data: Data, settings: ExpansionSettings
    ) -> tuple[Finding, ...]:
        """Return whether the countdown was out of reach at the start, and whether the trained model has no skill."""
        return examine(fresh, trained, data, settings)

    def finish(self, history: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the countdown's share of the gradient as it was mid-training."""
        return finish(history)

    def close(self, data: Data, settings: ExpansionSettings) -> dict[str, float]:
        """Return the share of bars in a span, and the countdown's loss at answer 0."""
        return close(data, settings)

    def learning_rate(self, settings: ExpansionSettings, parameter: str) -> float:
        """Return the peak learning rate of a parameter: the uncertainty weights have their own."""
        return settings.sigma_lr if parameter == "log_sigma" else settings.lr

    def evaluations(self, model: nn.Module, data: Data, settings: ExpansionSettings) -> dict[str, Section]:
        """Return the record's evaluations of a trained model, its loss beside that of fresh weights of seed 0."""
        with initial_weights(0):
            fresh = self.make_model(settings, data).to(data["val_features"])
        return record_evaluations(model, fresh, data, settings)

    def on_file(self, path: Path, companions: Mapping[str, Path] = {}) -> MeasuredExpansionCase:
        """Return the case on a user's bars, with their spans where a companion holds them, else with those of a rule.

        Raises `UsageError` with file and line number where one is bad, and where a variant finds too few windows.
        """
        unknown = sorted(set(companions) - set(self.companions))
        if unknown:
            known = ", ".join(self.companions)
            raise UsageError(f"case '{self.name}' takes no further file '{unknown[0]}'; it takes: {known}")
        market = read_market(path, companions.get("spans"))
        content = [sha256(file.read_bytes()) for file in (path, *companions.values())]
        measured = {
            "market": market,
            "data_source": content[0] if not companions else sha256("".join(content).encode()),
            "settings": replace(self.settings, features=len(FEATURES)),
        }
        case = MeasuredExpansionCase(**{field.name: getattr(self, field.name) for field in fields(self)} | measured)
        try:
            for settings in {s.bars: s for s in map(case.settings_of, (v.name for v in case.variants))}.values():
                case.make_data(settings, 0)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        return case


@dataclass(frozen=True, kw_only=True)
class MeasuredExpansionCase(ExpansionCase):
    """Windows of a user's bars, one around each span that stands alone; the same for every seed."""

    market: Market

    def make_data(self, settings: ExpansionSettings, seed: int) -> Data:
        """Return training and validation windows, split in time; see `bars.measured_windows`."""
        bars = torch.tensor(self.market.bars, dtype=torch.float64)
        return measured_windows(bars, self.market.spans, settings.bars)


CASE = ExpansionCase(
    name="expansion",
    title="JadeCompact, an LSTM that marks the span of a price expansion",
    says="a countdown in bars took the shared trunk, and the model found no span in 100 epochs",
    settings=ExpansionSettings(),
    seeds=16,
    variants=VARIANTS,
    metrics=METRICS,
    claims=CLAIMS,
    best_by="span_f1",
    # These reach the loss as tensors of the data, of the model's start or of its buffers, or are learning rates.
    stackable=frozenset(
        {
            "cue",
            "span_min",
            "span_max",
            "kind_share",
            "input_dropout",
            "countdown_scale",
            "countdown_delta",
            "pos_weight",
            "sigma_start",
            "sigma_lr",
        }
    ),
    fixtures={"expansion": "normalized_countdown", "expansion_weak": "weak_clipped"},
    reads=BARS_HOLD,
    companions={"spans": SPANS_HOLD},
)
