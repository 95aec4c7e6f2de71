"""The `preflight` fixture: the checks before training, in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def preflight() -> Callable[..., Any]:
    """Look before training: `preflight(model, optimizer, train, val, loss_fn)` fails on findings."""
    from goldmark.checks import assert_healthy  # which loads torch

    return assert_healthy
