"""The record of a watched run."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from goldmark.case import Finding
from goldmark.checks._carried import States
from goldmark.checks._choices import Choices
from goldmark.checks._clipping import Clips
from goldmark.checks._direction import Reads
from goldmark.checks._falls import Falls
from goldmark.checks._flat import Slopes
from goldmark.checks._following import Following
from goldmark.checks._losses import number
from goldmark.checks._modes import check_statistics_gap, initial_weight
from goldmark.checks._mutual import Pulls
from goldmark.checks._predictions import Predictions
from goldmark.checks._replay import Roots
from goldmark.checks._restoring import Restored
from goldmark.checks._samples import FIRST_STEPS, LAST_ANSWERS, Sample, Step
from goldmark.checks._schedulers import Copies, ScheduleState, rates_of
from goldmark.checks._unread import is_summed

_SETTLED = 30  # steps after which running statistics with the usual momentum of 0.1 are those of the data
_GAP, _EARLY_GAP = 1.0, 0.25  # of running statistics; the second where they are still those of the start
_STAYED, _SLOW = 0.5, 0.01  # weight of the start; momentum


@dataclass(kw_only=True, eq=False)
class Record:
    """All that a watch has taken down."""

    accumulate: int = 1
    frozen: tuple[str, ...] = ()
    declared_frozen: tuple[str, ...] = ()  # to a preflight of the same model
    n_batches: int = 1  # unlike ones that such a preflight has read
    labels: tuple[Tensor, Tensor] | None = None  # of its halves: the lowest and highest target of each example
    alone: bool = True  # no other model is watched at the same time
    forward_passes: int = 0  # with gradients
    backward_passes: int = 0
    steps: int = 0
    since_step: int = 0  # backward passes
    counts: list[int] = field(default_factory=list)  # backward passes of each step
    losses: list[Tensor] = field(default_factory=list)  # of every backward pass
    epochs: list[int] = field(default_factory=list)  # steps taken at the end of each
    metrics: dict[Any, list[tuple[int, float]]] = field(default_factory=dict)  # by schedule: losses before, metric
    factors: dict[Any, list[float]] = field(default_factory=dict)  # of schedules that are functions, from their start
    samples: list[Sample] = field(default_factory=list)
    norms: list[Step] = field(default_factory=list)
    idle: list[tuple[int, float]] = field(default_factory=list)  # passes without gradients: step, hash of inputs
    gaps: list[Finding] = field(default_factory=list)  # of the BatchNorm layers, in the last sample
    normalised: dict[nn.Module, list[tuple[int, Tensor]]] = field(default_factory=dict)  # inputs of BatchNorm layers
    # since a step, each with the number of the model's pass that it belongs to, or 0
    used: set[int] = field(default_factory=set)  # parameters of modules that ran
    start: dict[str, Tensor] = field(default_factory=dict)  # weights and buffers as they were
    weightless: set[str] | None = None  # terms that were multiplied by 0 so far; None: not known yet
    unread: set[str] | None = None  # terms that were left out of the loss so far; None: not known yet
    slopes: Slopes = field(default_factory=Slopes)  # of terms
    notes: list[str] = field(default_factory=list)  # what did not fit this program
    following: Following = field(default_factory=Following)  # of gradients, in sampled steps
    roots: Roots = field(default_factory=Roots)  # of backward passes
    states: States = field(default_factory=States)  # of recurrent layers
    reads: Reads = field(default_factory=Reads)  # of bidirectional ones
    pulls: Pulls = field(default_factory=Pulls)  # on outputs
    predictions: Predictions = field(default_factory=Predictions)
    clips: Clips = field(default_factory=Clips)  # of gradients, in sampled steps
    restored: Restored = field(default_factory=Restored)  # state dicts that modules were given
    chosen: Choices = field(default_factory=Choices)  # calls of argmax and max on outputs
    asleep: int = 0  # backward passes in eval mode since one in training mode
    mode: Finding | None = None  # of the first of them
    falls: Falls = field(default_factory=Falls)  # of parts into eval mode
    trainable: set[int] = field(default_factory=set)  # parameters, at the start
    own_steps: list[int] = field(default_factory=list)  # of each optimizer
    rates: list[float] = field(default_factory=list)  # of all groups, at the start
    foreign: dict[Any, list[float]] = field(default_factory=dict)  # schedules of other optimizers: rates at the start
    strangers: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)  # other optimizers that took a step
    copies: Copies = field(default_factory=Copies)  # of the optimizers' groups
    resumed: ScheduleState | None = None  # where the first step is taken

    def keep(self, sample: Sample) -> None:
        """Add a sample, and let go of the outputs, targets and inputs of earlier ones that nobody looks at again."""
        self.samples.append(sample)
        for old in [one for one in self.samples if one.answers is not None][:-LAST_ANSWERS]:
            old.of_same_shape = ()
            if old.step >= FIRST_STEPS:
                old.answers = None

    def begin(self, model: nn.Module, optimizers: tuple[torch.optim.Optimizer, ...], most: int) -> None:
        """Keep the weights, up to `most` entries, and the rates."""
        self.trainable = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        room, named = most, (*model.named_parameters(), *model.named_buffers())
        for name, tensor in named if not any(is_lazy(one) for _, one in named) else ():  # which have no entries yet
            room -= tensor.numel()
            if room >= 0:
                self.start[name] = tensor.detach().clone()
        self.falls.begin(model, optimizers)
        self.own_steps = [0] * len(optimizers)
        self.rates = rates_of(optimizers)

    def note_weightless(self, terms: Mapping[str, Any], known: frozenset[str] | None) -> None:
        """Keep the terms that were multiplied by 0 in every step; `known` are those of this one, where its graph tells.

        Where it does not, a term that is not 0 counts.
        """
        if known is not None:
            self.weightless = set(known) if self.weightless is None else self.weightless & known
        elif self.weightless:
            self.weightless -= {name for name in self.weightless & terms.keys() if number(terms[name]) != 0}

    def note_unread(self, terms: Mapping[str, Any], loss: Any, known: frozenset[str] | None) -> None:
        """Keep the terms that were left out of every loss; `known` are those of this one, where it was looked at.

        Where it was not, a term counts that is summed.
        """
        if known is not None:
            self.unread = set(known) if self.unread is None else self.unread & known
        elif self.unread:
            self.unread -= {name for name in self.unread & terms.keys() if is_summed(terms[name], loss)}

    def compare_statistics(self) -> None:
        """Compare the running statistics of BatchNorm layers with their last batch, where a step has one."""
        if self.steps >= _SETTLED:
            self.gaps = [gap for norm in self.normalised if (gap := self._gap(norm)) is not None]
        self.normalised.clear()

    def _gap(self, norm: nn.Module) -> Finding | None:
        """Judge a layer that was run once, or at several places of a pass of the whole model, by where it fits least.

        Other passes are those of other data, as a discriminator's.
        """
        passes, inputs = {number for number, _ in self.normalised[norm]}, [one for _, one in self.normalised[norm]]
        if (len(inputs) > 1 and (len(passes) > 1 or 0 in passes)) or not all(map(_large, inputs)):
            return None
        stayed = self._has_stayed(norm)
        if not (stayed or self._has_settled(norm)):
            return None
        gaps = [check_statistics_gap(norm, one, threshold=_EARLY_GAP if stayed else _GAP) for one in inputs]
        return max(gaps, key=lambda gap: max(gap.numbers.values()))

    def _has_stayed(self, norm: nn.Module) -> bool:
        """Tell whether after two epochs most of a layer's statistics is still what they started from.

        A momentum of 0.01 is common in long runs, of which a short one may be an excerpt.
        """
        slow = (getattr(norm, "momentum", None) or 1.0) < _SLOW
        return slow and len(self.epochs) >= 2 and initial_weight(norm) > _STAYED

    def _has_settled(self, norm: nn.Module) -> bool:
        """Tell whether a layer's statistics should be those of the data, which must not take hundreds of steps."""
        momentum = getattr(norm, "momentum", None) or 1.0
        return bool(momentum < _SLOW or self.steps * momentum >= 3)

    def loss_values(self) -> list[float]:
        """Return the losses of all backward passes."""
        if not self.losses:
            return []
        device: Any = self.losses[-1].device
        values: list[float] = torch.stack([loss.sum().double().to(device) for loss in self.losses]).tolist()
        return values


def _large(inputs: Tensor) -> bool:
    """Tell whether a batch's variance means something: at least 16 entries a channel."""
    return inputs.numel() // inputs.shape[1] >= 16
