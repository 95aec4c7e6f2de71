"""Triton kernels for a GPU: the keyed draws of a whole stack in one pass over memory, bit for bit those of `draws`.

torch takes a pass over memory for each operation of the hash, some twenty for a dropout. Here the hash stays in
registers, and the backward pass of a dropout makes the bits again instead of keeping them. The weights of causal
attention are masked, normalised and dropped in one pass too, and the backward pass makes them again from the scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from goldmark.training._vmap import in_front

_WORDS = 256  # of 64 bits, that a program hashes
_LINE = 16  # numbers, of which a row of weights takes whole ones


@triton.jit
def _hash(key, i):
    """Return element i of the draw of a key, int64: the finaliser of SplitMix64, as `draws.bits` has it."""
    x = key + (i + 1) * -7046029254386353131
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@triton.jit
def _place():
    """Return the run of a program and the place of its block."""
    return tl.program_id(1).to(tl.int64), tl.program_id(0).to(tl.int64)


@triton.jit
def _bits_kernel(keys, out, n, WORDS: tl.constexpr):
    run, block = _place()
    i = block * WORDS + tl.arange(0, WORDS)
    tl.store(out + run * n + i, _hash(tl.load(keys + run), i), mask=i < n)


@triton.jit
def _uniform_kernel(keys, out, n, WORDS: tl.constexpr):
    run, block = _place()
    i = block * WORDS + tl.arange(0, WORDS)
    cells = (_hash(tl.load(keys + run), i) >> 12) & 0xFFFFFFFFFFFFF
    tl.store(out + run * n + i, (cells.to(tl.float64) + 0.5) * 2.0**-52, mask=i < n)


@triton.jit
def _dropped(x, words, quarter, run, lowest, scales):
    """Return x, dropped by quarters of hashed words and scaled."""
    bits = (words << (48 - 16 * quarter)) >> 48  # with its sign
    return tl.where(bits >= tl.load(lowest + run).to(tl.int64), x, 0.0) * tl.load(scales + run)


@triton.jit
def _dropped_kernel(x, keys, lowest, scales, out, n, WORDS: tl.constexpr):
    run, block = _place()
    i, quarter = block * WORDS + tl.arange(0, WORDS)[:, None], tl.arange(0, 4)[None, :]
    at = 4 * i + quarter
    value = tl.load(x + run * n + at, mask=at < n)
    dropped = _dropped(value, _hash(tl.load(keys + run), i), quarter, run, lowest, scales)
    tl.store(out + run * n + at, dropped, mask=at < n)


@triton.jit
def _row(first, n_rows, stride, WORDS: tl.constexpr):
    """Return of a program's row of scores its run, its head, its query, where it begins, and its columns in fours."""
    run, row = _place()
    column = 4 * tl.arange(0, WORDS)[:, None] + tl.arange(0, 4)[None, :]
    return run, row // n_rows, first + row % n_rows, (run * tl.num_programs(0) + row) * stride, column


@triton.jit
def _dropped_row(x, keys, lowest, scales, run, head, query, length, WORDS: tl.constexpr):
    """Return a row of weights, dropped and scaled: four of them lie in one word of the draw, or in two."""
    begin = (head * length + query) * length
    i, place = (begin >> 2) + tl.arange(0, WORDS)[:, None], (begin & 3) + tl.arange(0, 4)[None, :]
    key = tl.load(keys + run)
    words = tl.where(place < 4, _hash(key, i), _hash(key, i + 1))
    return _dropped(x, words, place & 3, run, lowest, scales)


@triton.jit
def _sum(x):
    return tl.sum(tl.sum(x, 1), 0)


@triton.jit
def _softmax(scores, at, column, query):
    score = tl.load(scores + at + column, mask=column <= query, other=-float("inf"))
    weight = tl.exp(score - tl.max(tl.max(score, 1), 0))
    return weight / _sum(weight)


@triton.jit
def _weights_kernel(scores, out, keys, lowest, scales, first, length, n_rows, n_keys, stride, WORDS: tl.constexpr):
    run, head, query, at, column = _row(first, n_rows, stride, WORDS)
    weight = _softmax(scores, at, column, query)
    weight = _dropped_row(weight, keys, lowest, scales, run, head, query, length, WORDS)
    tl.store(out + at + column, weight, mask=column < n_keys)


