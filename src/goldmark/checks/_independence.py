"""Labels that tell nothing of their inputs, found by permutation tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from goldmark.case import Finding

_CLEAR = 6.0  # sd of what permutations give, from which on a dependence is beyond doubt
_ABSENT = 3.0


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """How far inputs and labels are from independent, by three statistics."""

    p: float  # of the largest of the three, under permutation of the labels
    scores: tuple[float, ...]  # distance from the mean of the permutations, in their sd


def check_labels_independent(
    inputs: Tensor, labels: Tensor, val_inputs: Tensor, val_labels: Tensor, threshold: float = 0.03, *, table: bool
) -> Finding:
    """Find out whether training labels tell nothing of their inputs, where validation labels or all tables would.

    Trouble is a dependence that is beyond doubt in the validation half and absent in the training half; and, for a
    `table` (N, F) whose columns are all that a label can depend on, one that is absent (p > `threshold`) in both halves
    together.
    What is hard to see in images or sequences is hard to see in both halves, and passes; so do labels with fewer than
    4 examples each, as ids of examples or of pairs: there is nothing that they could depend on.
    """
    everything = train = val = dependence(inputs, labels, most=96, n_permutations=19)  # enough in most data
    if max(train.scores) < _CLEAR:
        val = dependence(val_inputs, val_labels)
        train = dependence(inputs, labels) if max(val.scores) > _CLEAR else train
        if table:
            everything = dependence(torch.cat([inputs, val_inputs]), torch.cat([labels, val_labels]), 384, 99)
    clearest = max(range(len(val.scores)), key=lambda place: val.scores[place])
    lost = val.scores[clearest] > _CLEAR and train.scores[clearest] < max(_ABSENT, val.scores[clearest] / 8)
    nowhere = table and everything.p > threshold and max(everything.scores) < _CLEAR
    return Finding(
        name="labels_independent",
        trouble=_enough(labels) and (lost or nowhere),
        numbers={
            "p_of_all": everything.p,
            "p_training": train.p,
            "p_validation": val.p,
            "score_training": train.scores[clearest],
            "score_validation": val.scores[clearest],
        },
        threshold=threshold,
        relation="labels must depend on their inputs",
        advice="look for inputs or labels shuffled, sorted or filtered without the other",
    )


def _enough(labels: Tensor) -> bool:
    classes = torch.unique(labels)
    return len(labels) >= 128 and (labels.is_floating_point() or len(labels) >= 4 * len(classes))


def dependence(inputs: Tensor, labels: Tensor, most: int = 256, n_permutations: int = 49) -> Dependence:
    """Return how inputs (N, ...) and labels (N,) depend on each other, from at most `most` examples.

    Distance correlation, which sees anything smooth (Székely, Rizzo and Bakirov, "Measuring and testing dependence by
    correlation of distances", 2007); the likeness of labels of nearest neighbours, and of neighbours along each
    feature, which see what is not.
    """
    chosen = torch.linspace(0, len(inputs) - 1, min(len(inputs), most)).long()
    x = inputs[chosen].detach().float().reshape(len(chosen), -1)
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    y = labels[chosen].detach()
    unlike = _distances(y.float()[:, None]) if y.is_floating_point() else (y[:, None] != y[None]).float()
    far = _distances(x)
    centred = far - far.mean(0) - far.mean(1, keepdim=True) + far.mean()  # which centres its product with anything
    nearest = (far + far.max() * torch.eye(len(far))).argmin(dim=1)
    along = x[:, :64].argsort(dim=0, stable=True)
    everyone = torch.arange(len(x))
    generator = torch.Generator().manual_seed(0)
    values: list[list[float]] = []
    for order in (everyone, *(torch.randperm(len(x), generator=generator) for _ in range(n_permutations))):
        permuted = unlike[order][:, order]
        alike = (permuted[everyone, nearest].mean(), permuted[along[:-1], along[1:]].mean(dim=0).min())
        values.append([float((centred * permuted).sum()), *(-float(mean) for mean in alike)])
    return _against_permutations(torch.tensor(values, dtype=torch.float64))


def _against_permutations(values: Tensor) -> Dependence:
    """Compare the first row of statistics, of the labels as they are, with the rows of permuted ones."""
    permuted = values[1:]
    scores = ((values - permuted.mean(0)) / (permuted.std(0) + 1e-12)).abs()  # neighbours may be unlike by nature
    largest = scores.max(dim=1).values
    return Dependence(p=float((largest >= largest[0]).double().mean()), scores=tuple(scores[0].tolist()))


def _distances(values: Tensor) -> Tensor:
    return torch.cdist(values, values)


def check_unrelated_noise(
    outputs: Tensor, targets: Tensor, inputs: Sequence[Tensor], threshold: float = 3.0, fewest: int = 256
) -> Finding:
    """Find out whether the noise that a model is trained to tell is other noise than that in its inputs.

    All are (N, ...) of one shape, targets drawn anew for each step. Those that look like `fewest` or more standard
    normal numbers (mean, sd and fourth moment) are taken for noise. It is unrelated where neither an input nor the
    outputs of a model that has been trained are correlated with it: measured is the clearest correlation, in its sd
    without any relation. Squares are tried too, as a velocity and its noisy input are related by theirs alone.
    """
    made, noise, *noisy = (tensor.detach().double().flatten() for tensor in (outputs, targets, *inputs))
    n = len(noise)
    moments = torch.stack([noise.mean(), noise.square().mean() - 1, noise.pow(4).mean() - 3])
    wide = torch.tensor([1.0, 2.0, 96.0], dtype=torch.float64).sqrt() / n**0.5  # sd of each under a standard normal
    normal = n >= fewest and bool((moments.abs() < 5 * wide).all())
    related = [(made, noise), *((one, noise) for one in noisy), *((one.square(), noise.square()) for one in noisy)]
    clearest = max(abs(_correlation(*one)) for one in related) * n**0.5 if normal else 0.0
    return Finding(
        name="unrelated_noise",
        trouble=normal and clearest < threshold,
        numbers={"correlation_in_sd": clearest, "numbers": float(n)},
        threshold=threshold,
        relation="the noise that a model has to tell must be the noise in its inputs",
        advice="add the same noise to the inputs that is the target: one that is drawn again cannot be told",
    )


def _correlation(a: Tensor, b: Tensor) -> float:
    """Return the correlation of two vectors; 0 where one does not vary."""
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1].nan_to_num())
