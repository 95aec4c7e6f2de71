"""The autoencoder: a tanh RNN reads a window into a code, another one writes it back from the code alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from goldmark.training.draws import Draws, Dropout
from goldmark.training.recurrent import RNN, rnn_step


class PoetryAutoencoder(nn.Module):
    """Encode windows (B, T, D) as codes (B, K) and decode them in free running: each step's input is the last output.

    Every output is affine in the decoder's hidden units, which bounds what any training can reach
    (`goldmark.checks.cosine_ceiling`).
    """

    def __init__(
        self, *, embedding: int, encoder_hidden: int, decoder_hidden: int, code_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout, "last hidden state")
        self.reader = RNN(embedding, encoder_hidden, batch_first=True)
        self.to_code = nn.Linear(encoder_hidden, code_size)
        self.norm = nn.BatchNorm1d(code_size)
        self.from_code = nn.Linear(code_size, decoder_hidden)
        self.start = nn.Parameter(torch.randn(embedding) * 0.1)
        self.writer = nn.RNNCell(embedding, decoder_hidden)
        self.output = nn.Linear(decoder_hidden, embedding)
        for name, parameter in [*self.reader.named_parameters(), *self.writer.named_parameters()]:
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)

    def forward(self, tokens: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the reconstruction (B, T, D) of tokens (B, T, D)."""
        outputs: Tensor = self.output(self.decode(self.encode(tokens, draws), tokens.shape[1]))
        return outputs

    def encode(self, tokens: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the codes (B, K) of tokens (B, T, D)."""
        last = self.dropout(self.reader(tokens)[1][0], draws)
        codes: Tensor = self.norm(self.to_code(last))
        return codes

    def decode(self, codes: Tensor, length: int) -> Tensor:
        """Return the decoder's hidden states (B, T, H), whose affine image `output` is the reconstruction.

        Feeding an output back is affine in the state too, so it is folded into the recurrence once a pass:
        W_ih (W_o h + b_o) + W_hh h = (W_hh + W_ih W_o) h + W_ih b_o.
        """
        cell, output = self.writer, self.output
        recurrence = (cell.weight_hh + cell.weight_ih @ output.weight).T
        bias = cell.bias_ih + cell.bias_hh + cell.weight_ih @ output.bias
        inputs = nn.functional.linear(self.start, cell.weight_ih, cell.bias_ih)
        states = [rnn_step(inputs, (self.from_code(codes).tanh(),), cell.weight_hh, cell.bias_hh)[0]]
        for _ in range(length - 1):
            states.append(torch.addmm(bias, states[-1], recurrence).tanh())
        return torch.stack(states, dim=1)
