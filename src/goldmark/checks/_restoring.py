"""What a model is given back: weights of an earlier time, or its own of now, where they were kept by reference."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from goldmark.case import Finding


def check_state_by_reference(model: nn.Module, state: Mapping[str, Tensor]) -> Finding:
    """Find out whether the trained parameters in a state dict, which a model is given, are the model's own memory."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    own = [name for name, parameter in trained.items() if name in state and _is_same_memory(state[name], parameter)]
    return Finding(
        name="state_by_reference",
        trouble=0 < len(trained) == len(own),
        numbers={"tensors": float(len(trained)), "own": float(len(own))},
        threshold=0.0,
        relation="a model must be given back weights of an earlier time: these are its own, as they are now",
        advice="keep copy.deepcopy(model.state_dict()): state_dict() hands out the weights themselves, which train on",
    )


def _is_same_memory(one: Any, other: Tensor) -> bool:
    return isinstance(one, Tensor) and one.data_ptr() == other.data_ptr() != 0


def listen_to_restoring(model: nn.Module, note: Callable[[Mapping[str, Tensor]], None]) -> None:
    """Let a method hear of every state dict that a model is given, for as long as its object lives.

    Who keeps the best weights loads them after the loop. The hook is no part of a model that is copied or saved.
    """
    hear: Any = model._register_load_state_dict_pre_hook  # noqa: SLF001 - public in newer torch alone
    handle = hear(_Hearing(weakref.WeakMethod(note)))
    weakref.finalize(note.__self__, handle.remove)  # type: ignore[attr-defined]


class _Hearing:
    """A hook that keeps nobody alive, and hears nothing where it was copied."""

    def __init__(self, note: Callable[[], Callable[[Mapping[str, Tensor]], None] | None]) -> None:
        self.note = note

    def __call__(self, state: Mapping[str, Tensor], *rest: Any) -> None:
        """Pass a state dict on."""
        note = self.note()
        if note is not None:
            note(state)

    def __reduce__(self) -> tuple[type[_Hearing], tuple[Callable[[], None]]]:
        """Become deaf."""
        return _Hearing, (_nobody,)


def _nobody() -> None:
    """Return None: there is nobody to tell."""
