"""Graphs that backward passes go through once more: losses that add up over batches, or are back-propagated twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from goldmark.case import Finding
from goldmark.checks._graph import Node, nodes


@dataclass(kw_only=True, eq=False)
class Roots:
    """Where the backward passes of a watch have started: marks in the metadata of nodes, which live as these do."""

    names: set[str] = field(default_factory=set)  # of marked nodes: metadata are made for those that are asked
    passed: list[int] = field(default_factory=list)  # marks of earlier steps that each pass came upon

    def started_again(self, roots: Sequence[Node | None], step: int) -> bool:
        """Tell whether several passes of one step have started from one loss; `roots` are those not noted yet."""
        started = [root for root in roots if root is not None]
        earlier = any(root.name() in self.names and root.metadata.get(self._key) == step for root in started)
        return earlier or len(set(started)) < len(started)

    def note(self, roots: Iterable[Node | None], step: int) -> None:
        """Look for marks of earlier steps in what a pass of this step went through, and mark where it started."""
        started = [root for root in dict.fromkeys(roots) if root is not None]
        below = [node for root in started for node in nodes(root) if node.name() in self.names]
        self.passed.append(sum(node.metadata.get(self._key, step) < step for node in below))
        for root in started:
            self.names.add(root.name())
            root.metadata.setdefault(self._key, step)

    @property
    def _key(self) -> str:
        return f"goldmark {id(self)}"


def check_replayed_graph(passed: Sequence[int]) -> Finding:
    """Find out whether backward passes go through losses that were back-propagated, and stepped on, before.

    `passed` says of each pass how many of them it came upon.
    """
    again = sum(count > 0 for count in passed)
    return Finding(
        name="replayed_graph",
        trouble=again >= 2,
        numbers={"passes": float(len(passed)), "through_earlier_losses": float(again)},
        threshold=0.0,
        relation="a loss must be back-propagated once",
        advice="back-propagate the loss of the batch, and add up loss.item() for a log; then drop retain_graph=True",
    )


def check_repeated_backward(doubled: Sequence[bool], fewest: int = 3) -> Finding:
    """Find out whether one loss is back-propagated several times before a step, so that its gradient counts as often.

    `doubled` says of each pass whether it started where one before it did, gave the same gradient, and was added to it.
    Gradients that are zeroed between the two, as where the first were only looked at, pass.
    """
    again = sum(doubled)
    return Finding(
        name="repeated_backward",
        trouble=again >= fewest and 2 * again >= len(doubled),
        numbers={"passes": float(len(doubled)), "of_a_loss_once_more": float(again)},
        threshold=0.0,
        relation="a loss must be back-propagated once before each step",
        advice="call backward() once, on the sum of all terms; then drop retain_graph=True",
    )
