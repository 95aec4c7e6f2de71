"""The autoencoder: a recurrent encoder turns a window into a code, a recurrent decoder turns the code into a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from goldmark.cases.poetry.decoder import Decoder, TeacherForcing
from goldmark.training.batchnorm import BatchNorm1d
from goldmark.training.cells import Cell
from goldmark.training.draws import Draws, Dropout
from goldmark.training.recurrent import GRU, LSTM, RNN

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

ENCODERS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class PoetryAutoencoder(nn.Module):
    """Encode windows (B, T, D) as codes (B, K) and decode them, in free running or with teacher forcing."""

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
        self.reader = ENCODERS[cell](
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
        # as in the record: Xavier for what reads inputs, orthogonal for what reads states
        for name, parameter in self.named_parameters():
            if "weight_ih" in name:
                nn.init.xavier_uniform_(parameter)
            elif "weight_hh" in name:
                nn.init.orthogonal_(parameter)

    def forward(
        self,
        tokens: Tensor,
        draws: Draws | None = None,
        forcing: TeacherForcing | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Return the reconstruction (B, T, D) of tokens (B, T, D); nothing is dropped without draws.

        Padding, where `valid` (B, T) is False, is not read; what is written there is of no meaning.
        """
        outputs: Tensor = self.decoder(*self.encode(tokens, draws, valid), forcing)[1]
        return outputs

    def encode(self, tokens: Tensor, draws: Draws | None = None, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the codes (B, K) of tokens (B, T, D), and the encoder's states (B, T, H) that attention may see.

        The code is made of the state after the last valid token; states of padding, at the end, are 0.
        """
        if valid is None:
            memory, h = self.reader(tokens)
        else:
            n_valid = valid.sum(dim=1).cpu()
            packed, h = self.reader(pack_padded_sequence(tokens, n_valid, batch_first=True, enforce_sorted=False))
            memory, _ = pad_packed_sequence(packed, batch_first=True, total_length=tokens.shape[1])
        codes: Tensor = self.norm(self.to_code(self.dropout(h, draws)))
        return codes, memory


def make_model(settings: PoetrySettings, embedding: int) -> PoetryAutoencoder:
    """Return a fresh model for word vectors of `embedding` entries."""
    return PoetryAutoencoder(
        embedding=embedding,
        encoder_hidden=settings.encoder_hidden,
        decoder_hidden=settings.decoder_hidden,
        code_size=settings.code_size,
        dropout=settings.dropout,
        cell=settings.cell,
        layers=settings.layers,
        bidirectional=settings.bidirectional,
        attention_heads=settings.attention_heads,
    )
