"""Hearing of what a program calls in torch: its functions are replaced for as long as somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

L = TypeVar("L")
Place = tuple[Any, str, Callable[[Any], Any]]  # an object, its attribute, and what makes another function of that


class Hearing(Generic[L]):
    """The listeners of some functions, which tell them of each call."""

    def __init__(self, *places: Place) -> None:
        self.listeners: list[L] = []
        self._places, self._own = places, list[Any]()  # torch's own functions, while they are replaced
        self._inherited = [isinstance(owner, type) and name not in vars(owner) for owner, name, _ in places]

    def add(self, listener: L) -> None:
        """Let somebody hear; the first replaces the functions."""
        if not self.listeners:
            self._own = [getattr(owner, name) for owner, name, _ in self._places]
            for (owner, name, heard), own in zip(self._places, self._own, strict=True):
                setattr(owner, name, heard(own))
        if listener not in self.listeners:
            self.listeners.append(listener)

    def remove(self, listener: L) -> None:
        """Let somebody hear no more, if he did; the last puts back what was replaced."""
        if listener not in self.listeners:
            return
        self.listeners.remove(listener)
        if not self.listeners:
            for (owner, name, _), own, inherited in zip(self._places, self._own, self._inherited, strict=True):
                if inherited:
                    delattr(owner, name)
                else:
                    setattr(owner, name, own)
            self._own.clear()
