"""Where gradients are clipped: after they came in and were unscaled, before the step that is taken with them."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._hearing import Hearing, Place

_SMALL = 1e-3  # of the scale of mixed precision: who clips scaled gradients on purpose multiplies the limit by it


@dataclass(frozen=True, kw_only=True)
class ClippingCalls:
    """What a watch wants to hear of: parameters that are clipped to a limit, and gradients that are unscaled."""

    clipped: Callable[[list[Tensor], float], None]
    unscaled: Callable[[Any, Any], None]  # takes an optimizer and the scaler


@dataclass(kw_only=True, eq=False)
class Clips:
    """The clippings of sampled steps, and how they lie to backward pass, unscaling and step."""

    since_step: list[tuple[float, bool, bool]] = field(default_factory=list)  # limit; gradient there; unscaled
    unscaled: bool = False  # since the last step
    steps: list[tuple[bool, float, float]] = field(default_factory=list)  # clipped in place; limit elsewhere; norm
    scaled: list[tuple[float, float]] = field(default_factory=list)  # limit and scale of clippings before unscaling

    def note(self, limit: float, *, came_in: bool) -> None:
        """Note a clipping, and whether a gradient has come in since the last step."""
        self.since_step.append((limit, came_in, self.unscaled))

    def note_unscaling(self, scale: float) -> None:
        """Note that gradients are about to be divided by a scale."""
        self.scaled += [(limit, scale) for limit, came_in, done in self.since_step if came_in and not done]
        self.since_step = [(limit, came_in, True) for limit, came_in, _ in self.since_step]
        self.unscaled = True

    def end_step(self, norm: float, *, came_in: bool) -> None:
        """Note a step, the norm of its gradients, and whether these were heard to come in."""
        limits = [limit for limit, there, _ in self.since_step if not there and math.isfinite(limit)]
        if came_in and self.since_step:
            in_place = any(there for _, there, _ in self.since_step)
            self.steps.append((in_place, min(limits, default=math.inf), norm))
        self.since_step, self.unscaled = [], False


def check_misplaced_clipping(steps: Sequence[tuple[bool, float, float]], fewest: int = 3) -> Finding:
    """Find out whether gradients are clipped only where none has come in since the last step.

    `steps` say whether a gradient was clipped in time, the limit of clippings that were not, and the norm of the
    gradient that the step was taken with. A limit that no step goes beyond is meant for a log.
    """
    beyond = sum(norm > limit for _, limit, norm in steps)
    in_place = sum(before for before, _, _ in steps)
    return Finding(
        name="misplaced_clipping",
        trouble=in_place == 0 and beyond >= fewest,
        numbers={"steps": float(len(steps)), "clipped_in_time": float(in_place), "beyond_limit": float(beyond)},
        threshold=0.0,
        relation="gradients must be clipped between the backward pass and the step",
        advice="zero_grad, backward, clip, step, in this order",
    )


def check_clipped_before_unscaling(clips: Sequence[tuple[float, float]], fewest: int = 3) -> Finding:
    """Find out whether gradients are clipped while mixed precision still multiplies them; `clips` are (limit, scale).

    A limit that was multiplied by the scale as well is no small share of it.
    """
    small = [(limit, scale) for limit, scale in clips if limit < _SMALL * scale]
    limit, scale = small[-1] if small else (0.0, 1.0)
    return Finding(
        name="clipped_before_unscaling",
        trouble=len(small) >= fewest,
        numbers={"clippings": float(len(small)), "limit": limit, "scale": scale},
        threshold=_SMALL,
        relation=f"gradients times {scale:g} must not be clipped to {limit:g}, which leaves {limit / scale:.1g}",
        advice="call scaler.unscale_(optimizer) after the backward pass, and clip then",
    )


def _heard_clipping(clip: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(clip)
    def clipped(parameters: Any, *arguments: Any, **keywords: Any) -> Any:
        own = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        again = (parameter for parameter in own) if isinstance(parameters, types.GeneratorType) else own
        limit = float(arguments[0] if arguments else keywords.get("max_norm", keywords.get("clip_value", math.inf)))
        for calls in tuple(CLIPPINGS.listeners):
            calls.clipped(own, limit)
        return clip(again, *arguments, **keywords)  # torch warns of an empty generator

    return clipped


def _heard_unscaling(unscale: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(unscale)
    def unscaled(self: Any, optimizer: Any) -> None:
        if self.is_enabled():
            for calls in tuple(CLIPPINGS.listeners):
                calls.unscaled(optimizer, self)
        unscale(self, optimizer)

    return unscaled


def _places() -> Iterator[Place]:
    """Yield where torch's functions keep those that they run without gradients: heard wherever they were imported."""
    for function in (torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_):
        cells = function.__closure__ or ()
        yield from ((cell, "cell_contents", _heard_clipping) for cell in cells if callable(cell.cell_contents))
    yield torch.amp.GradScaler, "unscale_", _heard_unscaling


CLIPPINGS = Hearing[ClippingCalls](*_places())