@triton.jit
def _scores_kernel(
    scores, grads, keys, lowest, scales, first, length, n_rows, n_keys, stride, WORDS: tl.constexpr
):  # in the place of the gradients of the dropped weights are put those of the scores
    run, head, query, at, column = _row(first, n_rows, stride, WORDS)
    weight = _softmax(scores, at, column, query)
    grad = tl.load(grads + at + column, mask=column <= query, other=0.0)
    grad = _dropped_row(grad, keys, lowest, scales, run, head, query, length, WORDS)
    tl.store(grads + at + column, weight * (grad - _sum(weight * grad)), mask=column < n_keys)


class _Bits(torch.autograd.Function):
    """Draws (*keys.shape, n) that have no gradient, for all keys of a stack at once."""

    @staticmethod
    def forward(keys: Tensor, n: int, dtype: torch.dtype) -> Tensor:
        """Return int64 bits, or float64 uniforms."""
        out = torch.empty(*keys.shape, n, dtype=dtype, device=keys.device)
        kernel = _bits_kernel if dtype == torch.int64 else _uniform_kernel
        kernel[triton.cdiv(n, _WORDS), keys.numel()](keys.contiguous(), out, n, WORDS=_WORDS)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        """Keep nothing."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], keys: Tensor, *rest: Any) -> tuple[Tensor, int]:
        """Draw for a stack."""
        (stacked,) = in_front(info.batch_size, in_dims[:1], (keys,))
        return _Bits.apply(stacked, *rest), 0  # type: ignore[no-untyped-call]


class _Dropped(torch.autograd.Function):
    """Inverted dropout, whose backward pass is the dropout of the gradient with the same bits."""

    @staticmethod
    def forward(x: Tensor, keys: Tensor, lowest: Tensor, scales: Tensor) -> Tensor:
        """Return x (*keys.shape, ...), dropped and scaled."""
        x, n = x.contiguous(), x.numel() // keys.numel()
        out, each = torch.empty_like(x), (keys.contiguous(), lowest.contiguous(), scales.contiguous())
        _dropped_kernel[triton.cdiv(n, 4 * _WORDS), keys.numel()](x, *each, out, n, WORDS=_WORDS)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        """Keep the numbers of each run alone."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of x."""
        return _Dropped.apply(*grads, *ctx.saved_tensors), None, None, None  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, int]:
        """Drop from all runs of a stack at once."""
        return _Dropped.apply(*in_front(info.batch_size, in_dims, tensors)), 0  # type: ignore[no-untyped-call]


