"""What most of these programs train on."""

from __future__ import annotations

from zoo.loops import batched, classes


def data():
    """Training and validation batches of the classes."""
    return batched(*classes()), batched(*classes(64, seed=1))
