"""Steps: gradients between backward pass and step, the length of updates, accumulation and schedules."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import matching_loss
from goldmark.checks._schedulers import rises_for
from goldmark.checks._structures import stored

_DECAYS = ("StepLR", "MultiStepLR", "ExponentialLR", "MultiplicativeLR")
_ENDS = ("CosineAnnealingLR", "PolynomialLR")
_LONG_EPOCHS, _LONG_STEPS = 200, 20_000  # of warm-ups; published ones take up to 40 epochs (MAE), 10,000 steps (BERT)


def check_stale_gradients(incoming: Sequence[Tensor], gradient: Tensor, threshold: float = 1e-3) -> Finding:
    """Find out whether a parameter's `.grad` holds more than the backward passes since the last step gave it.

    `incoming` are those passes' gradients, oldest first. A healthy `.grad` is the sum of the last few, perhaps scaled
    down or clipped since; what is left over is older than the last step. Norms cannot tell, as
    gradients cancel.
    """
    gradient = stored(gradient)
    totals, total = [], torch.zeros_like(gradient)
    for one in reversed(incoming):
        total = total + stored(one)
        totals.append(total)
    left_over = min((_left_over(gradient, total) for total in totals), default=0.0)
    threshold = max(threshold, 8 * torch.finfo(gradient.dtype).eps)  # sums of bfloat16 round to 1 part in 128
    return Finding(
        name="stale_gradients",
        trouble=left_over > threshold,
        numbers={"left_over": left_over, "backward_passes": float(len(incoming))},
        threshold=threshold,
        relation="gradients must be zero before the first backward pass of a step",
        advice="call optimizer.zero_grad() once a step, before the first backward pass",
    )


def _left_over(gradient: Tensor, total: Tensor) -> float:
    """Return the share of a gradient that is no scaled-down (factor c in (0, 1]) or clipped copy of `total`."""
    size = float(gradient.norm())
    if size == 0 or float(total.norm()) == 0:
        return 0.0 if size == 0 else 1.0
    factor = min(max(float((gradient * total).sum() / total.square().sum()), 0.0), 1.0)
    scaled = float((gradient - factor * total).norm()) / size
    limit = float(gradient.abs().max())
    clipped = float((gradient - total.clamp(-limit, limit)).norm()) / size
    return min(scaled, clipped)


def check_lost_micro_batches(incoming: Sequence[Tensor], gradient: Tensor, threshold: float = 1e-3) -> Finding:
    """Find out whether a parameter's `.grad` holds only the last of the accumulated micro-batches, not their sum.

    `incoming` are the gradients of all micro-batches of a step, oldest first; scaling and clipping leave directions.
    """
    threshold = max(threshold, 8 * torch.finfo(gradient.dtype).eps)
    totals = list(itertools.accumulate(reversed(incoming)))
    apart = [_left_over(gradient, total) for total in totals]
    fewer = min(apart[:-1], default=1.0)
    return Finding(
        name="lost_micro_batches",
        trouble=fewer <= threshold and apart[-1] > 10 * threshold,
        numbers={"left_over_of_all": apart[-1], "left_over_of_the_last": fewer},
        threshold=threshold,
        relation="a step must be taken with the gradients of all accumulated micro-batches",
        advice="call optimizer.zero_grad() once a step, not before every backward pass",
    )


def check_zeroed_gradients(n_zeroed: int, n_steps: int) -> Finding:
    """Find out whether steps find gradients missing or zero that a backward pass had given since the last step."""
    return Finding(
        name="zeroed_gradients",
        trouble=n_steps >= 2 and n_zeroed == n_steps,
        numbers={"zeroed": float(n_zeroed), "steps": float(n_steps)},
        threshold=0.0,
        relation="gradients must live from the backward pass to the step",
        advice="call optimizer.zero_grad() before backward or after step, never between",
    )


def check_repeated_steps(n_repeated: int, n_steps: int) -> Finding:
    """Find out whether steps are taken with the very gradients of the step before, as no backward pass came between."""
    return Finding(
        name="repeated_steps",
        trouble=n_repeated >= 2 and 4 * n_repeated >= n_steps,
        numbers={"repeated": float(n_repeated), "steps": float(n_steps)},
        threshold=n_steps / 4,
        relation="a step must follow a backward pass of its own",
        advice="look for a second optimizer.step(), in a callback or at the end of an accumulation",
    )


def check_nothing_moves(n_moved: int, n_parameters: int, n_backward: int, fewest: int = 5) -> Finding:
    """Find out whether no parameter has changed by a bit after several backward passes."""
    return Finding(
        name="nothing_moves",
        trouble=n_backward >= fewest and n_parameters > 0 and n_moved == 0,
        numbers={"moved": float(n_moved), "parameters": float(n_parameters), "backward_passes": float(n_backward)},
        threshold=0.0,
        relation="training must change weights",
        advice="look for a step that is never taken, a learning rate of 0, and an optimizer of other parameters",
    )


def check_rate_of_zero(
    sampled: Sequence[tuple[int, float]], n_steps: int, fewest: int = 2, share: float = 0.2
) -> Finding:
    """Find out whether the rate fell to 0 and stayed there, for a `share` of all steps.

    `sampled` are some of `n_steps`, each by the number of steps before it and its rate; of those at 0 there must be
    `fewest`. A schedule may end at 0, as in its last epoch. A rate that is 0 from the start moves nothing at all.
    """
    last = max((place for place, (_, rate) in enumerate(sampled) if rate > 0), default=len(sampled))
    zero = [steps for steps, _ in sampled[last + 1 :]]
    n_zero = n_steps - min(zero, default=n_steps)
    return Finding(
        name="rate_of_zero",
        trouble=len(zero) >= fewest and n_zero >= share * n_steps,
        numbers={"steps_at_zero": float(n_zero), "steps": float(n_steps)},
        threshold=share * n_steps,
        relation="steps that are taken must move weights",
        advice="look at the schedule: a gamma of 0, an end that comes too early, a rate in steps that counts epochs",
    )


def check_stuck_parameters(stuck: Sequence[str], n_steps: int, fewest: int = 5) -> Finding:
    """Find out whether parameters that get a gradient, and are owned, have not changed by a bit, while others have."""
    return Finding(
        name="stuck_parameters",
        trouble=n_steps >= fewest and bool(stuck),
        numbers={"parameters": float(len(stuck)), "steps": float(n_steps)},
        threshold=0.0,
        relation=f"what gets a gradient must move: {', '.join(stuck[:5])}",
        advice="step every optimizer, and look at learning rates too small for the precision of the weights",
    )


def check_learning_rate(
    ratios: Sequence[float], losses: Sequence[float], highest: float = 0.3, lowest: float = 1e-5
) -> Finding:
    """Find out whether updates are out of proportion to weights, and the loss suffers.

    `ratios` are the lengths of updates over those of weights, the median over matrices, in sampled steps; about 1e-3
    is usual (Karpathy, "The spelled-out intro to language modeling, part 4", 2022). Too long: the median of at least
    three exceeds `highest` and the loss of the last quarter is no lower than the first. Too short: all are below
    `lowest` and the loss has changed by less than 1 %.
    """
    usual = float(torch.tensor(ratios).median()) if ratios else 0.0
    quarter = max(1, len(losses) // 4)
    first = sum(losses[:quarter]) / quarter if losses else 0.0
    last = sum(losses[-quarter:]) / quarter if losses else 0.0
    long = len(ratios) >= 3 and usual > highest and not last < first
    change = abs(last - first) / (abs(first) + 1e-12)
    short = len(losses) >= 40 and len(ratios) >= 3 and max(ratios) < lowest and change < 0.01
    return Finding(
        name="learning_rate",
        trouble=long or short,
        numbers={"update_to_weight": usual, "first_loss": first, "last_loss": last},
        threshold=highest if long or not short else lowest,
        relation="an update must be a small part of the weights, and no rounding error of them",
        advice=f"{'lower' if not short else 'raise'} the learning rate until updates are about 1e-3 of the weights",
    )


def check_diverging_steps(losses: Sequence[float], threshold: float = 10.0) -> Finding:
    """Find out whether a few steps on one batch multiply its loss by more than `threshold`, or make it infinite."""
    growth = losses[-1] / (abs(losses[0]) + 0.1)  # a loss that starts near 0 may grow from it
    return Finding(
        name="diverging_steps",
        trouble=not growth <= threshold,
        numbers={"first_loss": losses[0], "last_loss": losses[-1]},
        threshold=threshold,
        relation="a few steps on one batch must not blow its loss up",
        advice="lower the learning rate, scale inputs and targets, and clip gradients",
    )


def check_exploding_gradient(norms: Sequence[float], losses: Sequence[float], *, clipped: bool) -> Finding:
    """Find out whether gradients or losses stop being finite, or a norm grows 1000-fold and the loss with it."""
    finite = torch.tensor([*norms, *losses], dtype=torch.float64).isfinite()
    half = len(norms) // 2
    early = float(torch.tensor(norms[:half]).median()) if half else 0.0
    peak = max(norms[half:], default=0.0)
    grew = half >= 2 and early > 0 and peak > 1000 * early and losses[-1] > 10 * abs(losses[0])
    return Finding(
        name="exploding_gradient",
        trouble=not bool(finite.all()) or (grew and not clipped),
        numbers={"usual_norm": early, "highest_norm": peak, "clipped": float(clipped)},
        threshold=1000.0,
        relation="gradients and losses must stay finite, and of one order",
        advice="clip gradient norms (clip_grad_norm_) between backward and step, and lower the learning rate",
    )


def check_accumulation_undivided(pairs: Sequence[tuple[float, Mapping[str, float]]], accumulate: int) -> Finding:
    """Find out whether losses of accumulated micro-batches are not divided by their number.

    `pairs` are the loss that was back-propagated and the known losses of the same outputs and targets.
    """
    whole = sum(matching_loss(value, known) is not None for value, known in pairs)
    divided = sum(matching_loss(value, known, 1 / accumulate) is not None for value, known in pairs)
    return Finding(
        name="accumulation_undivided",
        trouble=accumulate > 1 and whole >= 2 and divided == 0,
        numbers={"undivided": float(whole), "divided": float(divided), "accumulate": float(accumulate)},
        threshold=0.0,
        relation="the gradients of accumulated micro-batches must average, not add up",
        advice=f"divide each loss by {accumulate} before backward, or all gradients before the step",
    )


def check_accumulation_count(counts: Sequence[int], accumulate: int) -> Finding:
    """Find out whether most steps follow another number of backward passes than is declared."""
    wrong = sum(count != accumulate for count in counts)
    return Finding(
        name="accumulation_count",
        trouble=accumulate > 1 and len(counts) >= 3 and wrong > len(counts) / 2,
        numbers={"steps": float(len(counts)), "with_another_count": float(wrong), "declared": float(accumulate)},
        threshold=len(counts) / 2,
        relation="a step must follow as many backward passes as are accumulated",
        advice="step and zero gradients once every so many micro-batches",
    )


def check_unequal_micro_batches(windows: Sequence[Sequence[int]], threshold: float = 1.2) -> Finding:
    """Find out whether means over unequally many examples or tokens are averaged as equals, in most steps.

    `windows` hold how many targets count in each micro-batch of a step, where each loss is their mean. Source: the
    gradient-accumulation bug of 2024 (Unsloth, "Bug fixes in LLM training: gradient accumulation").
    """
    uneven = [window for window in windows if len(window) > 1 and max(window) > threshold * max(min(window), 1)]
    return Finding(
        name="unequal_micro_batches",
        trouble=len(uneven) >= 2 and len(uneven) > len(windows) / 2,
        numbers={"steps_uneven": float(len(uneven)), "steps": float(len(windows))},
        threshold=threshold,
        relation="every target must count the same in a step",
        advice="sum the losses of all micro-batches and divide by the number of all their targets",
    )


def check_schedule_pace(scheduler: Any, n_steps: int, epochs: Sequence[int]) -> Finding:
    """Find out whether a schedule in epochs is stepped every batch, or one in batches every epoch.

    `epochs` are the steps taken at the end of each epoch. A cosine or polynomial schedule must not run past its end
    (it would rise again); a decay in steps must not fall below 1e-4 of its start within a few epochs; a one-cycle
    schedule of as many steps as were taken must not have moved once an epoch, nor must one rise for hundreds of epochs
    more, which takes a warm-up in batches for one in epochs; none must stand still for three.
    """
    kind, done = type(scheduler).__name__, int(getattr(scheduler, "last_epoch", 0))
    every_batch = n_steps >= 8 and abs(done - n_steps) <= 1 + n_steps // 50 and len(epochs) != done
    end = getattr(scheduler, "T_max", getattr(scheduler, "total_iters", None))
    past = kind in _ENDS and every_batch and end is not None and done > end + 1
    base = [rate for rate in getattr(scheduler, "base_lrs", []) if rate]
    now = [group["lr"] for group in scheduler.optimizer.param_groups]
    fell = min((rate / start for rate, start in zip(now, base, strict=False)), default=1.0)
    fast = kind in _DECAYS and every_batch and fell < 1e-4 and len(epochs) < 20
    total = getattr(scheduler, "total_steps", None)
    every_epoch = len(epochs) >= 2 and abs(done - len(epochs)) <= 1 and n_steps >= 4 * len(epochs)
    slow = total is not None and every_epoch and total >= n_steps * 0.5
    slow = slow or (every_epoch and rises_for(scheduler, max(_LONG_EPOCHS, _LONG_STEPS * len(epochs) // n_steps)))
    idle = done == 0 and len(epochs) >= 3 and kind != "SWALR"  # which waits for the last epochs
    return Finding(
        name="schedule_pace",
        trouble=past or fast or slow or idle,
        numbers={"scheduler_steps": float(done), "optimizer_steps": float(n_steps), "rate_over_start": fell},
        threshold=float(end or total or 0),
        relation=f"{kind} must be stepped in the unit that it counts in",
        advice="step it once an epoch where it counts epochs, and after every batch where it counts batches",
    )


def check_schedule_restarted(
    scheduler_steps: int, optimizer_steps: int, fewest: int = 10, *, continued: bool = False
) -> Finding:
    """Find out whether a schedule starts anew under an optimizer that has already taken steps.

    Pass the counts as they are when training goes on; `continued` says that the optimizer was given a state that an
    earlier schedule has steered, after this schedule was made. Not every optimizer counts its steps.
    """
    return Finding(
        name="schedule_restarted",
        trouble=(optimizer_steps >= fewest or continued) and scheduler_steps <= 1,
        numbers={"scheduler_steps": float(scheduler_steps), "optimizer_steps": float(optimizer_steps)},
        threshold=float(fewest),
        relation="a resumed run must go on in its schedule",
        advice="save and load scheduler.state_dict() with that of the optimizer",
    )
