"""Triton kernels for a GPU: the keyed draws of a whole stack in one pass over memory, bit for bit those of `draws`.

torch takes a pass over memory for each operation of the hash, some twenty for a dropout. Here the hash stays in
registers, and the backward pass of a dropout makes the bits again instead of keeping them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from goldmark.training._vmap import in_front

_WORDS = 256  # of 64 bits, that a program hashes


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
def _dropped_kernel(x, keys, lowest, scales, out, n, WORDS: tl.constexpr):
    run, block = _place()
    i, quarter = block * WORDS + tl.arange(0, WORDS)[:, None], tl.arange(0, 4)[None, :]
    bits = (_hash(tl.load(keys + run), i) << (48 - 16 * quarter)) >> 48  # with its sign
    at = 4 * i + quarter
    value = tl.load(x + run * n + at, mask=at < n)
    kept = tl.where(bits >= tl.load(lowest + run).to(tl.int64), value, 0.0)
    tl.store(out + run * n + at, kept * tl.load(scales + run), mask=at < n)


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
