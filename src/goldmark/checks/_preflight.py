"""Look at a training loop before it starts: data, model, loss and optimizer, with no history and no training."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from goldmark.case import Finding
from goldmark.checks._findings import Findings
from goldmark.checks._graph import is_difference
from goldmark.checks._held import loss_as_found
from goldmark.checks._loaders import draws_examples
from goldmark.checks._losses import LossFunction
from goldmark.checks._networks import Tie
from goldmark.checks._ownership import names_of
from goldmark.checks._pairs import reads_targets
from goldmark.checks._passes import ForwardPass, Half, forward_backward, read_half, with_gradient
from goldmark.checks._state import left_as_found
from goldmark.checks._stored import examples_as_found
from goldmark.checks._structures import UNFIT, first_tensor, map_tensors, reason, row_keys, rows, size_of, tensors_of

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What the user declares, so that nothing has to be guessed."""

    causal: bool = False
    pad_id: int | None = None
    tied: Sequence[Tie] = ()
    frozen: tuple[str, ...] = ()
    n_classes: int | None = None
    augmented: bool = False


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a watch of the same model may know from its preflight."""

    frozen: tuple[str, ...] = ()
    n_batches: int = 1  # unlike ones, of those that were kept
    labels: tuple[Tensor, Tensor] | None = None  # the lowest and highest target of each example in whole halves
    shuffled: torch.Size | None = None  # the shape of an example, where a loader draws batches of them at random


KNOWN: weakref.WeakKeyDictionary[nn.Module, Known] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Look:
    """All that the checks of a preflight may look at."""

    model: nn.Module
    optimizers: tuple[Optimizer, ...]
    train_batches: Iterable[Any]
    train: Half
    val: Half | None  # None: none was given, or the training half itself
    loss_fn: LossFunction
    passes: tuple[ForwardPass, ...]  # of training batches, cut to a few rows
    reads_targets: bool  # the loss does; else they are ids, or fill a place
    intent: Intent = field(default_factory=Intent)

    @property
    def first(self) -> ForwardPass:
        """The pass of the first training batch."""
        return self.passes[0]

    @property
    def names(self) -> dict[int, str]:
        """The names of the model's parameters, by identity."""
        return {id(parameter): name for name, parameter in self.model.named_parameters()}

    def gradient_of(self, parameter: Tensor) -> Tensor | None:
        """Return the gradient that a parameter got in the first pass."""
        return self.first.gradients.get(self.names.get(id(parameter), ""))

    @property
    def reached(self) -> list[Tensor]:
        """The leaves that received a gradient in any pass."""
        return list({id(leaf): leaf for one in self.passes for leaf in with_gradient(one)}.values())


Probe = Callable[[Look], "Finding | Iterable[Finding] | None"]


