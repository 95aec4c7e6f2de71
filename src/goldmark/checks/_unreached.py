"""Terms of a loss that no output reaches: read while the loss is computed, as its graph does not hold them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
_ROUNDING = 1e-6  # of a divergence from itself in float32


@dataclass(kw_only=True, eq=False)
class Unreached:
    """What loss functions have given without a gradient, and which of it was added to something that has one."""

    held: list[tuple[Tensor, str]] = field(default_factory=list)  # those tensors, and the functions behind them
    added: list[str] = field(default_factory=list)


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
        if torch.is_grad_enabled() and isinstance(given, Tensor):
            self._note(getattr(function, "__name__", ""), [*tensors_of((args, kwargs or {}))], given)
        return given

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
