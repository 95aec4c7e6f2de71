"""JadeCompact: one LSTM over the bars, per-bar heads for span and countdown, pooled heads for kind and pointers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from goldmark.training.draws import Draws, Dropout
from goldmark.training.recurrent import LSTM

if TYPE_CHECKING:
    from goldmark.cases.expansion import ExpansionSettings

TRUNK = ("lstm.", "bottleneck.")  # prefixes of the names of the parameters that all heads share
N_KINDS = 3  # classes of the type head; the record has three for two labels


class Outputs(NamedTuple):
    """What the heads predict: kind (B, 3) and span (B, T) as logits, pointers (B, 2) in (0, 1), countdown (B, T)."""

    kind: Tensor
    pointers: Tensor
    span: Tensor
    countdown: Tensor


class JadeCompact(nn.Module):
    """Find the span in a window of bars.

    A `bottleneck` above 0 puts a shared tanh layer of that width between the LSTM and all heads; `pooled_width` above 0
    gives the pooled heads a hidden layer. The record's model has no bottleneck and 64. The loss reads its uncertainty
    weights from `log_sigma` (4,), a parameter of the model, and from the buffers of `scales` what its terms are scaled
    by: so they stack with the model.
    """

    def __init__(self, settings: ExpansionSettings, log_sigma: Tensor, scales: nn.Module) -> None:
        super().__init__()
        self.input_dropout = Dropout(settings.input_dropout, "input")
        self.lstm = LSTM(settings.features, settings.hidden, batch_first=True, bidirectional=settings.bidirectional)
        width = settings.hidden * (1 + settings.bidirectional)
        self.bottleneck: nn.Module = nn.Identity()
        if settings.bottleneck:
            self.bottleneck = nn.Sequential(nn.Linear(width, settings.bottleneck), nn.Tanh())
            width = settings.bottleneck
        self.span, self.countdown = nn.Linear(width, 1), nn.Linear(width, 1)
        self.pool: nn.Module = nn.Identity()
        if settings.pooled_width:
            self.pool = nn.Sequential(nn.Linear(width, settings.pooled_width), nn.ReLU())
            width = settings.pooled_width
        self.kind, self.pointers = nn.Linear(width, N_KINDS), nn.Linear(width, 2)
        self.log_sigma = nn.Parameter(log_sigma)
        self.scales = scales

    def forward(self, features: Tensor, draws: Draws | None = None) -> Outputs:
        """Return the outputs for features (B, T, F); nothing is dropped without draws."""
        states = self.bottleneck(self.lstm(self.input_dropout(features, draws))[0])
        pooled = self.pool(states.mean(dim=1))
        return Outputs(
            kind=self.kind(pooled),
            pointers=self.pointers(pooled).sigmoid(),
            span=self.span(states).squeeze(-1),
            countdown=self.countdown(states).squeeze(-1),
        )
