"""CompactRT: convolutions with BatchNorm over EEG channels, global average pooling, and a small head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.training.convolution import Conv1d
from goldmark.training.draws import Draws, Dropout

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings


class CompactRT(nn.Module):
    """Predict the response time (s) from a window of EEG.

    Every convolution halves the length, by a stride of 2 or, with `max_pool`, by pooling: the net of the record's
    ensemble, which was trained for the other by mistake. No shares of dropout means no dropout.
    """

    def __init__(
        self,
        *,
        channels: int,
        widths: Sequence[int],
        kernels: Sequence[int],
        head: Sequence[int],
        conv_dropout: Sequence[float] = (),
        head_dropout: Sequence[float] = (),
        max_pool: bool = False,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            Conv1d(n_in, n_out, kernel, stride=1 if max_pool else 2, padding=kernel // 2)
            for (n_in, n_out), kernel in zip(pairwise([channels, *widths]), kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)
        self.pool = nn.MaxPool1d(2) if max_pool else nn.Identity()
        self.hidden = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise([widths[-1], *head]))
        self.output = nn.Linear(head[-1], 1)
        self.dropouts = _dropouts(conv_dropout or [0.0] * len(widths), "convolution")
        self.head_dropouts = _dropouts(head_dropout or [0.0] * len(head), "hidden")

    def forward(self, eeg: Tensor, draws: Draws | None = None) -> Tensor:
        """Return response times (B,) in s for windows (B, C, T)."""
        x = eeg
        for convolution, norm, dropout in zip(self.convolutions, self.norms, self.dropouts, strict=True):
            x = dropout(self.pool(norm(convolution(x)).relu()), draws)
        x = x.mean(dim=-1)
        for layer, dropout in zip(self.hidden, self.head_dropouts, strict=True):
            x = dropout(layer(x).relu(), draws)
        prediction: Tensor = self.output(x).squeeze(-1)
        return prediction


def _dropouts(shares: Sequence[float], site: str) -> nn.ModuleList:
    return nn.ModuleList(Dropout(share, f"{site} {i}") for i, share in enumerate(shares))


class Ensemble(nn.Module):
    """Predict the mean of what several nets predict, each of them trained on its own."""

    def __init__(self, members: Iterable[CompactRT]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, eeg: Tensor) -> Tensor:
        """Return response times (B,) in s for windows (B, C, T)."""
        return torch.stack([member(eeg) for member in self.members]).mean(dim=0)


def members_of(model: nn.Module) -> Sequence[nn.Module]:
    """Return the nets of an ensemble; a net alone is its own member."""
    return list(model.members) if isinstance(model, Ensemble) else [model]


def make_model(settings: EegSettings, mean_response_s: float) -> CompactRT | Ensemble:
    """Return a fresh net, or an ensemble of them."""
    members = [_net(settings, mean_response_s) for _ in range(settings.members)]
    return Ensemble(members) if settings.members > 1 else members[0]


def _net(settings: EegSettings, mean_response_s: float) -> CompactRT:
    """Return a net with its output at the mean response, which the steps from 0 would be spent on."""
    net = CompactRT(
        channels=settings.channels,
        widths=settings.widths,
        kernels=settings.kernels,
        head=settings.head,
        conv_dropout=settings.conv_dropout,
        head_dropout=settings.head_dropout,
        max_pool=settings.max_pool,
    )
    nn.init.constant_(net.output.bias, mean_response_s)
    return net
