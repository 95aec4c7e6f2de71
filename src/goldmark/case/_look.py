"""A look at a model in training: what the logs of a run tell of it beside its loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Half = Literal["train", "val"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one forward pass shows of a model; what a case does not have stays empty, and no log has a column for it."""

    loss: Tensor  # scalar, as it is trained: all weighted terms, and what is added to them
    terms: Mapping[str, Tensor] = field(default_factory=dict)  # of the loss, each without its weight, trained or not
    weighted: Mapping[str, Tensor] = field(default_factory=dict)  # those that are trained, times their weights
    scores: Mapping[str, float] = field(default_factory=dict)  # that follow from the same outputs
    probabilities: Mapping[str, Tensor] = field(default_factory=dict)  # by what they are of: positives, then others
