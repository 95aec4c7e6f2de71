"""How far runs that are the same but for rounding go apart: what a difference is held to, by step and tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from goldmark.trajectory._steps import Recording, Step, Tensor

# Measured on a perceptron, a GRU, a transformer layer and a CNN with BatchNorm, with SGD or AdamW, 6 seeds, 40 steps,
# every gradient and weight: other orders of the examples, 2 and 4 micro-batches, and matrix products in two parts
# differ by at most 3.5 times as much as the furthest of three runs whose weights are all nudged, where they differ by
# more than 8 ulps; with one weight nudged instead by up to 32 times, and without limit where it reaches nothing.
_FACTOR = 10.0
# Nudged runs may happen to be equal where sums are small, and are where nothing depends on the weights: in the first
# step, the runs above differ by up to 10.5 ulps of the largest entry of a tensor, whose entries are sums of its size.
_FLOOR_ULPS = 16.0
# A choice: who passes is nearer to the other run than a fiftieth of what training changed.
_MOST_OF_WAY = 0.02


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a tensor of a step shows: how far two runs differ in it, and by how much they may."""

    step: int
    tensor: str
    difference: float
    tolerance: float
    way: float  # how far the tensor goes in all the run
    tells: bool  # whether it is evidence: it moves, and with the weights, unlike a learning rate or frozen weights
    all_nan: bool = False
    why_apart: str = ""  # where the difference is no number

    @property
    def ratio(self) -> float:
        """The difference in tolerances."""
        if not self.difference or math.isinf(self.tolerance):
            return 0.0
        return self.difference / self.tolerance if self.tolerance else math.inf

    @property
    def says_nothing(self) -> bool:
        """Whether a bug could stay within the tolerance, or no number is there."""
        return self.all_nan or self.tolerance > _MOST_OF_WAY * self.way


def say_nothing(marks: Sequence[Mark]) -> bool:
    """Tell whether most of the evidence of a step says nothing.

    Not all, because healthy models have tensors that are noise: the gradient of a bias before BatchNorm, or of a key
    in attention, is zero but for rounding, which Adam makes to steps of full length.
    """
    evidence = [mark for mark in marks if mark.tells]
    return 2 * sum(mark.says_nothing for mark in evidence) > len(evidence)


class Tolerances:
    """The tolerance of every step and tensor of a recorded run, from runs that differ from it by rounding alone."""

    def __init__(self, reference: Recording) -> None:
        self.lengths = {reference.n_steps}  # of all runs
        self._reference = reference
        self.eps = 0.0  # of the coarsest weights
        self._spreads: list[dict[str, float]] = [{} for _ in range(reference.n_steps)]  # up to each step

    @property
    def show_a_change(self) -> bool:
        """Whether a run differs from the recorded one in anything."""
        return len(self.lengths) > 1 or any(any(spread.values()) for spread in self._spreads)

    def widen(self, steps: Iterable[Step]) -> None:
        """Take in a further run."""
        so_far: dict[str, float] = {}
        n_steps = 0
        for number, (old, new) in enumerate(zip_longest(self._reference, steps)):
            if old is None or new is None:
                n_steps += old is None
                continue
            n_steps += 1
            for name in {**old, **new}:
                distance = old[name].distance(new.get(name)) if name in old else math.inf
                so_far[name] = max(so_far.get(name, 0.0), distance)
            spread = self._spreads[number]
            spread.update({name: max(spread.get(name, 0.0), distance) for name, distance in so_far.items()})
        self.lengths.add(n_steps)

    def marks(self, number: int, old: Step, new: Step) -> list[Mark]:
        """Compare a step of the recorded run with the same one of another."""
        return [self._mark(number, name, old.get(name), new.get(name)) for name in {**old, **new}]

    @property
    def are_too_wide(self) -> bool:
        """Whether there is a step where they say nothing."""
        steps = enumerate(self._reference)
        return len(self.lengths) > 1 or any(say_nothing(self.marks(number, step, step)) for number, step in steps)

    def _mark(self, number: int, name: str, old: Tensor | None, new: Tensor | None) -> Mark:
        spread = self._spreads[number].get(name, 0.0)
        floor = 0.0 if old is None else _FLOOR_ULPS * old.ulp(self.eps)
        all_nan = old is not None and new is not None and old.is_nan and new.is_nan
        difference = math.inf if old is None else old.distance(new)
        return Mark(
            step=number,
            tensor=name,
            difference=difference,
            tolerance=max(_FACTOR * spread, floor),
            way=0.0 if old is None else self._reference.way(name, old),
            tells=all_nan or math.isinf(spread) or (spread > 0 and self._reference.moves(name)),
            all_nan=all_nan,
            why_apart="" if math.isfinite(difference) else _why_apart(old, new),
        )


def _why_apart(old: Tensor | None, new: Tensor | None) -> str:
    """Return what is wrong with two tensors that cannot be subtracted."""
    if old is None or new is None:
        return f"is only in {'`run`' if new is None else '`other`'}"
    if old.form != new.form:
        return f"is {old.form} in `run` and {new.form} in `other`"
    return f"is {old.first_apart(new)}"
