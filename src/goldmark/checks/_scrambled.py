"""Views that take numbers of one dimension for those of another: the sizes are the right ones, in another order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from goldmark.case import Finding
from goldmark.checks._structures import tensors_of

Sizes = tuple[int, ...]

_VIEWS = frozenset(("view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze"))
_KEEPING = frozenset(("transpose", "permute", "contiguous", "clone", "to", "float", "half", "bfloat16", "mul", "div"))
_ACTIVATIONS = frozenset(("dropout", "relu", "gelu", "silu", "tanh", "layer_norm", "batch_norm"))
_CONVOLUTIONS = frozenset(f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3))
_RECURRENT = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu"))
_READ = {  # how many of the first arguments a function multiplies with weights, or with each other
    **dict.fromkeys((*_CONVOLUTIONS, *_RECURRENT, "linear"), 1),
    **dict.fromkeys(("matmul", "bmm", "einsum"), 2),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), 3),
}
_NAMED = ("input", "query", "key", "value")
_MOST_DIMENSIONS = 4


def check_scrambled_view(before: Sequence[int], after: Sequence[int]) -> Finding:
    """Find out whether a view of an example of one shape gives another order of its sizes, as only a permutation may.

    `(36, 5)` as `(5, 36)` is one, as are `(16, 48)` as `(4, 16, 12)`, whose heads come before time, and the way back.
    Where one size that moves is a multiple of the other, a view may put neighbours together, and is none.
    """
    moved = moved_sizes(before, after)
    return Finding(
        name="scrambled_view",
        trouble=bool(moved) and not _may_stack(moved),
        numbers={"sizes_moved": float(len(moved))},
        threshold=0.0,
        relation=f"an example of shape {tuple(before)} must not be viewed as {tuple(after)}: dimensions are scrambled",
        advice="x.permute(...) or x.transpose(1, 2), before the view where heads are split or joined",
    )


def moved_sizes(before: Sequence[int], after: Sequence[int]) -> Sizes:
    """Return the sizes that stand elsewhere after a view; none where it only splits or joins neighbours."""
    first, second = (tuple(size for size in sizes if size != 1) for sizes in (before, after))
    coarse, fine = sorted((first, second), key=len)
    heads = (len(coarse), len(fine)) == (2, 3)
    if not (heads or len(coarse) == len(fine) <= _MOST_DIMENSIONS) or _joins(fine, coarse):
        return ()
    if not any(_joins(order, coarse) for order in permutations(fine)):
        return ()
    return fine if heads else tuple(a for a, b in zip(first, second, strict=True) if a != b)


def _may_stack(moved: Sizes) -> bool:
    """Tell whether neighbours may have been put together, as (T, D) as (T / k, k D) where T is k D."""
    return len(moved) == 2 and max(moved) % min(moved) == 0


def _joins(fine: Sequence[int], coarse: Sequence[int]) -> bool:
    """Tell whether joining neighbours of some sizes gives others."""
    ends = {math.prod(fine[:k]) for k in range(len(fine) + 1)}
    return math.prod(fine) == math.prod(coarse) and all(math.prod(coarse[:k]) in ends for k in range(len(coarse)))


@dataclass(kw_only=True, eq=False)
class Views:
    """The views of a forward pass that layers, attention or the loss get scrambled."""

    n_examples: int
    scrambled: list[tuple[Sizes, Sizes]] = field(default_factory=list)  # shapes of an example, before and after
    _roots: dict[int, tuple[Tensor, Sizes]] = field(default_factory=dict)  # views, and the shape they were first of
    _marked: dict[int, tuple[Tensor, Sizes, Sizes]] = field(default_factory=dict)

    def note(self, name: str, args: Sequence[Any], keywords: Mapping[str, Any], output: Any) -> None:
        """Take note of a call of one of torch's functions."""
        source = args[0] if args else keywords.get("input")
        if name in _READ:
            first = 1 if name == "einsum" else 0
            given = [*args[first : first + _READ[name]], *(keywords.get(one) for one in _NAMED)]
            self.scrambled += [self._marked[id(one)][1:] for one in given if id(one) in self._marked]
        elif not isinstance(source, Tensor) or not isinstance(output, Tensor):
            return
        elif name in _VIEWS:
            self._note_view(source, output)
        elif (name in _KEEPING or name in _ACTIVATIONS) and id(source) in self._marked:
            self._marked[id(output)] = (output, *self._marked[id(source)][1:])

    def note_outputs(self, output: Any) -> None:
        """Take note of what a model gives."""
        self.scrambled += [self._marked[id(one)][1:] for one in tensors_of(output) if id(one) in self._marked]

    def _note_view(self, source: Tensor, output: Tensor) -> None:
        root = self._roots[id(source)][1] if id(source) in self._roots else tuple(source.shape)
        self._roots[id(output)] = (output, root)
        before, after = self._of_example(root), self._of_example(tuple(output.shape))
        if before and after and moved_sizes(before, after):
            self._marked[id(output)] = (output, before, after)

    def _of_example(self, shape: Sizes) -> Sizes:
        """Return the shape of an example, where a batch comes first, or is joined with what follows."""
        if len(shape) < 2 or self.n_examples < 2 or shape[0] == 0 or shape[0] % self.n_examples:
            return ()
        joined = shape[0] // self.n_examples
        return shape[1:] if joined == 1 else (joined, *shape[1:])

    def forget(self) -> None:
        """Let go of all tensors."""
        self._roots.clear()
        self._marked.clear()

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for every scrambled view."""
        yield from (check_scrambled_view(before, after) for before, after in dict.fromkeys(self.scrambled))


class Viewing(TorchFunctionMode):
    """Hears of views while it is entered."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.views = views

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, and note it."""
        output = function(*args, **(kwargs or {}))
        self.views.note(getattr(function, "__name__", ""), args, kwargs or {}, output)
        return output

    def __exit__(self, *error: object) -> None:
        """Let go of what was heard of."""
        self.views.forget()
        super().__exit__(*error)  # type: ignore[no-untyped-call]
