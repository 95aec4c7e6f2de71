"""What is taken down of a running loop: little of every step, much of a few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.nn import functional

from goldmark.case import Finding
from goldmark.checks import _data, _examples, _losses, _networks, _outputs
from goldmark.checks._attention import check_softmax_over_heads
from goldmark.checks._bootstrapping import bootstrapped_values
from goldmark.checks._cosines import check_unscaled_cosines
from goldmark.checks._factors import weightless_terms
from goldmark.checks._graph import LAYERS, kind, leaves, nodes, signed
from goldmark.checks._pairs import pairs
from goldmark.checks._scale import check_target_scale
from goldmark.checks._shares import gradient_norms, shares
from goldmark.checks._structures import drawn_keys, first_rows, first_tensor, row_keys, size_of, stored, tensors_of
from goldmark.checks._summing import check_summed_softmax
from goldmark.checks._updates import Rounding

_EARLY = 4  # steps before which no unit is counted as silent
_TWICE = 2  # samples that have to show what a graph always shows
FIRST_STEPS = 8  # of which all are looked at
LAST_ANSWERS = 4  # samples by which a result is judged
_NUMBERS = ("mse", "l1", "smooth_l1")
BINARY = ("bce", "bce_with_logits")
_LEARNT = math.log(2) / 2  # a binary cross-entropy below that of chance


@dataclass(kw_only=True)
class Sample:
    """What one backward pass of a sampled step showed."""

    step: int
    loss: float | None = None
    root: float | None = None  # what the backward pass started from, where that was heard
    known: dict[str, float] = field(default_factory=dict)  # losses that torch gives for output and targets
    findings: list[Finding] = field(default_factory=list)  # of what only lives as long as the graph
    norm: float = 0.0  # of all gradients, before any clipping that comes later
    one_example: bool = False  # again and again, beside unlike targets
    lone_place: int | None = None  # of the one example whose loss it was
    n_compared: int = 0  # examples
    batch_key: int | None = None
    batch_size: int = 0
    n_targets: int | None = None  # that count, where the loss is their mean
    reached: dict[int, Tensor] = field(default_factory=dict)  # leaves with a gradient
    silent_units: dict[str, Tensor] = field(default_factory=dict)  # of matrices: which rows have no gradient
    term_shares: dict[str, float] = field(default_factory=dict)  # of the gradient on what all terms share
    terms: dict[str, float] = field(default_factory=dict)
    weightless: frozenset[str] | None = None  # terms that are multiplied by 0; None: not known
    meant_small: frozenset[str] = frozenset()  # terms of weights alone, or with a reversed gradient
    answers: tuple[str, Tensor, Tensor] | None = None  # kind of loss, some outputs, their targets
    of_same_shape: tuple[Tensor, ...] = ()  # inputs that have the shape of the targets, as many rows as of the answers
    target_keys: Tensor | None = None  # of those rows


@dataclass(kw_only=True)
class Step:
    """What the sampled optimizer steps showed."""

    place: int  # steps before it
    norm: float  # of all gradients as the optimizer gets them
    rate: float  # the highest of its groups
    ratio: float = 0.0  # of the update's length over that of the weights, the median over some matrices
    zeroed: bool | None = None  # whether gradients that had come in were gone; None: none had
    rounding: Rounding | None = None  # of parameters in few bits
    overwritten: bool = False  # the optimizer's state is `.grad` itself


def take_sample(model: nn.Module, batch: Any, output: Any, loss: Any, terms: Mapping[str, Any], step: int) -> Sample:
    """Return what can be read from a backward pass that has just ended."""
    sample = Sample(step=step)
    sample.norm = gradient_norm(model.parameters())
    inputs, targets = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (batch, None)
    if isinstance(loss, Tensor):
        _note_loss(sample, output, targets, loss, terms)
        _note_lone_example(sample, inputs, output, targets)
        sample.one_example = _examples.is_one_example(inputs, output, targets, loss)
    if batch is not None:
        _note_batch(sample, inputs, targets)
    _note_gradients(sample, model, loss)
    return sample


def _note_batch(sample: Sample, inputs: Any, targets: Any) -> None:
    sample.batch_size = size_of(inputs)
    alike = [one for one in tensors_of(inputs) if isinstance(targets, Tensor) and one.shape == targets.shape]
    if alike and sample.answers is not None:
        sample.of_same_shape = tuple(first_rows(one) for one in alike)
        rows = sample.answers[2]
        sample.target_keys = drawn_keys(rows)
    if sample.batch_size:
        sample.batch_key = int(row_keys(inputs).sum())
    reached = None if sample.loss is None else (sample.loss, sample.norm)
    sample.findings.append(_data.check_not_finite(list(tensors_of((inputs, targets))), reached))


def _note_loss(sample: Sample, output: Any, targets: Any, loss: Tensor, terms: Mapping[str, Any]) -> None:
    sample.loss = float(loss.detach().sum())
    sample.findings += [_outputs.check_normalized_outputs(loss), _outputs.check_single_class_softmax(loss)]
    if not sample.norm > 0:  # else gradients were written by other means than a backward pass, as privacy needs it
        sample.findings.append(_losses.check_graph_of_loss(loss))
    sample.findings.append(_outputs.check_shape_broadcast(output, targets, loss))
    if sample.step < _TWICE:
        sample.findings += [check_softmax_over_heads(loss), check_summed_softmax(loss), check_unscaled_cosines(loss)]
    sample.findings += [_losses.check_targets_with_gradient(*sides) for sides in bootstrapped_values(loss)]
    if terms:
        sample.findings.append(_losses.check_cut_term(loss, terms))
        sample.terms = {name: _losses.number(term) for name, term in terms.items()}
        sample.weightless = weightless_terms(terms)
        sample.meant_small = frozenset(name for name, term in terms.items() if _is_meant_small(term))
    sample.n_targets = counted_targets(loss, targets)
    for _, out, target in list(pairs(output, targets))[:1]:
        sample.known = _losses.known_losses(out, target)
        sample.findings.append(_losses.check_negative_loss(sample.loss, sample.known))
        sample.findings += _compared(sample, out, target)
        name = _losses.matching_loss(sample.loss, sample.known)
        if name is not None and len(out) == len(target):
            sample.answers = (name, first_rows(out), first_rows(target))


def are_of_one_answer(samples: Sequence[Sample]) -> bool:
    """Tell whether a binary cross-entropy of outputs and targets was all that was minimised, and one answer was learnt.

    Then no other answers were made in the loop, as by drawing pairs that were not seen together.
    """
    answers = answers_of(samples)
    started = [sample.loss if sample.root is None else sample.root for sample in samples]
    if answers is None or any(
        value is None or _losses.matching_loss(value, _binary_losses(sample)) is None
        for value, sample in zip(started, samples, strict=True)
    ):
        return False
    return (started[-1] or 0.0) < _LEARNT and len(torch.unique(answers[2])) == 1


def _binary_losses(sample: Sample) -> dict[str, float]:
    return {name: value for name, value in sample.known.items() if name in BINARY}


def _note_lone_example(sample: Sample, inputs: Any, output: Any, targets: Any) -> None:
    """Note whether a loss is that of one example, where the first dimension cannot be time, as in targets (T, B)."""
    first = first_tensor(inputs)
    if not isinstance(output, Tensor) or not isinstance(targets, Tensor) or first is None or sample.loss is None:
        return
    along = targets.dim() > 1 and first.dim() > 1 and targets.shape[:2] == first.shape[:2]
    if not along and 0 < targets.dim() <= output.dim() and len(first) == len(targets):
        sample.n_compared = len(targets)
        sample.lone_place = _examples.lone_loss(sample.loss, output, targets)


def _compared(sample: Sample, out: Tensor, target: Tensor) -> Iterator[Finding]:
    """Yield what outputs and targets of a regression show, where the loss is known to compare them as they are."""
    if sample.loss is None or _losses.matching_loss(sample.loss, sample.known) not in _NUMBERS:
        return
    yield _outputs.check_unreachable_targets(out, target)
    yield _losses.check_targets_with_gradient(out, target)
    if sample.step == 0:
        yield check_target_scale(out.detach().flatten(), target.detach().flatten())


def _is_meant_small(term: Any) -> bool:
    """Tell whether a term is a function of weights alone, or has its gradient changed by a function of the program.

    No layer lies on the way to the weights of a penalty; a reversal layer is an `autograd.Function` in Python.
    """
    if not isinstance(term, Tensor) or not term.requires_grad:
        return False
    below = list(nodes(term.grad_fn))
    return any(isinstance(node, BackwardCFunction) for node in below) or not any(kind(n) in LAYERS for n in below)


def counted_targets(loss: Tensor, targets: Any) -> int | None:
    """Return over how many targets a cross-entropy takes its mean; None where a loss holds no such mean."""
    target = first_tensor(targets)
    for node in nodes(loss.grad_fn, limit=64):
        if target is not None and kind(node) in ("NllLoss", "NllLoss2D") and node._saved_reduction == 1:  # noqa: SLF001
            ignored = node._saved_ignore_index  # noqa: SLF001
            return int((target != signed(ignored)).sum())
    return None


def _note_gradients(sample: Sample, model: nn.Module, loss: Any) -> None:
    if isinstance(loss, Tensor):
        sample.reached = {id(leaf): leaf for leaf in leaves(loss)}
    matrices: dict[str, tuple[Tensor, Tensor]] = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient is None:
            continue
        if id(parameter) not in sample.reached and (gradient.is_sparse or bool(gradient.any())):
            sample.reached[id(parameter)] = parameter
        if gradient.dim() > 1 and not gradient.is_sparse:
            matrices[name] = (parameter.detach(), gradient)
    alike = {name: pair for name, pair in matrices.items() if len(pair[0]) > 1 and torch.equal(pair[0][0], pair[0][1])}
    sample.findings.append(_networks.check_symmetric_units(alike))
    layers = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv1d)}
    if sample.step < _EARLY:
        return
    sample.silent_units = {
        name: gradient.flatten(1).abs().sum(dim=1) == 0 for name, (_, gradient) in matrices.items() if name in layers
    }


def gradient_norm(parameters: Any) -> float:
    """Return the Euclidean norm of all gradients together."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    norms = torch._foreach_norm([stored(gradient.detach()).float() for gradient in gradients])  # noqa: SLF001
    return float(torch.stack([norm.to(norms[0].device) for norm in norms]).norm())


