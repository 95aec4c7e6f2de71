"""Training and validation examples: scale, split, overlap, order and labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._structures import row_keys, stored


def check_not_finite(tensors: Sequence[Tensor], reached: Sequence[float] | None = None) -> Finding:
    """Find out whether inputs or targets hold NaN, or infinity in a tensor that is no mask of 0 and -inf.

    `reached` are numbers that these tensors went into, as loss and norm of the gradient: where they are finite, the
    program leaves the gaps out, and passes.
    """
    floats = [stored(tensor) for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    bad = sum(int(tensor.isnan().sum()) + _stray_infinities(tensor) for tensor in floats)
    return Finding(
        name="not_finite",
        trouble=bad > 0 and (reached is None or not all(math.isfinite(number) for number in reached)),
        numbers={"entries": float(bad)},
        threshold=0.0,
        relation="inputs and targets must be finite, or left out of the loss",
        advice="find where they arise: division by the spread of a constant, a logarithm of 0, gaps in a file",
    )


def _stray_infinities(tensor: Tensor) -> int:
    infinite = tensor.isinf()
    mask = bool((infinite | (tensor == 0)).all())
    return 0 if mask else int(infinite.sum())


def check_input_scale(inputs: Tensor, threshold: float = 20.0, lowest: float = 1e-3) -> Finding:
    """Find out whether what the first trained layer gets is far from the scale of 1 that initial weights expect.

    Pass what reaches the first layer with weights that is no normalisation. Measured is the root mean square of all
    entries, and of the largest feature against the median one; below `lowest`, what a normalisation layer adds to the
    variance drowns them, and no entry reaches 1 / 200 where pixels were divided by 255 twice. Source: LeCun et al.,
    "Efficient backprop" (1998), section 4.3: the condition of the problem is that of the inputs' covariance.
    """
    values = inputs.detach().double()
    per_feature = values.movedim(1, 0).flatten(1) if values.dim() == 4 else values.flatten(0, -2).T
    scales = per_feature.square().mean(dim=1).sqrt()
    scale, largest = float(values.square().mean().sqrt()), float(scales.max())
    median = float(scales[scales > 0].median()) if bool((scales > 0).any()) else 1.0
    uneven = largest > threshold and largest / median > threshold
    tiny = scale < lowest or float(values.abs().max()) < 5 * lowest
    return Finding(
        name="input_scale",
        trouble=not scale <= threshold or tiny or uneven,
        numbers={"root_mean_square": scale, "largest_feature": largest, "median_feature": median},
        threshold=threshold,
        relation="inputs of the first layer must be of the order of 1",
        advice="standardise the inputs with statistics of the training half, or divide pixels by 255",
    )


def check_split_statistics(train: Tensor, val: Tensor, threshold: float = 1.0, fewest: int = 32) -> Finding:
    """Find out whether the median feature's mean differs by more than `threshold` sd between the halves.

    Or its sd, and the range of the middle half of its values, by more than a factor of e^threshold: a few outliers
    decide on a sd alone. Chance and drift move single features; a preprocessing that one half alone has been through
    moves most of them. Inputs are (N, ..., F), or (N, C, H, W).
    """
    columns = [_features(half) for half in (train, val)]
    means, sds = ([column.mean(dim=1) for column in columns], [column.std(dim=1) for column in columns])
    varied = (sds[0] > 0) | (sds[1] > 0)
    shift = ((means[0] - means[1]).abs() / torch.maximum(sds[0], sds[1]))[varied]
    stretch = (sds[0].clamp_min(1e-12) / sds[1].clamp_min(1e-12)).log().abs()[varied]
    enough = min(len(train), len(val)) >= fewest and bool(varied.any())
    if enough and float(stretch.median()) > threshold:
        stretch = torch.minimum(stretch, _robust_stretch(columns[0][varied], columns[1][varied]))
    numbers = {"shift": float(shift.median()), "stretch": float(stretch.median())} if enough else {}
    return Finding(
        name="split_statistics",
        trouble=any(number > threshold for number in numbers.values()),
        numbers=numbers,
        threshold=threshold,
        relation="both halves must be prepared alike, inputs and targets",
        advice="apply the same preprocessing, with the statistics of the training half, to both halves",
    )


def _features(inputs: Tensor) -> Tensor:
    """Return inputs as (F, N): channels of images, last entries of everything else."""
    values = inputs.detach().double()
    if values.dim() == 4:
        return values.movedim(1, 0).flatten(1)
    return values.reshape(len(values), -1).T if values.dim() <= 2 else values.flatten(0, -2).T


def _robust_stretch(train: Tensor, val: Tensor, most: int = 2_048) -> Tensor:
    """Return the ratio (F,) of the ranges between the quartiles, as a log; infinite where values hardly vary."""
    parts = [half[:, :: max(1, half.shape[1] // most)] for half in (train, val)]
    ends = [[part.kthvalue(max(1, part.shape[1] * share // 4), dim=1).values for share in (1, 3)] for part in parts]
    spreads = [high - low for low, high in ends]
    ratio = (spreads[0] / spreads[1]).log().abs()
    return ratio.masked_fill((spreads[0] == 0) | (spreads[1] == 0), math.inf)


def check_constant_inputs(inputs: Tensor, fewest: int = 16, *, others: Sequence[Tensor] = ()) -> Finding:
    """Find out whether all examples are equal, or a feature of a table (N, F) is one number other than 0 and 1.

    Where examples come with `others`, inputs (M, ...) such as noise or the edges of a graph, all are equal only if the
    rows of each of these are as well: one token, condition or mask may be meant for all.
    Pixels that are always dark are healthy, at any scale: the table's lowest or highest value, which half of the other
    columns take as well. So is a column of ones, padding at an end of whole numbers (what the next column holds in a
    tenth of all rows), and a standardised feature that is too rare to be seen in as many rows.
    """
    values = inputs.detach()
    flat = values.reshape(len(values), -1)
    constant = (flat == flat[:1]).all(dim=0)
    odd = constant & (flat[0] != 0) & (flat[0] != 1) if values.dim() == 2 else torch.zeros_like(constant)
    whole = bool(constant.all())
    if bool(odd.any()) and not whole:
        odd &= ~_is_background(flat, constant)
        odd &= ~_is_padding(flat, constant)
        odd &= ~_is_rare(flat, constant)
    alike = all(bool((one == one[:1]).all()) for one in others)
    trouble = len(flat) >= fewest and (alike if whole else bool(odd.any()))
    return Finding(
        name="constant_inputs",
        trouble=trouble,
        numbers={"constant": float(constant.sum()), "features": float(len(constant))},
        threshold=0.0,
        relation="a feature must vary between examples to tell anything",
        advice="look at how it is read: a wrong column, a failed join, an overwritten buffer",
    )


def _is_background(flat: Tensor, constant: Tensor) -> Tensor:
    """Tell of each column (F,) whether its first value is an end of the table's range that half of the others take."""
    others = flat[:, ~constant]
    background = torch.zeros_like(constant)
    for value in (flat.min(), flat.max()):
        if 2 * int((others == value).any(dim=0).sum()) >= others.shape[1]:
            background |= flat[0] == value
    return background


