"""The least change of a model: every weight to a number next to it, up or down at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goldmark.case import UsageError

Nudge = Callable[[Any], Any]
Precision = Literal["float64", "float32", "tf32", "float16", "bfloat16"]

EPS = {  # distance from 1 to the next number
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "tf32": 2.0**-10,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "complex128": 2.0**-52,
    "complex64": 2.0**-23,
}


def leave(model: Any) -> Any:
    """Return the model as it is: the nudge that does nothing."""
    return model


class OneUlp:
    """The nudge of one run: moves every weight by an ulp of its type, or of a precision where that is coarser."""

    def __init__(self, seed: int, precision: Precision | None) -> None:
        self.calls, self.eps = 0, 0.0  # eps of the coarsest type of the weights
        self._draws = np.random.default_rng(seed)
        self._least = EPS[precision] if precision else 0.0

    def __call__(self, model: Any) -> Any:
        """Move the weights of a model, in place where that can be, and return it."""
        self.calls += 1
        moved = self._moved(model)
        if not self.eps:
            raise UsageError(
                f"nudge was given {type(model).__name__} with no weight in floating point other than 0; give it a "
                "torch module, an array, or dicts and lists of arrays"
            )
        return moved

    def eps_of_one_call(self) -> float:
        """Return the eps of the coarsest type of weights; raise `UsageError` unless the run has called this once."""
        if self.calls != 1:
            raise UsageError(
                f"run(nudge) called nudge {self.calls} times; call nudge(model) once, where the first weights are there"
            )
        return self.eps

    def _moved(self, model: Any) -> Any:
        if callable(getattr(model, "parameters", None)):
            self._moved(list(model.parameters()))
            return model
        if isinstance(model, Mapping):
            return {name: self._moved(part) for name, part in model.items()}
        if isinstance(model, list | tuple):
            parts = [self._moved(part) for part in model]
            return type(model)(*parts) if hasattr(model, "_fields") else type(model)(parts)
        eps = EPS.get(type_name(model), 0.0)
        if not eps or not np.any(numbers(model)):
            return model
        self.eps = max(self.eps, eps)
        return self._moved_array(model, max(eps, self._least))

    def _moved_array(self, weights: Any, eps: float) -> Any:
        old = numbers(weights)
        old = old if old.dtype.kind == "c" else old.astype(np.float64)
        # an ulp of x = m 2^e is eps 2^e, with m from 1 to 2: .6 eps x is .6 to 1.2 ulps, which rounds to one
        new = old + old * (0.6 * eps * self._draws.choice([-1.0, 1.0], size=old.shape))
        if hasattr(weights, "detach"):
            weights.detach().copy_(weights.detach().double().new_tensor(new))
            return weights
        if isinstance(weights, np.ndarray):
            weights[...] = new
            return weights
        if hasattr(weights, "at"):  # of jax
            return weights.at[...].set(new.astype(weights.dtype))
        return type(weights)(new)


def type_name(value: Any) -> str:
    """Return the name of a number's or an array's type, whatever library it is of."""
    dtype = getattr(value, "dtype", None)
    return str(np.asarray(value).dtype if dtype is None else dtype).removeprefix("torch.")


def numbers(value: Any) -> NDArray[Any]:
    """Return a copy in numpy, in float32 what numpy itself does not know, such as bfloat16."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if type_name(value) == "bfloat16" else value).numpy()
    array = np.array(value)
    if array.dtype.kind in "biuc" or array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
