"""The `preflight` fixture: the checks before training, in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from goldmark.case import UsageError, naming_extras


@pytest.fixture
def preflight() -> Callable[..., Any]:
    """Look before training: `preflight(model, optimizer, train, val, loss_fn)` fails on findings."""
    try:
        with naming_extras("the fixture 'preflight'"):
            from goldmark.checks import assert_healthy  # which loads torch
    except UsageError as error:
        pytest.fail(str(error), pytrace=False)
    return assert_healthy
