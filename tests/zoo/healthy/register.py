"""The list of healthy programs."""

from __future__ import annotations

HEALTHY = []  # every program, in the order of the files


def healthy(program):
    """Register a program, which returns the names of its findings."""
    HEALTHY.append(program)
    return program
