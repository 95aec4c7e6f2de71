"""The steps of a run as numpy arrays that remember their own types, and one run of them in a file."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from goldmark.case import UsageError
from goldmark.trajectory._nudge import EPS, Nudge, numbers, type_name

Training = Callable[[Nudge], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An array of a step: its values as numpy holds them, and the type that it had."""

    type_name: str
    values: NDArray[Any]

    @property
    def form(self) -> str:
        """Type and shape, for people."""
        return f"{self.type_name} {self.values.shape}"

    def ulp(self, least_eps: float) -> float:
        """Return what the last place of its largest entry is worth, in its own type or a coarser one; 0 of integers."""
        eps = EPS.get(self.type_name, 0.0)
        return max(eps, least_eps) * self.largest if eps else 0.0

    @property
    def is_nan(self) -> bool:
        """Whether nothing but NaN is in it."""
        return self.values.size > 0 and bool(np.isnan(self.values).all())

    @property
    def largest(self) -> float:
        """The largest finite magnitude."""
        return float(np.max(np.abs(self.values[np.isfinite(self.values)].astype(_wide(self))), initial=0.0))

    def distance(self, other: Tensor | None) -> float:
        """Return the largest difference of an entry; infinite where form or finiteness differ."""
        if other is None or self.form != other.form:
            return math.inf
        old, new = self.values, other.values
        same = (old == new) | (np.isnan(old) & np.isnan(new))
        if np.all(same):
            return 0.0
        with np.errstate(invalid="ignore"):  # infinity less infinity
            gaps = np.abs(new[~same].astype(_wide(self)) - old[~same].astype(_wide(self)))
        # integers above 2^53 that differ by little are equal in float64, and must not be here
        return math.inf if np.isnan(gaps).any() else max(float(gaps.max()), math.ulp(0.0))

    def first_apart(self, other: Tensor) -> str:
        """Return the first entry in which two tensors differ and not both are finite, and its values in both."""
        finite = np.isfinite(self.values) & np.isfinite(other.values)
        both_nan = np.isnan(self.values) & np.isnan(other.values)
        at = np.argwhere(~finite & ~both_nan & (self.values != other.values))[0]
        place = f"[{', '.join(map(str, at))}]" if at.size else ""
        return f"{self.values[tuple(at)]} in `run` and {other.values[tuple(at)]} in `other`{place and ' at ' + place}"


def _wide(tensor: Tensor) -> type[Any]:
    return np.complex128 if np.iscomplexobj(tensor.values) else np.float64


Step = dict[str, Tensor]


def steps_of(run: Training, nudge: Nudge) -> Iterator[Step]:
    """Yield the steps of a run in numpy; raise `UsageError` for what is no dict of numbers."""
    for number, step in enumerate(run(nudge)):
        if not isinstance(step, Mapping):
            raise UsageError(f"step {number} is {type(step).__name__}; yield a dict of numbers and arrays, by name")
        yield {name: _read(number, name, value) for name, value in step.items()}


def _read(number: int, name: str, value: Any) -> Tensor:
    try:
        return Tensor(type_name=type_name(value), values=numbers(value))
    except (TypeError, ValueError) as error:
        what = f"step {number}, '{name}' is {type(value).__name__}"
        raise UsageError(f"{what}; yield numbers, or arrays of numbers ({error})") from None


class Recording:
    """The steps of one run, in a file: of long runs of large models memory would not hold all."""

    def __init__(self, file: IO[bytes], steps: Iterable[Step]) -> None:
        self.n_steps = 0
        self._file = file
        self._ways: dict[str, float] = {}
        self._shown: Counter[str] = Counter()
        first: Step = {}
        for step in steps:
            self._write(step)
            self._shown.update(step.keys())
            for name, tensor in step.items():
                gone = first.setdefault(name, tensor).distance(tensor)
                self._ways[name] = max(self._ways.get(name, 0.0), gone if math.isfinite(gone) else 0.0)

    def __iter__(self) -> Iterator[Step]:
        """Read the steps, from the first on."""
        self._file.seek(0)
        for _ in range(self.n_steps):
            types = json.loads(self._file.readline())
            yield {
                name: Tensor(type_name=type_name, values=np.load(self._file, allow_pickle=False))
                for name, type_name in types.items()
            }

    def way(self, name: str, tensor: Tensor) -> float:
        """Return how far a tensor goes from its first step, at most; of one that stays its magnitude."""
        return self._ways[name] or tensor.largest

    def moves(self, name: str) -> bool:
        """Tell whether a tensor changes from step to step; of one that is there once it is not known, and taken so."""
        return self._ways[name] > 0 or self._shown[name] == 1

    def _write(self, step: Step) -> None:
        self.n_steps += 1
        self._file.write(json.dumps({name: tensor.type_name for name, tensor in step.items()}).encode() + b"\n")
        for tensor in step.values():
            np.save(self._file, tensor.values, allow_pickle=False)
