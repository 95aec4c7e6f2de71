"""Arrays and tensors: their numbers, dtype and shape, and what is kept of those with too many entries for a file."""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import dataclass
from typing import Any

from goldmark.case import UsageError

SMALL = 1_000  # entries; an array of no more is always kept whole
KEPT_WHOLE = 10_000  # entries, some 200 kB of JSON; of an array with more, a golden holds a summary
SAMPLED = 256  # entries of an array that its summary holds
_SUMMARY = {"n", "sha256", "nan", "min", "max", "mean", "sd", "norm", "sample"}
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2  # its multiples modulo 1 spread evenly and fall into step with no row length


@dataclass(frozen=True, eq=False, kw_only=True)
class Array:
    """The numbers of an array or tensor as they were when a test passed it on."""

    dtype: str
    shape: tuple[int, ...]
    numbers: Any  # numpy, of one dimension, in row-major order

    @property
    def text(self) -> str:
        """Return dtype and shape in words: `float32 (3, 4)`."""
        return f"{self.dtype} {self.shape}"

    def listed(self) -> Any:
        """Return all entries as nested lists."""
        return self.numbers.reshape(self.shape).tolist()

    def summary(self) -> dict[str, Any]:
        """Return what stands for the entries: their hash, statistics without NaN, and a fixed sample.

        `norm` is the Euclidean one. Statistics are of float64. A zero's sign and the payload of NaN are not hashed.
        """
        import numpy as np  # there wherever an array is

        numbers = self.numbers + self.numbers.dtype.type(0) if self.numbers.dtype.kind == "f" else self.numbers
        values = numbers.astype(np.float64)
        nan = np.isnan(values)
        if nan.any():
            numbers, values = np.where(nan, numbers.dtype.type(np.nan), numbers), values[~nan]
        content = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()
        with np.errstate(all="ignore"):  # of infinities, which are refused by name where they are recorded
            statistics = _statistics(np, values if values.size else np.zeros(1))
        return {
            "n": len(numbers),
            "sha256": hashlib.sha256(content).hexdigest(),
            "nan": int(nan.sum()),
            **statistics,
            "sample": numbers[sampled_places(len(numbers))].tolist(),
        }


def _statistics(np: Any, values: Any) -> dict[str, float]:
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "norm": float(np.sqrt(np.square(values).sum())),
    }


def sampled_places(n: int) -> list[int]:
    """Return the places, in row-major order, of the entries that a summary of n holds, the first and the last among."""
    spread = {int(n * (i * _GOLDEN_RATIO % 1)) for i in range(SAMPLED - 1)}
    return sorted({*spread, n - 1})


def is_summary(value: Any) -> bool:
    """Tell whether a plain value stands for the entries of an array."""
    return isinstance(value, dict) and value.keys() == _SUMMARY


def is_array(value: Any) -> bool:
    """Tell a numpy array or scalar or a torch tensor that can be listed, without loading either library."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return bool(value.dtype.kind in "biufcUSO")
    return torch is not None and isinstance(value, torch.Tensor)


def listed(array: Any, key: str) -> Any:
    """Return an array or tensor as lists; raise `UsageError` where a golden cannot hold its numbers."""
    _refuse_long_floats(array, key)
    try:
        return array.tolist()
    except (RuntimeError, TypeError, NotImplementedError):  # a sparse tensor, one without memory
        raise _not_dense(array, key) from None


def holds_numbers(array: Any) -> bool:
    """Tell whether an array or tensor has axes and numbers on them, so that dtype and shape are kept beside these."""
    return array.ndim > 0 and getattr(array.dtype, "kind", "f") in "biufc"


def read_array(value: Any, key: str) -> Array:
    """Return a copy of an array, tensor or list of numbers; raise `UsageError` where a golden cannot hold it."""
    import numpy as np

    if isinstance(value, list | tuple):
        return Array(dtype="list", shape=(len(value),), numbers=np.array(value))
    _refuse_long_floats(value, key)
    dtype, shape = str(value.dtype).removeprefix("torch."), tuple(value.shape)
    numbers = value if isinstance(value, np.ndarray) else _of_tensor(value, key)
    if numbers.dtype.kind == "c" and numbers.size > SMALL:
        raise UsageError(
            f"'{key}' is of {numbers.size} complex numbers; pass real and imaginary part as two arrays"
            f" (more than {SMALL} have no other summary)"
        )
    return Array(dtype=dtype, shape=shape, numbers=np.array(numbers, order="C").reshape(-1))


def _of_tensor(tensor: Any, key: str) -> Any:
    """Return a tensor's numbers in numpy; of a dtype that numpy lacks (bfloat16), exactly, in float32."""
    try:
        dense = tensor.detach().resolve_conj().resolve_neg().cpu()
        try:
            return dense.numpy()
        except TypeError:
            return dense.float().numpy()
    except (RuntimeError, TypeError, NotImplementedError):
        raise _not_dense(tensor, key) from None


def _refuse_long_floats(array: Any, key: str) -> None:
    kind, widest = getattr(array.dtype, "kind", ""), {"f": 8, "c": 16}
    if array.dtype.itemsize > widest.get(kind, math.inf):
        raise UsageError(f"'{key}' is of {array.dtype}, more digits than a golden holds; pass .astype(float)")


def _not_dense(array: Any, key: str) -> UsageError:
    layout = str(getattr(array, "layout", "")).removeprefix("torch.")
    kind = f"{type(array).__qualname__} ({layout}, on {getattr(array, 'device', '?')})"
    return UsageError(f"'{key}' is a {kind} without a plain list of numbers; pass a dense tensor: .to_dense()")
