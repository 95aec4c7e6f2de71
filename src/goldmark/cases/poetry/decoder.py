"""The decoder: a recurrent layer that starts from a code, with teacher forcing, and with attention over the encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from goldmark.training.cells import Cell, Product, State, next_state, run, sums

WEIGHTS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}  # they hold the weights and take no step


class TeacherForcing(NamedTuple):
    """Where `forced[t]` (T,), the decoder's input at step t > 0 is `inputs[:, t]` (B, T, D), not its last output."""

    forced: Tensor
    inputs: Tensor


class CrossAttention(nn.Module):
    """Multi-head attention over the encoder's states, without biases, whose context is mixed into the querying state.

    Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.context = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.mix = nn.Linear(2 * width, width)

    def over(self, memory: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the function from states (B, H) to states mixed with what they attend to in memory (B, S, H).

        Keys and values are the same at every step of decoding, so they are computed once: the KV cache.
        """
        keys, values = (self._split(part(memory)).transpose(1, 2) for part in (self.key, self.value))
        keys = keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])
        query, context = Product(self.query.weight), Product(self.context.weight)
        mix = Product(self.mix.weight, self.mix.bias)

        def attend(state: Tensor) -> Tensor:
            weights = (self._split(query(state))[:, :, None] @ keys).softmax(dim=-1)
            attended = context((weights @ values).flatten(1))
            return mix(torch.cat([state, attended], dim=-1)).relu()

        return attend

    def _split(self, x: Tensor) -> Tensor:
        """Return (..., heads, H / heads) for (..., H)."""
        return x.reshape(*x.shape[:-1], self.heads, -1)


class Decoder(nn.Module):
    """Write windows (B, T, D) from codes (B, K): the code sets the initial states, a learnt token is the first input.

    Without attention every output is affine in the cell's hidden units. With attention the decoder also sees all
    states of the encoder, a way around the code; inputs are then projected to the hidden width first.
    """

    def __init__(
        self, *, embedding: int, hidden: int, code_size: int, cell: Cell, layers: int, attention_heads: int
    ) -> None:
        super().__init__()
        self.cell, self.layers = cell, layers
        n_states = 2 if cell == "lstm" else 1
        self.from_code = nn.ModuleList(nn.Linear(code_size, layers * hidden) for _ in range(n_states))
        self.start = nn.Parameter(torch.randn(embedding) * 0.1)
        self.project = nn.Linear(embedding, hidden) if attention_heads else nn.Identity()
        sizes = [hidden if attention_heads else embedding] + [hidden] * (layers - 1)
        self.cells = nn.ModuleList(WEIGHTS[cell](size, hidden) for size in sizes)
        self.attention = CrossAttention(hidden, attention_heads) if attention_heads else None
        self.output = nn.Linear(hidden, embedding)

    def forward(self, codes: Tensor, memory: Tensor, forcing: TeacherForcing | None = None) -> tuple[Tensor, Tensor]:
        """Return (states (B, T, H), outputs (B, T, D)) for codes and the encoder's states `memory` (B, T, ...).

        The states are what the outputs are affine in: with attention, those that the context is mixed into.
        """
        if forcing is None and self.layers == 1 and self.attention is None:
            states = self._free_running(codes, memory.shape[1])
            return states, self.output(states)
        return self._incremental_decoding(codes, memory, forcing)

    def _initial(self, codes: Tensor) -> list[State]:
        """Return the initial state of every layer."""
        parts = [linear(codes).tanh().chunk(self.layers, dim=-1) for linear in self.from_code]
        return list(zip(*parts, strict=True))

    def _free_running(self, codes: Tensor, length: int) -> Tensor:
        """Return the states of free running, in which feeding an output back is affine in the state.

        So the output layer is folded into the recurrence once a pass: W_ih (W_o h + b_o) = (W_ih W_o) h + W_ih b_o.
        """
        cell, (state,) = cast("nn.RNNCell", self.cells[0]), self._initial(codes)
        fed_back = cell.weight_ih @ self.output.weight
        constant = nn.functional.linear(self.output.bias, cell.weight_ih, cell.bias_ih)
        summed = sums(
            self.cell,
            nn.functional.linear(self.start, cell.weight_ih, cell.bias_ih).expand(len(codes), -1),
            nn.functional.linear(state[0], cell.weight_hh, cell.bias_hh),
        )
        first = next_state(self.cell, summed, state)
        weight = sums(self.cell, fed_back.mT, cell.weight_hh.mT).mT
        later = run(self.cell, length - 1, None, weight, sums(self.cell, constant, cell.bias_hh), first)
        return torch.cat([first[0][:, None], later], dim=1)

    def _incremental_decoding(
        self, codes: Tensor, memory: Tensor, forcing: TeacherForcing | None
    ) -> tuple[Tensor, Tensor]:
        """Return states and outputs step by step, each output computed before the next step needs it."""
        layers, states, outputs = self._initial(codes), [], []
        step, output = self._stepper(), Product(self.output.weight, self.output.bias)
        attend = self.attention.over(memory) if self.attention else None
        word = self.start.expand(len(codes), -1)
        for t in range(memory.shape[1]):
            if forcing is not None and t > 0:
                word = torch.where(forcing.forced[t], forcing.inputs[:, t], word)
            hidden, layers = step(word, layers)
            states.append(attend(hidden) if attend else hidden)
            word = output(states[-1])
            outputs.append(word)
        return torch.stack(states, dim=1), torch.stack(outputs, dim=1)

    def _stepper(self) -> Callable[[Tensor, Sequence[State]], tuple[Tensor, list[State]]]:
        """Return the function from an input (B, D) and all layers' states to the top layer's h and all states after."""
        project = Product(self.project.weight, self.project.bias) if isinstance(self.project, nn.Linear) else None
        cells = cast("list[nn.RNNCell]", list(self.cells))
        products = [(Product(c.weight_ih, c.bias_ih), Product(c.weight_hh, c.bias_hh)) for c in cells]

        def step(x: Tensor, layers: Sequence[State]) -> tuple[Tensor, list[State]]:
            x, after = project(x) if project else x, []
            for (input_product, state_product), state in zip(products, layers, strict=True):
                after.append(next_state(self.cell, sums(self.cell, input_product(x), state_product(state[0])), state))
                x = after[-1][0]
            return x, after

        return step
