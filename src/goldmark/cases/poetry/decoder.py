"""The decoder: a recurrent writer that starts from a code and is fed its own outputs, or targets where it is forced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from goldmark.cases.poetry.attention import Attention
from goldmark.training.cells import Cell, Product, State, next_state, run, sums

WEIGHTS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}  # they hold the weights and take no step


class Feed(NamedTuple):
    """Teacher forcing: at step t > 0 the decoder is fed `tokens[:, t]` (B, T, D) where `forced[t]` (T,)."""

    forced: Tensor
    tokens: Tensor


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
        self.attention = Attention(hidden, attention_heads) if attention_heads else None
        self.output = nn.Linear(hidden, embedding)

    def forward(self, codes: Tensor, memory: Tensor, feed: Feed | None = None) -> tuple[Tensor, Tensor]:
        """Return (states (B, T, H), outputs (B, T, D)) for codes and the encoder's states `memory` (B, T, ...)."""
        if feed is None and self.layers == 1 and self.attention is None:
            states = self._run_freely(codes, memory.shape[1])
            return states, self.output(states)
        return self._take_steps(codes, memory, feed)

    def _initial(self, codes: Tensor) -> list[State]:
        """Return the initial state of every layer."""
        parts = [linear(codes).tanh().chunk(self.layers, dim=-1) for linear in self.from_code]
        return list(zip(*parts, strict=True))

    def _run_freely(self, codes: Tensor, length: int) -> Tensor:
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

    def _take_steps(self, codes: Tensor, memory: Tensor, feed: Feed | None) -> tuple[Tensor, Tensor]:
        """Return states and outputs step by step, each output computed before the next step needs it."""
        layers, states, outputs = self._initial(codes), [], []
        step, output = self._stepper(), Product(self.output.weight, self.output.bias)
        read = self.attention.reader(memory) if self.attention else None
        word = self.start.expand(len(codes), -1)
        for t in range(memory.shape[1]):
            if feed is not None and t > 0:
                word = torch.where(feed.forced[t], feed.tokens[:, t], word)
            hidden, layers = step(word, layers)
            states.append(read(hidden) if read else hidden)
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
            for (take, recur), state in zip(products, layers, strict=True):
                after.append(next_state(self.cell, sums(self.cell, take(x), recur(state[0])), state))
                x = after[-1][0]
            return x, after

        return step
