"""The autoencoder: a recurrent reader turns a window into a code, a recurrent writer turns the code into a window."""

from __future__ import annotations

from torch import Tensor, nn

from goldmark.cases.poetry.decoder import Decoder, Feed
from goldmark.training.batchnorm import BatchNorm1d
from goldmark.training.cells import Cell
from goldmark.training.draws import Draws, Dropout
from goldmark.training.recurrent import GRU, LSTM, RNN

READERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class PoetryAutoencoder(nn.Module):
    """Encode windows (B, T, D) as codes (B, K) and decode them: each step's input is the last output, or a target."""

    def __init__(
        self,
        *,
        embedding: int,
        encoder_hidden: int,
        decoder_hidden: int,
        code_size: int,
        dropout: float,
        cell: Cell = "rnn",
        layers: int = 1,
        bidirectional: bool = False,
        attention_heads: int = 0,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout, "last hidden state")
        self.reader = READERS[cell](
            embedding, encoder_hidden, num_layers=layers, bidirectional=bidirectional, batch_first=True
        )
        self.to_code = nn.Linear(encoder_hidden * (1 + bidirectional), code_size)
        self.norm = BatchNorm1d(code_size)
        self.decoder = Decoder(
            embedding=embedding,
            hidden=decoder_hidden,
            code_size=code_size,
            cell=cell,
            layers=layers,
            attention_heads=attention_heads,
        )
        for name, parameter in self.named_parameters():
            if "weight_ih" in name:
                nn.init.xavier_uniform_(parameter)
            elif "weight_hh" in name:
                nn.init.orthogonal_(parameter)

    def forward(self, tokens: Tensor, draws: Draws | None = None, feed: Feed | None = None) -> Tensor:
        """Return the reconstruction (B, T, D) of tokens (B, T, D)."""
        outputs: Tensor = self.decoder(*self.encode(tokens, draws), feed)[1]
        return outputs

    def encode(self, tokens: Tensor, draws: Draws | None = None) -> tuple[Tensor, Tensor]:
        """Return the codes (B, K) of tokens (B, T, D), and the reader's states (B, T, H) that attention may see."""
        memory, h = self.reader(tokens)
        codes: Tensor = self.norm(self.to_code(self.dropout(h, draws)))
        return codes, memory