def term_shares(loss: Tensor, terms: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of each term, as it counts in the loss, in the gradient on the leaves that all terms reach.

    Needs the graph, which a backward pass frees unless it was kept.
    """
    tensors = {name: term for name, term in terms.items() if isinstance(term, Tensor) and term.requires_grad}
    if len(tensors) < 2:
        return {}
    common = set.intersection(*({id(leaf) for leaf in leaves(term)} for term in tensors.values()))
    trunk = [leaf for leaf in leaves(next(iter(tensors.values()))) if id(leaf) in common]
    if not trunk:
        return {}
    factors = torch.autograd.grad(loss, list(tensors.values()), retain_graph=True, allow_unused=True)
    weighted = {
        name: term * (1.0 if factor is None else factor.detach())
        for (name, term), factor in zip(tensors.items(), factors, strict=True)
    }
    norms = gradient_norms(weighted, trunk)
    return shares(norms) if sum(norms.values()) > 0 else {}


def answers_of(samples: Sequence[Sample], last: int = LAST_ANSWERS) -> tuple[str, Tensor, Tensor] | None:
    """Return the kind of loss, the outputs and targets of the last samples that have them."""
    answers = [sample.answers for sample in samples if sample.answers is not None][-last:]
    if not answers or len({(kind_of, out.shape[1:]) for kind_of, out, _ in answers}) > 1:
        return None
    return answers[0][0], torch.cat([out for _, out, _ in answers]), torch.cat([target for _, _, target in answers])


def probabilities_of(kind_of_loss: str, outputs: Tensor) -> Tensor | None:
    """Return the class probabilities (N, C) that outputs (N, C, ...) or (N, ...) of a classifier mean; else None."""
    values = outputs.detach().float()
    if kind_of_loss in ("cross_entropy", "nll"):
        return functional.softmax(values, dim=1).movedim(1, -1).reshape(-1, values.shape[1])
    if kind_of_loss in ("bce", "bce_with_logits"):
        positive = values.flatten() if kind_of_loss == "bce" else values.flatten().sigmoid()
        return torch.stack([1 - positive, positive], dim=1)
    return None