class _CausalAttention(torch.autograd.Function):
    """Attention of blocks of queries to the keys up to their last one; tensors are (*runs, ..., T, D), or (*runs,)."""

    @staticmethod
    def forward(
        query: Tensor, key: Tensor, value: Tensor, keys: Tensor, lowest: Tensor, scales: Tensor, size: int
    ) -> tuple[Tensor, ...]:
        """Return what is attended to, and of each block of `size` queries its scores and its dropped weights."""
        q, k, v = (tensor.flatten(0, -3) for tensor in (query, key, value))
        out, kept = torch.empty_like(q), []
        for block in _blocks(q.shape[1], size):
            scores, weights = block.rows_like(q), block.rows_like(q)
            torch.bmm(block.queries(q), block.seen(k).mT, out=block.rows(scores))
            block.run(_weights_kernel, (scores, weights), (keys, lowest, scales))
            torch.bmm(block.rows(weights), block.seen(v), out=block.queries(out))
            kept += [scores, weights]
        return out.view_as(query), *kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep all that was computed: at full length, the largest tensors that there are."""
        *tensors, ctx.size = inputs
        ctx.save_for_backward(*tensors, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        tensors, numbers, kept = ctx.saved_tensors[:3], ctx.saved_tensors[3:6], iter(ctx.saved_tensors[6:])
        q, k, v, d = (tensor.contiguous().flatten(0, -3) for tensor in (*tensors, grad))
        of_q, of_k, of_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for block, scores, weights in zip(_blocks(q.shape[1], ctx.size), kept, kept, strict=True):
            block.seen(of_v).baddbmm_(block.rows(weights).mT, block.queries(d))
            grads = block.rows_like(q)
            torch.bmm(block.queries(d), block.seen(v).mT, out=block.rows(grads))
            block.run(_scores_kernel, (scores, grads), numbers)
            torch.bmm(block.rows(grads), block.seen(k), out=block.queries(of_q))
            block.seen(of_k).baddbmm_(block.rows(grads).mT, block.queries(q))
        return *(of.view_as(tensor) for of, tensor in zip((of_q, of_k, of_v), tensors, strict=True)), *[None] * 4

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor], tuple[int]]:
        """Attend in all runs of a stack at once."""
        stacked = (each.contiguous() for each in in_front(info.batch_size, in_dims[:6], inputs[:6]) if each is not None)
        attended, *_ = _CausalAttention.apply(*stacked, inputs[6])  # type: ignore[no-untyped-call]
        return (attended,), (0,)


@dataclass(frozen=True)
class _Block:
    """Queries `first` to `last` - 1 of `length`, and the keys that they see, 0 to `last` - 1."""

    first: int
    last: int
    length: int

    def queries(self, x: Tensor) -> Tensor:
        """Return the part (L, N, D) of x (L, T, D)."""
        return x[:, self.first : self.last]

    def seen(self, x: Tensor) -> Tensor:
        """Return the part (L, S, D) of x (L, T, D)."""
        return x[:, : self.last]

    def rows(self, x: Tensor) -> Tensor:
        """Return the rows (L, N, S) of x (L, N, S and what fills a row up)."""
        return x[..., : self.last]

    def rows_like(self, x: Tensor) -> Tensor:
        """Return memory for rows of x (L, T, D), each at a place that is read in fours."""
        return x.new_empty(len(x), self.last - self.first, -(-self.last // _LINE) * _LINE)

    def run(self, kernel: Any, rows: tuple[Tensor, Tensor], numbers: Sequence[Tensor]) -> None:
        """Run a kernel for rows of all runs, a row a program; `numbers` (*runs,) are of a run."""
        n_rows, stride, n_runs = *rows[0].shape[1:], numbers[0].numel()
        words = triton.next_power_of_2(triton.cdiv(self.last, 4))
        grid, each = (len(rows[0]) * n_rows // n_runs, n_runs), (number.contiguous() for number in numbers)
        kernel[grid](*rows, *each, self.first, self.length, n_rows, self.last, stride, WORDS=words)


def _blocks(length: int, size: int) -> list[_Block]:
    """Return blocks of `size` queries; the last may be smaller."""
    return [_Block(first, min(first + size, length), length) for first in range(0, length, size)]


def bits(keys: Tensor, n: int) -> Tensor:
    """Return what `draws.bits` does."""
    drawn: Tensor = _Bits.apply(keys, n, torch.int64)  # type: ignore[no-untyped-call]
    return drawn


def uniform(keys: Tensor, shape: Sequence[int]) -> Tensor:
    """Return what `draws.uniform` does."""
    drawn: Tensor = _Bits.apply(keys, math.prod(shape), torch.float64)  # type: ignore[no-untyped-call]
    return drawn.reshape((*keys.shape, *shape))


def dropped(x: Tensor, keys: Tensor, lowest_kept: Tensor, scale: Tensor) -> Tensor:
    """Return x (*keys.shape, ...) times `scale` where its 16 bits are `lowest_kept` or more, 0 elsewhere."""
    result: Tensor = _Dropped.apply(x, keys, lowest_kept, scale)  # type: ignore[no-untyped-call]
    return result


def causal_attention(query: Tensor, key: Tensor, value: Tensor, numbers: tuple[Tensor, ...], size: int) -> Tensor:
    """Return what `attention.causal_attention` does for tensors (*runs, ..., T, D), in blocks of `size` queries.

    The numbers (*runs,) are the key, the lowest kept bits and the scale of the dropout, whose draw is (..., T, T).
    """
    tensors = (tensor.contiguous() for tensor in (query, key, value))
    attended: Tensor = _CausalAttention.apply(*tensors, *numbers, size)[0]  # type: ignore[no-untyped-call]
    return attended
