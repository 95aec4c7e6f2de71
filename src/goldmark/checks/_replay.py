"""Graphs that backward passes go through once more, after the step of another one: losses that add up over batches."""

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
