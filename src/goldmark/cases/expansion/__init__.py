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
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from goldmark.case import Baseline, Case, Data, Finding
from goldmark.cases.expansion.data import generate
from goldmark.cases.expansion.experiments import CLAIMS, VARIANTS
from goldmark.cases.expansion.model import JadeCompact
from goldmark.cases.expansion.scores import METRICS, baselines, close, examine, finish, score
from goldmark.cases.expansion.terms import TermScales, log_sigma_at_start, positive_weight, term_losses, total_loss
from goldmark.training.draws import Draws


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
class ExpansionCase(Case[ExpansionSettings]):
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
)
