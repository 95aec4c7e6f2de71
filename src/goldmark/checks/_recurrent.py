"""Recurrent layers as a state dict holds them: which cell it is, read from shapes instead of guessed from a width."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor, nn

from goldmark.case import Finding

_CELLS: dict[int, Literal["rnn", "gru", "lstm"]] = {1: "rnn", 3: "gru", 4: "lstm"}  # gates -> cell
_LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
_FIRST = re.compile(r"(?P<prefix>(?:.*\.)?)weight_hh(?P<suffix>_l0)?$")


@dataclass(frozen=True, kw_only=True)
class RecurrentLayer:
    """A recurrent layer: its cell and the arguments of torch's module for it; tanh or ReLU of an RNN does not show."""

    cell: Literal["rnn", "gru", "lstm"]
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    proj_size: int = 0  # of an LSTM with projections; 0: none

    def build(self) -> nn.RNNBase:
        """Return a fresh layer of that kind, batch first; the state dict loads into it."""
        arguments = {name: value for name, value in asdict(self).items() if name not in {"cell", "proj_size"}}
        if self.proj_size:  # torch's RNN and GRU do not know the argument
            arguments["proj_size"] = self.proj_size
        layer: nn.RNNBase = _LAYERS[self.cell](**arguments, batch_first=True)
        return layer


def recurrent_layers(state: Mapping[str, Tensor]) -> dict[str, RecurrentLayer]:
    """Return {module name: layer} for all of torch's recurrent layers and cells in a state dict.

    The rows of `weight_hh` are gates x hidden: 1 for a vanilla RNN, 3 for a GRU, 4 for an LSTM. Its columns are the
    hidden size, so that no width has to be known, unless there are projections: then they are the projected size, and
    the columns of `weight_hr` are the hidden size. Raises `ValueError` where rows over hidden are none of the three.
    """
    layers = {}
    for name in state:
        if match := _FIRST.match(name):
            prefix, suffix = match["prefix"], match["suffix"] or ""
            layers[prefix.removesuffix(".")] = _layer(state, prefix, suffix)
    return layers


def check_mistaken_cell(state: Mapping[str, Tensor], model: nn.Module) -> Finding:
    """Find out whether a state dict holds other recurrent layers than a model that it is to be loaded into.

    A loader that guesses the cell (an LSTM, or else a vanilla RNN) builds the wrong model from a GRU's file; the advice
    names every layer that differs, as it is in the file and in the model.
    """
    stored, built = recurrent_layers(state), recurrent_layers(model.state_dict())
    names = sorted(stored.keys() | built.keys())
    unlike = [name for name in names if stored.get(name) != built.get(name)]
    told = "; ".join(f"'{name}' is {_told(stored.get(name))} in it, {_told(built.get(name))} here" for name in unlike)
    return Finding(
        name="mistaken_cell",
        trouble=bool(unlike),
        numbers={"unlike": float(len(unlike)), "layers": float(len(names))},
        threshold=0.0,
        advice=f"the file holds other recurrent layers: {told}; build the model from recurrent_layers(state)"
        if unlike
        else "the file holds the layers of the model",
    )


def _layer(state: Mapping[str, Tensor], prefix: str, suffix: str) -> RecurrentLayer:
    rows, columns = state[f"{prefix}weight_hh{suffix}"].shape
    projection = state.get(f"{prefix}weight_hr{suffix}")
    hidden = columns if projection is None else projection.shape[1]
    gates, rest = divmod(rows, hidden)
    if rest or gates not in _CELLS:
        raise ValueError(
            f"'{prefix}weight_hh{suffix}' has {rows} rows for {hidden} hidden units; a vanilla RNN has as many, "
            "a GRU 3 times, an LSTM 4 times as many"
        )
    depth = sum(re.fullmatch(rf"{re.escape(prefix)}weight_hh_l\d+", name) is not None for name in state)
    return RecurrentLayer(
        cell=_CELLS[gates],
        input_size=state[f"{prefix}weight_ih{suffix}"].shape[1],
        hidden_size=hidden,
        num_layers=max(depth, 1),
        bias=f"{prefix}bias_hh{suffix}" in state,
        bidirectional=f"{prefix}weight_hh{suffix}_reverse" in state,
        proj_size=0 if projection is None else columns,
    )


def _told(layer: RecurrentLayer | None) -> str:
    if layer is None:
        return "missing"
    differing: dict[str, Any] = {
        name: value for name, value in asdict(layer).items() if name in {"num_layers", "proj_size"} or value is True
    }
    extra = ", ".join(f"{name} {value}" for name, value in differing.items())
    return f"{layer.cell} {layer.input_size} -> {layer.hidden_size} ({extra})"
