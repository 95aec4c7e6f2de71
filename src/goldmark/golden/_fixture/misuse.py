"""Misuse of the `golden` fixture: a failure of one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import pytest

from goldmark.case import UsageError

_P = ParamSpec("_P")
_T = TypeVar("_T")


def misuse_fails(check: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn a misuse of the fixture into a failure of its one line, without a traceback through this package."""

    @wraps(check)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        __tracebackhide__ = True
        try:
            return check(*args, **kwargs)
        except UsageError as error:
            misuse = str(error)
        pytest.fail(misuse, pytrace=False)

    return checked
