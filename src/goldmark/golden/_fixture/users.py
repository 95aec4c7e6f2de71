"""Which tests use the `golden` fixture, as far as their signatures and fixtures tell before they run."""

from __future__ import annotations

import pytest

# Loaded in every pytest run of every project that has goldmark installed: nothing heavy is imported here.
MARK = "golden: a test that uses the golden fixture; set when it is collected, so that -m golden selects it"


def uses_golden(item: pytest.Item) -> bool:
    """Tell whether a test, or a fixture of it, names the fixture among its arguments."""
    return "golden" in getattr(item, "fixturenames", ())


def may_use_golden(item: pytest.Item) -> bool:
    """Tell whether a test names the fixture, or could ask for it by `request.getfixturevalue("golden")`."""
    return uses_golden(item) or _takes_request(item)


def _takes_request(item: pytest.Item) -> bool:
    """Tell whether a test or a fixture of it takes `request`; those of pytest and syrupy do, and ask for no golden."""
    info = getattr(item, "_fixtureinfo", None)  # pytest has no public way
    if info is None:
        return False
    fixtures = (fixture for definitions in info.name2fixturedefs.values() for fixture in definitions)
    foreign = (fixture for fixture in fixtures if not fixture.func.__module__.startswith(("_pytest.", "syrupy")))
    return "request" in info.argnames or any("request" in fixture.argnames for fixture in foreign)
