"""Many variants x seeds -> runs; how they are executed is hidden behind `train`."""

from __future__ import annotations

from goldmark.training._devices import default_jobs, resolve_device
from goldmark.training._innocent import INNOCENT_CHANGES, with_innocent_change
from goldmark.training._stored import stored_or_trained
from goldmark.training._train import train

__all__ = [
    "INNOCENT_CHANGES",
    "default_jobs",
    "resolve_device",
    "stored_or_trained",
    "train",
    "with_innocent_change",
]
