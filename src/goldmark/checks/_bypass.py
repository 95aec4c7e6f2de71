"""Bypass: a way from the input to the output that leads around the code."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from goldmark.case import Finding

Decode = Callable[[Tensor, Tensor], Tensor]  # codes (N, K), memory (N, ...) -> outputs (N, ...)


def check_code_bypassed(decode: Decode, codes: Tensor, memory: Tensor, threshold: float = 1e-6) -> Finding:
    """Find out whether a decoder sees the input by another way than its code, such as attention over the encoder.

    `memory` is whatever else the decoder is given of a sample: it is exchanged between the samples while the codes
    stay. `bypass` is the root mean square of what that changes in the outputs, over the sd of the outputs between
    samples. The structure shows it, so that a fresh model is enough; `check_code_ignored` says what a trained one makes
    of it. Raises `ValueError` for fewer than two samples.
    """
    if len(codes) < 2:
        raise ValueError(f"{len(codes)} samples have no memory to exchange; pass two or more")
    outputs = decode(codes, memory).double()
    change = decode(codes, memory.roll(1, dims=0)).double() - outputs
    spread = (outputs - outputs.mean(dim=0)).square().mean().sqrt()
    bypass = float(change.square().mean().sqrt() / spread) if change.any() else 0.0
    return Finding(
        name="code_bypassed",
        trouble=not bypass <= threshold,
        numbers={"bypass": bypass},
        threshold=threshold,
        advice="the decoder sees the input past its code: a good score says nothing of the code; take the way away",
    )
