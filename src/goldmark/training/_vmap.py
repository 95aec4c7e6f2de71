"""What a rule for `torch.func.vmap` has to know: whether a tensor stands for a stack, and where the stack's axis is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def under_vmap(tensor: Tensor) -> bool:
    """Return whether a tensor stands for those of a whole stack."""
    return torch._C._functorch.is_batchedtensor(tensor)  # noqa: SLF001  # torch has no public way to ask


def in_front(n: int, dims: Sequence[int | None], tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return tensors with the axis of the stack, of n models, in front; what all models share is repeated."""
    return [
        tensor if tensor is None else tensor.expand(n, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for dim, tensor in zip(dims, tensors, strict=True)
    ]
