"""What preflight has seen: a pass over each half's examples, and forward and backward passes of the fresh model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.checks._direction import Reads
from goldmark.checks._graph import leaves
from goldmark.checks._masks import left_out_of
from goldmark.checks._modes import DROPOUT_FUNCTIONS
from goldmark.checks._saturation import BoundedLayers
from goldmark.checks._scrambled import Viewing, Views
from goldmark.checks._structures import call, first_tensor, picked_rows, row_keys, size_of, tensors_of

N_BATCHES = 8  # of a half that are looked at
N_EXAMPLES = 10_000  # of a half that are hashed
_NUMBERS = (torch.int64, torch.int32, torch.uint8, torch.float32, torch.float64)  # of targets
_MOST_BYTES = 2**26  # of a half that are hashed: 64 MiB take about a tenth of a second


@dataclass(frozen=True, kw_only=True)
class Half:
    """Batches of one half, and the hashes of more of its examples."""

    batches: tuple[tuple[Any, Any], ...]  # at most N_BATCHES
    keys: Tensor  # (N,) of inputs, in the order of the pass
    pair_keys: Tensor  # (M,) of inputs with their targets, without what masks beside them leave out
    ends: Tensor  # (N, 2) the lowest and the highest of the numbers that are the target of an example
    labels: tuple[Tensor, ...]  # of every batch of the pass, where they are class indices (B,)
    whole: bool  # the pass came to the end of the half

    def inputs(self) -> Tensor:
        """Return the first tensor of all inputs that were kept, (N, ...)."""
        return _stacked(inputs for inputs, _ in self.batches)

    def targets(self) -> Tensor:
        """Return the first tensor of all targets that were kept, (N, ...)."""
        return _stacked(targets for _, targets in self.batches)


def _stacked(structures: Iterable[Any]) -> Tensor:
    tensors = [tensor for tensor in map(first_tensor, structures) if tensor is not None]
    if not tensors:
        raise ValueError("batches hold no tensors")
    return torch.cat([tensor for tensor in tensors if tensor.shape[1:] == tensors[0].shape[1:]])


def read_half(batches: Iterable[Any]) -> Half:
    """Pass once over a half; raise `ValueError` where it is an iterator, which a second pass would find empty."""
    if iter(batches) is batches:
        raise ValueError(
            f"batches are a {type(batches).__name__}, which can be read once; pass a list or a DataLoader, "
            "which every pass reads from its start"
        )
    kept: list[tuple[Any, Any]] = []
    keys, pair_keys, ends, labels, n_bytes, whole = [], [], [], [], 0, True
    for inputs, targets in map(_pair, batches):
        first = first_tensor(inputs)
        if len(kept) < N_BATCHES and (
            first is None or first.dim() == 0 or len(first) > 0
        ):  # a filter may leave nothing of a batch
            kept.append((inputs, targets))
        keys.append(row_keys(inputs))
        pair_keys.append(_pair_keys(inputs, targets, keys[-1]))
        target = first_tensor(targets)
        if target is not None and target.dim() == 1 and not target.is_floating_point():
            labels.append(target)
        ends.append(_ends(target))
        n_bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(inputs))
        if sum(map(len, keys)) >= N_EXAMPLES or n_bytes >= _MOST_BYTES:
            whole = False
            break
    if not kept:
        raise ValueError("batches are empty; preflight needs at least one batch of (inputs, targets)")
    return Half(
        batches=tuple(kept),
        keys=torch.cat(keys)[:N_EXAMPLES],
        pair_keys=torch.cat(pair_keys)[:N_EXAMPLES],
        ends=torch.cat(ends),
        labels=tuple(labels),
        whole=whole,
    )


def _ends(target: Tensor | None) -> Tensor:
    """Return the lowest and the highest number (N, 2) of each example's target."""
    if target is None or target.dtype not in _NUMBERS or target.layout != torch.strided or not target.numel():
        return torch.zeros(0, 2)
    given = target.reshape(len(target) if target.dim() else 1, -1)
    return torch.stack(given.aminmax(dim=1), dim=1).cpu().double()


def _pair_keys(inputs: Any, targets: Any, keys: Tensor) -> Tensor:
    """Return the hashes of examples with their targets, of those that are picked and have a label.

    What a mask among the targets, or the inputs, leaves out is no example, nor what torch's losses leave out by -100.
    """
    pair_keys = keys * 1_000_003 + row_keys(targets, len(keys))
    masks = (picked_rows(part, len(keys)) for part in (targets, inputs))
    picked = next((mask for mask in masks if mask is not None), None)
    if picked is None and isinstance(targets, Tensor) and targets.shape == keys.shape:
        picked = None if targets.is_floating_point() else targets.cpu().long() != -100
    return pair_keys if picked is None else pair_keys[picked]


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise ValueError(
            f"a batch is a {type(batch).__name__}{size}; give (inputs, targets), each a tensor or a nest of them"
        )
    return batch[0], batch[1]


