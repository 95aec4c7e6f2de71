"""Verdicts on what a watched run has learnt: collapsed predictions, no skill, noise that nothing foretells."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks import _losses, _results
from goldmark.checks._choices import check_choice_of_one
from goldmark.checks._collapse import check_collapsed_output
from goldmark.checks._independence import check_unrelated_noise
from goldmark.checks._labels import check_constant_labels
from goldmark.checks._record import Record
from goldmark.checks._samples import BINARY, LAST_ANSWERS, answers_of, are_of_one_answer, probabilities_of
from goldmark.checks._skill import check_no_skill

_ENOUGH_STEPS = 100  # before a result is judged
_ENOUGH_ANSWERS = 16  # of which it is judged
_ENOUGH_LABELS = 128  # of a half, of which one is one of two by no chance
_COLLAPSED = 0.05  # of the spread of the targets: in the middle of training, outputs may be timid


def results_of(record: Record, model: nn.Module, optimizers: tuple[torch.optim.Optimizer, ...]) -> Iterator[Finding]:
    """Judge what was learnt, once there were steps enough; of models that train against each other nothing is said."""
    answers = answers_of(record.samples)
    binary = answers is not None and answers[0] in BINARY
    yield check_choice_of_one(record.chosen.single(binary=binary), record.chosen.several)
    if record.labels is not None and record.alone and not record.strangers and are_of_one_answer(record.samples):
        yield check_constant_labels(*record.labels, 2, _ENOUGH_LABELS)
    if record.steps < _ENOUGH_STEPS or not record.alone:
        return
    yield from record.predictions.findings()
    if answers is None:
        return
    name, outputs, targets = answers
    if targets.numel() < _ENOUGH_ANSWERS:
        return
    losses = record.loss_values()
    probabilities = probabilities_of(name, outputs)
    if probabilities is not None:
        labels = targets.flatten().long()
        collapsed = _collapsed_classes(record, probabilities, labels)
        constant = _entropy(labels)
    else:
        values = targets.double().reshape(outputs.shape)
        if not bool(values.std() > 0):
            return
        yield from _noise(record, outputs, values)
        collapsed = check_collapsed_output(outputs, values, threshold=_COLLAPSED)
        constant = _constant_loss(name, values)
    late = losses[-max(1, len(losses) // 4) :]
    if constant > 0 and collapsed.trouble and (skill := check_no_skill(sum(late) / len(late), constant)).trouble:
        yield from (collapsed, skill)


def _noise(record: Record, outputs: Tensor, targets: Tensor) -> Iterator[Finding]:
    """Judge targets that are drawn anew in every step and have the shape of inputs in all of the last samples."""
    last = [sample.of_same_shape for sample in record.samples if sample.answers is not None][-LAST_ANSWERS:]
    keys = [sample.target_keys for sample in record.samples if sample.target_keys is not None]
    if min(map(len, last)) > 0 and len(torch.cat(keys).unique()) == sum(map(len, keys)):  # type: ignore[no-untyped-call]
        yield check_unrelated_noise(outputs, targets, [torch.cat(one) for one in zip(*last, strict=True)])


def _collapsed_classes(record: Record, probabilities: Tensor, labels: Tensor) -> Finding:
    """Judge the last batches together; where they are large, also one by one: the one answer may change with time."""
    together = _results.check_collapsed_classes(probabilities, labels)
    last = [answers for sample in record.samples if (answers := answers_of([sample])) is not None][-LAST_ANSWERS:]
    each = [
        _results.check_collapsed_classes(own, targets.flatten().long())
        for name, outputs, targets in last
        if targets.numel() >= _ENOUGH_ANSWERS and (own := probabilities_of(name, outputs)) is not None
    ]
    return each[-1] if len(each) == len(last) and all(finding.trouble for finding in each) else together


def _entropy(labels: Tensor) -> float:
    _, counts = torch.unique(labels, return_counts=True)
    shares = counts.double() / counts.sum()
    return float(-(shares * shares.log()).sum())


def _constant_loss(name: str, targets: Tensor) -> float:
    """Return the loss of the best constant: the mean for squared errors, the median for absolute ones."""
    best = targets.mean() if name == "mse" else targets.median()
    return _losses.known_losses(best.expand_as(targets), targets)[name]
