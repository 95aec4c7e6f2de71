"""Teacher forcing: whether it is drawn step by step, and whether a step is fed what it is to write."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from goldmark.case import Finding

_DEVIATIONS = 5  # standard errors: right forcing is called wrong less than once in a million times


def check_forcing_not_per_step(forced: Tensor) -> Finding:
    """Find out whether the steps of a sequence are forced together, or the same ones in every sequence.

    `forced` (N, T) says which steps of N sequences, drawn with one probability p, were fed a target. Where every step
    is drawn for itself (Bengio et al., "Scheduled sampling", NeurIPS 2015, section 2.4), the count of forced steps is
    binomial, so that the share of a sequence has sd sqrt(p (1 - p) / T): `spread` is the sd seen over that one. It is
    sqrt(T) where one draw decides for all steps and 0 where the steps are always the same ones. No score tells.
    Raises `ValueError` where nothing or everything is forced, and for fewer than 30 sequences or 2 steps.
    """
    n, length = forced.shape
    shares = forced.double().mean(dim=1)
    p = float(shares.mean())
    if n < 30 or length < 2 or not 0 < p < 1:
        raise ValueError(
            f"{n} sequences of {length} steps, a share of {p:g} forced: one draw a step shows in 30 or more sequences "
            "of 2 or more steps, some of them forced and some not; take a share near .5"
        )
    spread = float(shares.std()) / (p * (1 - p) / length) ** 0.5
    # kurtosis of a binomial share: 3 + (1 - 6 p (1 - p)) / (T p (1 - p)); var of a sample variance (k - 1) / n
    kurtosis = 3 + (1 - 6 * p * (1 - p)) / (length * p * (1 - p))
    allowed = _DEVIATIONS * ((kurtosis - 1) / n) ** 0.5 / 2
    mixed = float(((shares > 0) & (shares < 1)).double().mean())
    return Finding(
        name="forcing_not_per_step",
        trouble=not abs(spread - 1) <= allowed,
        numbers={"share_mixed": mixed, "sd_of_share": float(shares.std()), "spread": spread, "share_forced": p},
        threshold=allowed,
        advice="teacher forcing is not drawn once a step: draw for every step, anew for every sequence or batch",
    )


def check_target_leak(decode: Callable[[Tensor], Tensor], targets: Tensor, threshold: float = 1e-6) -> Finding:
    """Find out whether a forced decoder is fed the target that it is to write, or a later one.

    `decode` returns outputs (B, T, ...) for targets (B, T, ...) with every step forced and all else, the code above
    all, held as it is. Changing target t may change outputs after t alone; `leak` is the largest change of an output
    at or before t, over the largest change of any. Raises `ValueError` where no output depends on the targets.
    """
    before = decode(targets)
    leak, reach = 0.0, 0.0
    for t in range(targets.shape[1]):
        other = targets.clone()
        other[:, t] = targets[:, t].flip(0) + targets.std() + 1  # another target, whatever it was
        change = (decode(other) - before).abs().flatten(2).amax(dim=(0, 2))
        reach = max(reach, float(change.max()))
        leak = max(leak, float(torch.nan_to_num(change[: t + 1], nan=torch.inf).max()))
    if reach == 0 and leak == 0:
        raise ValueError("no output depends on the targets: nothing is forced, and nothing can be said of a leak")
    share = leak / reach if reach > 0 else torch.inf
    return Finding(
        name="target_leak",
        trouble=not share <= threshold,
        numbers={"leak": share},
        threshold=threshold,
        advice="a forced step is fed the target that it is to write: feed target t - 1 at step t, a start token first",
    )