def order_of(batches: Iterable[Any], n_examples: int) -> Tensor:
    """Return the hashes of the first examples of one more pass."""
    keys: list[Tensor] = []
    for inputs, _ in map(_pair, islice(batches, N_BATCHES)):
        keys.append(row_keys(inputs))
        if sum(map(len, keys)) >= n_examples:
            break
    return torch.cat(keys)[:n_examples]


@dataclass(kw_only=True)
class ForwardPass:
    """A pass of the fresh model in training mode: output and loss with their graph, and what each module did."""

    inputs: Any
    targets: Any
    output: Any = None
    loss: Tensor | None = None
    leaves: list[Tensor] = field(default_factory=list)  # that receive a gradient
    calls: dict[nn.Module, int] = field(default_factory=dict)
    first_input: dict[nn.Module, Tensor] = field(default_factory=dict)
    activations: dict[str, Tensor] = field(default_factory=dict)  # outputs of ReLU, in order
    gradients: dict[str, Tensor] = field(default_factory=dict)  # by parameter
    bounded: BoundedLayers = field(default_factory=BoundedLayers)
    left_out: list[Tensor] = field(default_factory=list)  # by masks of attention: keys (B, T) bool
    last_dropped: Tensor | None = None  # what the last dropout gave
    reads: Reads = field(default_factory=Reads)  # of bidirectional layers
    views: Views = field(default_factory=lambda: Views(n_examples=0))

    @property
    def first_output(self) -> Tensor:
        """The first tensor of the output; raise `ValueError` where there is none."""
        output = first_tensor(self.output)
        if output is None:
            raise ValueError("the output holds no tensor")
        return output


def forward_backward(model: nn.Module, inputs: Any, targets: Any, loss_fn: Any) -> ForwardPass:
    """Run a batch forward and backward in training mode; gradients are kept in the pass, and left on the parameters."""
    model.train()
    result = ForwardPass(inputs=inputs, targets=targets, views=Views(n_examples=size_of(inputs)))
    with observed(model, result):
        result.output = call(model, inputs)
        result.views.note_outputs(result.output)
    result.loss = loss_fn(result.output, targets)
    if not isinstance(result.loss, Tensor) or not result.loss.requires_grad:
        return result
    result.leaves = leaves(result.loss)
    for parameter in model.parameters():
        parameter.grad = None
    torch.autograd.backward(result.loss.sum())
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            result.gradients[name] = parameter.grad
    return result


@contextmanager
def observed(model: nn.Module, result: ForwardPass) -> Iterator[None]:
    """Note calls, first inputs and ReLU outputs of all modules while the body runs."""

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        result.calls[module] = result.calls.get(module, 0) + 1
        tensor = first_tensor(inputs)
        if tensor is not None and tensor.is_floating_point():
            result.first_input.setdefault(module, tensor.detach())

    hooked = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    handles = [module.register_forward_hook(note) for module in hooked]
    recurrent = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    handles += [layer.register_forward_hook(result.reads.note, with_kwargs=True) for layer in recurrent]
    try:
        with _Calls(result):
            yield
    finally:
        for handle in handles:
            handle.remove()
        result.bounded.forget()


class _Calls(Viewing):
    """Keeps views, masks, what ReLUs and bounded activations give, and the last dropout, as modules or functions."""

    def __init__(self, result: ForwardPass) -> None:
        super().__init__(result.views)
        self.result = result

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        output = super().__torch_function__(function, types, args, kwargs)
        name, known = getattr(function, "__name__", ""), self.result.activations
        if name in ("relu", "relu_") and isinstance(output, Tensor) and output.dim() > 1:
            known[f"ReLU {len(known) + 1}"] = output.detach().clone()
        elif name in DROPOUT_FUNCTIONS and isinstance(output, Tensor) and output is not args[0]:
            self.result.last_dropped = output.detach()
        self.result.bounded.note(name, args, output)
        if (keys := left_out_of(name, args, kwargs or {})) is not None:
            self.result.left_out.append(keys)
        return output


def used_parameters(result: ForwardPass) -> set[int]:
    """Return the parameters of the modules that ran, by identity."""
    modules = [module for module in result.calls if not list(module.children())]
    return {id(parameter) for module in modules for parameter in module.parameters(recurse=False)}


def with_gradient(result: ForwardPass) -> list[Tensor]:
    """Return the leaves that received a gradient; re-entrant checkpoints hide theirs from the graph of the loss."""
    known = {id(leaf) for leaf in result.leaves}
    modules = list(result.calls)
    further = [p for module in modules for p in module.parameters() if p.grad is not None and id(p) not in known]
    return [*result.leaves, *{id(parameter): parameter for parameter in further}.values()]