def preflight(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    train_batches: Iterable[Any],
    val_batches: Iterable[Any] | None,
    loss_fn: LossFunction,
    *,
    causal: bool = False,
    pad_id: int | None = None,
    tied: Sequence[Tie] = (),
    frozen: Iterable[Any] = (),
    n_classes: int | None = None,
    augmented: bool = False,
) -> Findings:
    """Return what is wrong with a training loop before it starts, the cause before its symptoms; empty: nothing seen.

    Batches are `(inputs, targets)` of a list, a DataLoader or whatever else can be read from its start again. The model
    is called as `model(inputs)`, the loss as `loss_fn(output, targets)`. At most 8 batches of each half are kept, and
    10,000 examples hashed. Model, optimizer, modes and random states are left as they were.

    `causal` declares that an output may not see later inputs; `pad_id` the token that pads; `tied` the parameters that
    are one, as tuples; `frozen` the modules or parameters that must not train (both by name or as they are);
    `n_classes` how many there are; `augmented` that the dataset varies its examples. `notes` of the result says which
    checks did not fit.
    Raises `ValueError` for batches that can be read once only, and whatever the model raises on its own batches.
    """
    if (why := _unfit(model)) is not None:
        return Findings([], [f"nothing was judged: {why}"])
    optimizers = (optimizer,) if isinstance(optimizer, Optimizer) else tuple(optimizer)
    intent = Intent(
        causal=causal,
        pad_id=pad_id,
        tied=tuple(tied or ()),
        frozen=names_of(model, frozen or ()),
        n_classes=n_classes,
        augmented=augmented,
    )
    as_before = left_as_found(model, optimizers, train_batches, val_batches)
    with as_before, loss_as_found(loss_fn, model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those are the program's own, and it shows them when it runs
        torch.default_generator.manual_seed(0)  # so that an answer does not depend on what was drawn before
        with examples_as_found(train_batches, val_batches) as modified:
            own = _look(model, optimizers, (train_batches, val_batches), loss_fn, intent)
        return Findings([*modified, *own], own.notes)


def _unfit(model: nn.Module) -> str | None:
    """Return why a model cannot be looked at; None where it can."""
    if isinstance(model, torch.jit.ScriptModule):
        return "a ScriptModule takes no hooks; give the module that it was made of"
    lazy = any(map(is_lazy, (*model.parameters(), *model.buffers())))
    return "the model has parameters without a shape; give it a batch first" if lazy else None


def _look(
    model: nn.Module,
    optimizers: tuple[Optimizer, ...],
    halves: tuple[Iterable[Any], Iterable[Any] | None],
    loss_fn: LossFunction,
    intent: Intent,
) -> Findings:
    from goldmark.checks._probes import PROBES

    train = read_half(halves[0])
    unlike = {int(row_keys(inputs).sum()) for inputs, _ in train.batches if size_of(inputs)}
    rows_of = first_tensor(train.batches[0][0])
    shuffled = rows_of.shape[1:] if rows_of is not None and draws_examples(halves[0], len(rows_of)) else None
    val = None if halves[1] is None or halves[1] is halves[0] else read_half(halves[1])
    labels = (train.ends, val.ends) if val is not None and train.whole and val.whole else None
    passes = tuple(_pass_of(model, batch, loss_fn) for batch in train.batches[:2])
    if any(is_difference(one.grad_fn) for one in tensors_of(passes[0].output)):
        labels = None  # of pairs of which the better one comes first, all are 1
    KNOWN[model] = Known(frozen=intent.frozen, n_batches=max(len(unlike), 1), labels=labels, shuffled=shuffled)
    look = Look(
        model=model,
        optimizers=optimizers,
        train_batches=halves[0],
        train=train,
        val=val,
        loss_fn=loss_fn,
        passes=passes,
        reads_targets=reads_targets(loss_fn, passes[0].output, passes[0].targets),
        intent=intent,
    )
    findings: list[Finding] = []
    notes: list[str] = []
    for probe in PROBES:
        findings += _judged(probe, look, notes)
    return Findings(findings, notes)


def _pass_of(model: nn.Module, batch: tuple[Any, Any], loss_fn: LossFunction) -> ForwardPass:
    """Run a copy of a few rows of a batch; a model may change its inputs.

    Of all, where the model takes no fewer, or a few hold nothing that counts in the loss: a mean over nothing is NaN.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    inputs, targets = map_tensors(lambda tensor: tensor.to(device, copy=True), batch)
    cut = few_rows(inputs, targets)
    whole = size_of(cut[0]) == size_of(batch[0])
    torch.default_generator.manual_seed(0)  # the dropout of every pass: of the steps, too
    try:
        one = forward_backward(model, *cut, loss_fn)
        if whole or not isinstance(one.loss, Tensor) or bool(one.loss.detach().isfinite().all()):
            return one
    except UNFIT:
        if whole:
            raise
    inputs, targets = map_tensors(lambda tensor: tensor.to(device, copy=True), batch)
    return forward_backward(model, inputs, targets, loss_fn)


def _judged(probe: Probe, look: Look, notes: list[str]) -> Iterator[Finding]:
    """Yield the findings of a probe, up to where it does not fit this program: that is noted."""
    try:
        result = probe(look)
        yield from [result] if isinstance(result, Finding) else result or ()
    except UNFIT as error:
        notes.append(f"{probe.__name__.strip('_')} was not judged: {reason(error)}")


def few_rows(inputs: Any, targets: Any, most: int = 64, positions: int = 512) -> tuple[Any, Any]:
    """Return a batch cut to few examples, fewer of long sequences and large images, so that a look stays short."""
    first, target = first_tensor(inputs), first_tensor(targets)
    if first is None or first.dim() == 0 or target is None or target.dim() == 0 or len(first) != len(target):
        return inputs, targets
    if first.dim() == 4:
        each = first.shape[2] * first.shape[3] // 32
    else:
        each = first.shape[1] if first.dim() == 3 or (not first.is_floating_point() and first.dim() == 2) else 1
    n = min(most, max(8, positions // max(each, 1)))
    if size_of(inputs) <= n:
        return inputs, targets
    return rows(inputs, slice(0, n)), rows(targets, slice(0, n))


class PreflightError(AssertionError):
    """A training loop that is not fit to start; the text lists the findings."""


def assert_healthy(*args: Any, **keywords: Any) -> Findings:
    """Take what `preflight` takes and return its findings; raise `AssertionError` with all of them if there are any."""
    __tracebackhide__ = True
    findings = preflight(*args, **keywords)
    if findings:
        raise PreflightError(f"{len(findings)} findings before training, the cause first\n{findings}")
    return findings
