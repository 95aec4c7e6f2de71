"""The noise of a variational autoencoder, whose scale is a standard deviation where its divergence reads a variance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._adding import added, base_of_square, factor_of, origin
from goldmark.checks._graph import Edge, Node, kind, nodes, shape_of

_ROUNDING = 1e-4  # of a factor


def check_deviation_of_noise(loss: Tensor) -> Finding:
    """Find out whether noise is scaled by the exponential of what a divergence takes for the logarithm of a variance.

    The loss adds up M^2 + exp(L) - L, which is a divergence from N(0, 1) of the mean M and the variance exp(L), and
    reads M + noise * exp(L), which has the deviation exp(L) (Kingma and Welling, "Auto-encoding variational Bayes",
    2014, appendix B). The graph holds constants until its backward pass, and nothing is said after it.
    """
    codes = 0
    with suppress(RuntimeError):
        known = set(_codes(loss.grad_fn))
        codes = len(known & set(_noised(loss.grad_fn))) if known else 0
    return Finding(
        name="deviation_of_noise",
        trouble=codes > 0,
        numbers={"codes": float(codes)},
        threshold=0.0,
        relation="noise must be scaled by a standard deviation, here it is by what the divergence takes for a variance",
        advice="scale the noise by (log_variance / 2).exp()",
    )


def _codes(root: Node | None) -> Iterator[tuple[Edge, Edge]]:
    """Yield the mean and the logarithm of the variance of each code whose divergence from N(0, 1) is added up."""
    factors: dict[Edge, float] = defaultdict(float)
    for edge, factor in added(root):
        factors[edge] += factor
    squares = [
        (origin(mean), factor) for (node, _), factor in factors.items() if (mean := base_of_square(node)) is not None
    ]
    for (node, _), factor in factors.items():
        if kind(node) != "Exp" or factor <= 0:
            continue
        logarithm = node.next_functions[0]
        if not _is_near(-factors.get(logarithm, 0.0), factor):
            continue
        yield from ((mean, origin(logarithm)) for mean, own in squares if _is_near(own, factor))


def _noised(root: Node | None) -> Iterator[tuple[Edge, Edge]]:
    """Yield the mean and what is raised to an exponential of all sums M + noise * exp(L)."""
    for node in nodes(root):
        below = [one for one in node.next_functions if one[0] is not None]
        if kind(node) == "Addcmul" and len(below) == 2:
            noise = next((one for one in (node._saved_tensor1, node._saved_tensor2) if _is_noise(one)), None)  # noqa: SLF001
            yield from _raised(below[0], below[1], noise)
        elif kind(node) == "Add" and len(below) == 2:
            for mean, (scaled, _) in permutations(below):
                if kind(scaled) == "Mul":
                    exponential = next(one for one in scaled.next_functions if one[0] is not None)
                    yield from _raised(mean, exponential, factor_of(scaled))


def _raised(mean: Edge, exponential: Edge, noise: Tensor | None) -> Iterator[tuple[Edge, Edge]]:
    node, _ = origin(exponential)
    if _is_noise(noise) and kind(node) == "Exp" and shape_of(*mean) is not None:
        yield origin(mean), origin(node.next_functions[0])


def _is_noise(constant: Tensor | None) -> bool:
    return constant is not None and constant.numel() > 1 and bool((constant < 0).any() & (constant > 0).any())


def _is_near(one: float, other: float) -> bool:
    return abs(one - other) <= _ROUNDING * abs(other)
