"""CompactRT: convolutions with BatchNorm over EEG channels, global average pooling, and a small head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from goldmark.training.draws import Draws, Dropout


class CompactRT(nn.Module):
    """Predict the response time (s) from a window of EEG.

    Every convolution halves the length, by a stride of 2 or, with `max_pool`, by pooling: the net of the record's
    ensemble, which was trained for the other by mistake.
    """

    def __init__(
        self,
        *,
        channels: int,
        widths: Sequence[int],
        kernels: Sequence[int],
        head: Sequence[int],
        dropout: float,
        max_pool: bool = False,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(n_in, n_out, kernel, stride=1 if max_pool else 2, padding=kernel // 2)
            for (n_in, n_out), kernel in zip(pairwise([channels, *widths]), kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)
        self.pool = nn.MaxPool1d(2) if max_pool else nn.Identity()
        self.hidden = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise([widths[-1], *head]))
        self.output = nn.Linear(head[-1], 1)
        self.dropouts = nn.ModuleList(Dropout(dropout, f"convolution {i}") for i in range(len(widths)))
        self.head_dropouts = nn.ModuleList(Dropout(dropout, f"hidden {i}") for i in range(len(head)))

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
