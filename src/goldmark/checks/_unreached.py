"""Terms of a loss that are read while it is computed: those that no output reaches, and what some losses are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from goldmark.case import Finding
from goldmark.checks._structures import tensors_of

_DISTANCES = frozenset(("kl_div", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"))  # 0 for equal arguments alone
_COMPARING = _DISTANCES | {"cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}
_ADDING = frozenset(("add", "add_", "__add__", "__radd__", "__iadd__", "stack"))
_ARGUMENTS = ("input", "target", "size_average", "reduce", "reduction", "log_target")  # of kl_div
_SIGNED = {"cosine_embedding_loss": 2, "hinge_embedding_loss": 1, "soft_margin_loss": 1, "margin_ranking_loss": 2}
_ROUNDING = 1e-6  # of a divergence from itself in float32


@dataclass(kw_only=True, eq=False)
class Unreached:
    """What loss functions have given without a gradient, and which of it was added to something that has one."""

    held: list[tuple[Tensor, str]] = field(default_factory=list)  # those tensors, and the functions behind them
    added: list[str] = field(default_factory=list)
    divergences: list[tuple[Tensor, Tensor, bool]] = field(default_factory=list)  # input, target, log_target
    signed: list[tuple[str, Tensor]] = field(default_factory=list)  # losses that want -1 and 1, and their targets


class UnreachedTerms(TorchFunctionMode):
    """Notes terms without a gradient while a loss is computed; of the tensors in `kept`, a term may be constant.

    With `zero`, only distances of 0 are noted, as is that of something from itself.
    """

    def __init__(self, kept: Collection[int], *, zero: bool) -> None:
        super().__init__()
        self.kept, self.zero, self.terms = kept, zero, Unreached()

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        if name == "kl_div":
            self._note_divergence(args, kwargs or {})
        if name in _SIGNED:
            target = (kwargs or {})["target"] if "target" in (kwargs or {}) else args[_SIGNED[name]]
            self.terms.signed.append((name, target.detach()))
        if torch.is_grad_enabled() and isinstance(given, Tensor):
            self._note(name, [*tensors_of((args, kwargs or {}))], given)
        return given

    def _note_divergence(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        given = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
        tensors = given["input"].detach(), given["target"].detach()
        self.terms.divergences.append((*tensors, bool(given.get("log_target", False))))

    def _note(self, name: str, arguments: list[Tensor], given: Tensor) -> None:
        held = {id(tensor): term for tensor, term in self.terms.held}
        behind = [held[id(one)] for one in arguments if id(one) in held]
        if given.requires_grad:
            self.terms.added += behind if name in _ADDING else []
        elif behind:
            self.terms.held.append((given, behind[0]))
        elif not any(one.untyped_storage().data_ptr() in self.kept for one in arguments):
            fits = name in _DISTANCES and float(given.abs().max()) < _ROUNDING if self.zero else name in _COMPARING
            self.terms.held += [(given, name)] if fits else []


def check_unreached_term(added: Collection[str]) -> Finding:
    """Find out whether a loss adds what a loss function gave without any output; `added` are their names.

    As where a distillation compares the teacher with itself, or outputs are detached on the way.
    """
    names = ", ".join(dict.fromkeys(added))
    return Finding(
        name="unreached_term",
        trouble=bool(added),
        numbers={"terms": float(len(added))},
        threshold=0.0,
        relation=f"every term of a loss must depend on outputs: {names} does not" if names else "",
        advice="give it the outputs themselves: those of the student beside the teacher's, and not detached",
    )


def check_divergence_arguments(divergences: Sequence[tuple[Tensor, Tensor, bool]]) -> Finding:
    """Find out whether a Kullback-Leibler divergence is given probabilities as logarithms, or logarithms as such.

    `divergences` are what torch's `kl_div` got: input, target, and whether the target is said to be logarithms.
    Numbers that sum up to 1, none below 0, are no logarithms of probabilities; numbers below 0 are no probabilities.
    """
    wrong: list[str] = []
    for given, target, of_logarithms in divergences:
        wrong += ["the input is probabilities, no logarithms"] if _are_probabilities(given) else []
        if of_logarithms:
            wrong += ["the target is probabilities, no logarithms"] if _are_probabilities(target) else []
        else:
            wrong += ["the target is below 0: no probabilities"] if bool((target < -1e-6).any()) else []
    return Finding(
        name="divergence_arguments",
        trouble=bool(wrong),
        numbers={"arguments": float(len(wrong)), "divergences": float(len(divergences))},
        threshold=0.0,
        relation="; ".join(dict.fromkeys(wrong)),
        advice="kl_div(student.log_softmax(1), teacher.softmax(1)), or both as log_softmax with log_target=True",
    )


def check_sign_targets(signed: Sequence[tuple[str, Tensor]]) -> Finding:
    """Find out whether a loss that tells two kinds of examples by targets of -1 and 1 is given 0 and 1.

    `signed` are the names of torch's functions of that kind, and the targets that they got. Zeros among targets of -1
    may leave examples out, and so may zeros alone.
    """
    wrong = [name for name, targets in signed if [0, 1] == torch.unique(targets.double()).tolist()]
    names = ", ".join(dict.fromkeys(wrong))
    return Finding(
        name="sign_targets",
        trouble=bool(wrong),
        numbers={"given_0_and_1": float(len(wrong)), "losses": float(len(signed))},
        threshold=0.0,
        relation=f"targets must be -1 and 1, not 0 and 1: {names}",
        advice="give it 2 * targets - 1",
    )


def _are_probabilities(values: Tensor) -> bool:
    """Tell whether numbers sum up to 1 over the second dimension or the last, none below 0."""
    if values.dim() == 0 or values.numel() == 0 or bool((values < 0).any()):
        return False
    sums = [values.double().sum(dim=dim) for dim in {values.dim() - 1, min(1, values.dim() - 1)}]
    return any(bool(((one - 1).abs() < 1e-3).all()) for one in sums)