def _is_rare(flat: Tensor, constant: Tensor) -> Tensor:
    """Tell for every constant column (F,) whether it may be a feature that is hardly ever there, standardised.

    Where a share p has it, all others stand at -sqrt(p / (1 - p)) sd; of n rows without it p is below 3 / n, at 95 %.
    """
    spread = float(flat[:, ~constant].double().std(dim=0).median())
    near_0: Tensor = flat[0].double().abs() < (3 / len(flat)) ** 0.5 * spread
    return constant & near_0


def _is_padding(flat: Tensor, constant: Tensor, threshold: float = 0.1) -> Tensor:
    """Tell of each column (F,) of whole numbers whether it pads: from an end on, up to a column that often does."""
    padding = torch.zeros_like(constant)
    varying = (~constant).nonzero().flatten()
    if flat.is_floating_point() or not len(varying):
        return padding
    for beside, columns in ((varying[0], slice(0, varying[0])), (varying[-1], slice(varying[-1] + 1, None))):
        for value in torch.unique(flat[0, columns]):
            if bool((flat[0, columns] == value).all()) and (flat[:, beside] == value).double().mean() >= threshold:
                padding[columns] = True
    return padding


def check_overlap(
    train_keys: Tensor, val_keys: Tensor, threshold: float = 0.01, fewest: int = 8, *, by_chance: bool = True
) -> Finding:
    """Find out whether validation examples are training examples more often than training examples repeat themselves.

    Pass `row_keys` of the inputs. Data of few values repeat by chance; that share, counted in the training half, is
    taken as the share which an honest split would show, give or take 3 standard deviations of such a count. Without
    `by_chance` they cannot, and what repeats was copied, before the split. Fewer than `fewest` examples are a table of
    all cases.
    """
    shared = float(torch.isin(val_keys, train_keys).double().mean()) if len(val_keys) else 0.0
    _, counts = torch.unique(train_keys, return_counts=True)
    repeated = float(counts[counts > 1].sum()) / max(len(train_keys), 1)
    honest = max(2 * repeated, repeated + 3 * math.sqrt(repeated / max(len(val_keys), 1))) if by_chance else 0.0
    return Finding(
        name="overlap",
        trouble=len(val_keys) >= fewest and shared > threshold and shared > honest,
        numbers={"share_of_validation": shared, "share_repeated_in_training": repeated},
        threshold=threshold,
        relation="no validation example may be a training example",
        advice="split before windows are cut, examples augmented or rows oversampled, and split by source",
    )


