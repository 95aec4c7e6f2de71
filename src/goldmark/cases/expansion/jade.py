"""JadeCompact: one LSTM over the bars, per-bar heads for span and countdown, pooled heads for kind and pointers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from goldmark.training.draws import Draws, Dropout
from goldmark.training.recurrent import LSTM

if TYPE_CHECKING:
    from goldmark.cases.expansion.terms import TermScales

TRUNK = ("lstm.", "bottleneck.")  # what the names of the parameters start with that all heads share
N_KINDS = 3  # classes of the type head; the record has three for two labels


class Outputs(NamedTuple):
    """What the heads say: kind (B, 3) and span (B, T) as logits, pointers (B, 2) in (0, 1), countdown (B, T)."""

    kind: Tensor
    pointers: Tensor
    span: Tensor
    countdown: Tensor


class JadeCompact(nn.Module):
    """Find the span in a window of bars.

    A `bottleneck` above 0 puts a shared tanh layer of that width between the LSTM and all heads; `pooled_width` above 0
    gives the pooled heads a hidden layer. The record's model has no bottleneck and 64. The uncertainty weights of the
    loss terms, from `log_sigma` (4,), are parameters of the model; `scales` are what its loss needs besides.
    """

    def __init__(
        self,
        *,
        features: int,
        hidden: int,
        bidirectional: bool,
        bottleneck: int,
        pooled_width: int,
        input_dropout: float,
        log_sigma: Tensor,
        scales: TermScales,
    ) -> None:
        super().__init__()
        self.input_dropout = Dropout(input_dropout, "input")
        self.lstm = LSTM(features, hidden, batch_first=True, bidirectional=bidirectional)
        width = hidden * (1 + bidirectional)
        self.bottleneck = nn.Sequential(nn.Linear(width, bottleneck), nn.Tanh()) if bottleneck else nn.Identity()
        width = bottleneck or width
        self.span, self.countdown = nn.Linear(width, 1), nn.Linear(width, 1)
        self.pool = nn.Sequential(nn.Linear(width, pooled_width), nn.ReLU()) if pooled_width else nn.Identity()
        self.kind, self.pointers = nn.Linear(pooled_width or width, N_KINDS), nn.Linear(pooled_width or width, 2)
        self.log_sigma = nn.Parameter(log_sigma)
        self.scales = scales

    def forward(self, features: Tensor, draws: Draws | None = None) -> Outputs:
        """Return the outputs for features (B, T, F)."""
        states = self.bottleneck(self.lstm(self.input_dropout(features, draws))[0])
        pooled = self.pool(states.mean(dim=1))
        return Outputs(
            self.kind(pooled),
            self.pointers(pooled).sigmoid(),
            self.span(states).squeeze(-1),
            self.countdown(states).squeeze(-1),
        )
