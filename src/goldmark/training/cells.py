"""Recurrent cells step by step, at the cost of few and large operations when models are stacked.

What a loop over time costs is the gradient of its weights: autograd makes one as large as the weights at every step and
adds them up. A `Product` keeps what each step saw instead and makes one gradient at the end of the backward pass.
"""

from __future__ import annotations

import inspect
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from goldmark.training._vmap import in_front, under_vmap

Cell = Literal["rnn", "gru", "lstm"]
State = tuple[Tensor, ...]  # (h,), or (h, c) of an LSTM, each (B, H)


class _Uses:
    """The inputs and output gradients of every use; an object of its own, because vmap would copy a list."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor]] = []


class _Affine(torch.autograd.Function):
    """x W^T + b, which leaves the gradients of W and b to the first of all uses: the backward pass reaches it last."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, uses: _Uses) -> Tensor:  # noqa: ARG004
        """Return (R, B, F) for x (R, B, E), weight (R, F, E) and bias (R, F)."""
        if bias is None:
            return x @ weight.mT
        return torch.baddbmm(bias[:, None], x, weight.mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        """Keep what the gradients need."""
        x, weight, _, ctx.uses = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, and of weight and bias where this is the first use."""
        (grad,), (x, weight), (needs_x, needs_weight, needs_bias, _) = grads, ctx.saved_tensors, ctx.needs_input_grad
        ctx.uses.pairs.append((x.detach(), grad))  # x itself would hold a pass alive whose backward failed midway
        grad_x = grad @ weight if needs_x else None
        if not needs_weight:
            return grad_x, None, None, None
        xs, every_grad = (torch.cat(parts, dim=-2) for parts in zip(*ctx.uses.pairs, strict=True))
        ctx.uses.pairs.clear()
        return grad_x, every_grad.mT @ xs, every_grad.sum(dim=-2) if needs_bias else None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        """Do a stack of models at once, its axis in front."""
        tensors = in_front(info.batch_size, in_dims[:3], inputs[:3])
        return cast("Tensor", _Affine.apply(*tensors, inputs[3])), 0  # type: ignore[no-untyped-call]


# torch asks for it at every use, and to make it anew each time takes a tenth of a training
_Affine.forward.__signature__ = inspect.signature(_Affine.forward)  # type: ignore[attr-defined]


class Product:
    """An affine map that is used at many steps of a pass, each of which depends on the one before.

    One model on its own has it plain, as the reference of what stacks compute.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias, self.uses, self.used = weight, bias, _Uses(), False
        self.alone = weight.dim() == 2 and not under_vmap(weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Return (B, F) for x (B, E)."""
        if self.alone:
            return nn.functional.linear(x, self.weight, self.bias)
        y: Tensor = _Affine.apply(x, self.weight, self.bias, self.uses)  # type: ignore[no-untyped-call]
        if not self.used:  # the first use alone takes the gradient
            self.used, self.weight = True, self.weight.detach()
            self.bias = None if self.bias is None else self.bias.detach()
        return y


def sums(cell: Cell, from_input: Tensor, from_state: Tensor) -> Tensor:
    """Return what the gates are computed from: W_ih x + b_ih and W_hh h + b_hh (..., 1, 3 or 4 H), added.

    A GRU keeps the two parts of its new gate apart: there the result is (..., 4 H).
    """
    if cell != "gru":
        return from_input + from_state
    gates = from_state.shape[-1] // 3 * 2
    both = from_input[..., :gates] + from_state[..., :gates]
    return torch.cat([both, from_input[..., gates:], from_state[..., gates:]], dim=-1)


def next_state(cell: Cell, summed: Tensor, state: State) -> State:
    """Return the state (h,), or (h, c) of an LSTM, after a step; the gates are in torch's order."""
    if cell == "rnn":
        return (summed.tanh(),)
    if cell == "gru":
        gates, from_input, from_state = summed.tensor_split((summed.shape[-1] // 2, summed.shape[-1] // 4 * 3), dim=-1)
        reset, update = gates.sigmoid().chunk(2, dim=-1)
        new = torch.addcmul(from_input, reset, from_state).tanh()
        return (torch.lerp(new, state[0], update),)
    i, f, _, o = summed.sigmoid().chunk(4, dim=-1)
    c = torch.addcmul(f * state[1], i, summed.chunk(4, dim=-1)[2].tanh())
    return o * c.tanh(), c


def run(cell: Cell, length: int, inputs: Tensor | None, weight: Tensor, bias: Tensor, state: State) -> Tensor:
    """Return the states h (B, T, H) after T = `length` steps from a state.

    What the gates of a step are computed from is h W^T + b, with `inputs` (B, T, ...) added where there are any.
    """
    if under_vmap(weight):
        stacked: Tensor = _Run.apply(cell, length, inputs, weight, bias, *state)  # type: ignore[no-untyped-call]
        return stacked
    return _run(cell, length, inputs, weight, bias, *state)


def _run(cell: Cell, length: int, inputs: Tensor | None, weight: Tensor, bias: Tensor, *state: Tensor) -> Tensor:
    """Take the steps of one model, or with one more axis in front, of a stack."""
    recur, states = Product(weight, bias), []
    each = inputs.unbind(dim=-2) if inputs is not None else (None,) * length
    for given in each:
        summed = recur(state[0])
        state = next_state(cell, summed if given is None else sums(cell, given, summed), state)
        states.append(state[0])
    return torch.stack(states, dim=-2)


class _Run(torch.autograd.Function):
    """`_run` for a stack: its steps are taken on whole tensors, without `vmap` between any two of them."""

    forward = staticmethod(_run)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing: under `vmap` autograd sees the steps themselves."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], cell: Cell, length: int, *tensors: Any) -> tuple[Tensor, int]:
        """Take the steps with the axis of the stack in front."""
        inputs, weight, bias, *state = in_front(info.batch_size, in_dims[2:], tensors)
        return _run(cell, length, inputs, *cast("list[Tensor]", [weight, bias, *state])), 0