def is_continuous(inputs: Tensor, fewest: int = 32, most: int = 64) -> bool:
    """Tell whether some feature of inputs (N, ...) has a value of its own in each unlike row, so that none come twice.

    Whole numbers may, and `most` features that are looked at stand for all.
    """
    if not inputs.is_floating_point() or inputs.dim() == 0:
        return False
    flat = inputs.detach().reshape(len(inputs), -1)
    flat = flat[:, :: max(1, flat.shape[1] // most)]
    rows = torch.unique(flat, dim=0)
    values = max((len(torch.unique(column)) for column in rows.T), default=0)
    return len(rows) >= fewest and values >= 0.9 * len(rows) and bool((rows != rows.round()).any())


def check_one_row_of_batch(batches: Sequence[Tensor], fewest: int = 3, fewest_rows: int = 16) -> Finding:
    """Find out whether all rows (B, ...) of a batch are one, which is another in other batches, though it was shuffled.

    Of batches that were drawn at random the rows are unlike, if those of several batches are: judged are `fewest`
    batches, of `fewest_rows` beside their first ones.
    """
    judged = [batch for batch in batches if len(batch) > 1]
    alike = [bool((batch == batch[:1]).all()) for batch in judged]
    unlike, n_others = len({int(row_keys(batch[:1])) for batch in judged}), sum(len(batch) - 1 for batch in judged)
    enough = len(judged) >= fewest and n_others >= fewest_rows
    return Finding(
        name="one_row_of_batch",
        trouble=enough and all(alike) and 2 * unlike > len(alike),
        numbers={"batches": float(len(alike)), "of_one_row": float(sum(alike)), "unlike": float(unlike)},
        threshold=float(fewest),
        relation="a batch that is drawn at random must hold the rows of its own examples: here one stands for all",
        advice="look for a fixed index in the collate_fn, batch[0] for batch[i]",
    )


def check_sorted_labels(labels: Sequence[Tensor], threshold: float = 0.5) -> Finding:
    """Find out whether batches hold few of the classes: their labels' entropy is below `threshold` of that of all.

    Labels are (B,) class indices of batches in the order of an epoch. A curriculum from easy to hard passes.
    """
    sizes = [len(batch) for batch in labels]
    whole = torch.cat([batch.flatten() for batch in labels])
    total = _entropy(whole)
    within = sum(_entropy(batch) * size for batch, size in zip(labels, sizes, strict=True)) / max(len(whole), 1)
    highest = min(total, math.log(max(sum(sizes) / max(len(sizes), 1), 1)))  # a batch of n holds n classes at most
    enough = len(labels) >= 3 and sum(sizes) / len(sizes) >= 8 and total > 0
    return Finding(
        name="sorted_labels",
        trouble=enough and within < threshold * highest,
        numbers={"entropy_within_batches": within, "entropy_of_all": total, "highest_within": highest},
        threshold=threshold,
        relation="a batch must stand for the whole: its labels as mixed as all labels",
        advice="shuffle the training examples: DataLoader(..., shuffle=True)",
    )


def _entropy(labels: Tensor) -> float:
    _, counts = torch.unique(labels, return_counts=True)
    shares = counts.double() / counts.sum()
    return float(-(shares * shares.log()).sum())


def check_labels_out_of_range(labels: Tensor, n_outputs: int, n_classes: int | None = None) -> Finding:
    """Find out whether class indices miss the outputs: negative ones other than -100, too large ones, other counts."""
    real = labels[labels != -100]
    lowest, highest = (int(real.min()), int(real.max())) if len(real) else (0, 0)
    outside = lowest < 0 or highest >= n_outputs
    counted = n_classes is not None and n_outputs != n_classes
    return Finding(
        name="labels_out_of_range",
        trouble=outside or counted,
        numbers={"lowest": float(lowest), "highest": float(highest), "outputs": float(n_outputs)},
        threshold=float(n_classes if n_classes is not None else n_outputs),
        relation="there must be one output for each class, and labels from 0 to one less",
        advice="number the classes from 0, and give the last layer as many outputs as there are classes",
    )
