"""Where a device is there, and how many processes it takes."""

from __future__ import annotations

import os

from goldmark.case import UsageError


def default_jobs(device: str) -> int:
    """Return how many processes train where nothing is said: as many as there are cores, or one for a GPU."""
    return 1 if device == "cuda" else os.cpu_count() or 1


def resolve_device(device: str) -> str:
    """Return `cpu` or `cuda` for a device name or `auto`; raise `UsageError` where there is no such device."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' is not there: torch sees no CUDA GPU; use --device cpu or --device auto")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"device '{device}' is unknown; it is one of: cpu, cuda, auto")
    return device
