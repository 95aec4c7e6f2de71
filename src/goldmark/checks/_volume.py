"""Flows, which tell by how much they stretch what they map: whether the loss adds that with the right sign."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._ownership import climbs
from goldmark.checks._preflight import Look
from goldmark.checks._structures import call, map_tensors, rows, size_of, tensors_of

_MOST_NUMBERS = 64  # of an example, whose derivatives are taken by one another
_EXAMPLES = 3
_NEAR_0 = 0.005  # log-determinants: below it single precision cannot tell one from its negative


def check_log_determinant_sign(told: Tensor, true: Tensor, slopes: Tensor, threshold: float = 1e-3) -> Finding:
    """Find out whether a loss falls where a flow squeezes its inputs, and not where it stretches them.

    `true` (N,) are the log-determinants of the outputs' derivatives by the inputs, `told` (N,) what the model says they
    are, of its map or of the inverse, and `slopes` (M,) the derivatives of the loss by `told`. By the change of
    variables log p(x) = log p(z) + log|det dz/dx| the loss must fall as `true` rises; so it must where a flow of noise
    is fitted to a density (Rezende and Mohamed, "Variational inference with normalizing flows", 2015).
    What is neither `true` nor its negative, up to a share `threshold`, is something else and passes.
    """
    size = true.abs()
    deviations = {sign: float(((told - sign * true).abs() / size).max()) for sign in (1.0, -1.0)}
    agrees = min(deviations, key=lambda sign: deviations[sign])
    known = deviations[agrees] <= threshold and float(size.min()) > _NEAR_0
    return Finding(
        name="log_determinant_sign",
        trouble=known and bool((agrees * slopes > 0).all()),
        numbers={"deviation": deviations[agrees], "agrees": agrees, "slope": float(slopes.mean())},
        threshold=threshold,
        relation="the loss of a flow must fall as the log-determinant of its map rises",
        advice="log p(x) = log p(z) + log|det dz/dx|: turn the sign of the latter, in the model or in the loss",
    )


def log_determinant(look: Look) -> Iterator[Finding]:
    """Judge a number an example that a loss adds up, beside outputs of as many numbers as an input.

    Comes before and after the first steps: couplings may start as the identity, whose log-determinant is 0.
    """
    n, outputs, inputs = size_of(look.first.inputs), *map(_listed, (look.first.output, look.first.inputs))
    if n == 0 or climbs(look.optimizers, look.names):
        return
    for place in (place for place, one in enumerate(outputs) if one.numel() == n and one.requires_grad):
        fits = [
            (made, given)
            for made, output in enumerate(outputs)
            for given, one in enumerate(inputs)
            if made != place and one.is_floating_point() and output.numel() == one.numel() <= _MOST_NUMBERS * n
        ]
        slopes = _slopes(look, place) if fits else None
        if slopes is not None:
            for made, given in fits:
                yield check_log_determinant_sign(*_log_determinants(look, place, made, given), slopes)


def _listed(structure: object) -> list[Tensor]:
    return list(tensors_of(structure))


def _slopes(look: Look, place: int) -> Tensor | None:
    """Return the derivatives of a loss by the output at a place; None where they depend on it, or differ in sign."""
    here, further = _slopes_at(look, place, 0.0), _slopes_at(look, place, 1.0)
    if here is None or further is None or not bool((here * here.flatten()[0] > 0).all()):
        return None
    return here if torch.allclose(here, further, rtol=1e-3, atol=0.0) else None


def _slopes_at(look: Look, place: int, moved: float) -> Tensor | None:
    """Return the derivatives of a loss by the output at a place, to which a number was added; None: it has none."""
    outputs = [one.detach() for one in _listed(look.first.output)]
    outputs[place] = leaf = (outputs[place] + moved).requires_grad_()
    rest = iter(outputs)
    torch.default_generator.manual_seed(0)
    loss = look.loss_fn(map_tensors(lambda _: next(rest), look.first.output), look.first.targets).sum()
    return torch.autograd.grad(loss, leaf, allow_unused=True)[0] if loss.requires_grad else None


def _log_determinants(look: Look, place: int, made: int, given: int) -> tuple[Tensor, Tensor]:
    """Return what a model tells of a few examples at a place, and the log-determinants of an output by an input.

    Each example is repeated for every number of the output, whose derivatives are then had from one backward pass.
    """
    few = rows(look.first.inputs, slice(0, _EXAMPLES))
    k = size_of(few)
    d = _listed(few)[given].numel() // k
    again = map_tensors(lambda t: t.detach().repeat_interleave(d, dim=0) if t.dim() and len(t) == k else t, few)
    leaf = _listed(again)[given].requires_grad_()
    look.model.eval()
    outputs = _listed(call(look.model, again))
    look.model.train()
    numbers = outputs[made].reshape(k, d, d).diagonal(dim1=1, dim2=2)
    (derivatives,) = torch.autograd.grad(numbers.sum(), leaf)
    true = torch.linalg.slogdet(derivatives.reshape(k, d, d).double()).logabsdet
    return outputs[place].detach().reshape(k, d)[:, 0].double(), true
