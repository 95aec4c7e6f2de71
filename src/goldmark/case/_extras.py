"""What is not installed with goldmark alone: a missing library is one line that says which extra brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from goldmark.case._run import UsageError

_EXTRAS = {"torch": "torch", "safetensors": "torch", "ray": "ray"}  # module -> the extra of pyproject.toml


def installed(module: str) -> bool:
    """Return whether a top-level module can be imported; nothing is loaded for it."""
    return find_spec(module) is not None


@contextmanager
def naming_extras(asked: str, *modules: str) -> Iterator[None]:
    """Raise `UsageError` with the extra to install where the body misses a module that an extra brings.

    `asked` is what needs it, the subject of the sentence. `modules` are looked for first: a body may load them late.
    """
    try:
        for module in modules:
            if not installed(module):
                raise ModuleNotFoundError(name=module)  # noqa: TRY301 - said below, as where an import misses it
        yield
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        raise UsageError(
            f"{asked} needs {error.name}, which is not installed: pip install 'goldmark[{extra}]'"
        ) from None
