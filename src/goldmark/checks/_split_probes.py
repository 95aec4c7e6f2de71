"""The probes of a preflight that concern the two halves: what they share, and how they were made into batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, default_collate

from goldmark.case import Finding
from goldmark.checks import _data, _edges
from goldmark.checks._augmentation import Draw, are_points, check_misaligned_augmentation
from goldmark.checks._categories import are_categories, check_category_numbering
from goldmark.checks._elsewhere import are_marked, check_masks_elsewhere
from goldmark.checks._labels import check_constant_labels
from goldmark.checks._loaders import check_reordered_inputs, collate_of, draws_examples, shuffles
from goldmark.checks._loss_probes import indexed
from goldmark.checks._losses import is_classes
from goldmark.checks._mixup import check_mixed_targets
from goldmark.checks._outputs import gradient_at
from goldmark.checks._passes import N_EXAMPLES, ForwardPass, Half, observed
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._scale import check_standardised_batches
from goldmark.checks._split import check_split_by_class
from goldmark.checks._structures import UNFIT, call, first_tensor, map_tensors, size_of, tensors_of
from goldmark.checks._windows import check_overlapping_windows

_MOST_COLUMNS = 32  # that are looked at
_MOST_WINDOWS = 1_024  # of a half that are compared
_MOST_NUMBERS = 65_536  # of targets that are sorted
_FEW = 16  # values of a target that may be a code of classes
_FEWEST_NUMBERS = 4  # of a batch, all unlike, that have mean 0 and sd 1 in several batches by no chance
_MOST_COLLATED = 32  # examples
_FEWEST, _FEWEST_OF_TWO = 32, 128  # examples of a half that have one label by no chance: one of two may be rare
_DRAWN, _N_DRAWS, _N_TRIED = 8, 4, 2  # examples, times each, examples of which one must vary


def _overlap(look: Look) -> Finding | None:
    """Compare examples with their targets: one graph may hold both halves, told apart by a mask among the targets."""
    if look.val is None or _are_nodes(look):
        return None
    chance = not _data.is_continuous(look.train.inputs())
    return _data.check_overlap(look.train.pair_keys, look.val.pair_keys, by_chance=chance)


def _are_nodes(look: Look) -> bool:
    """Tell whether inputs are nodes of a graph, and targets of some of them: any may stand there as a neighbour."""
    inputs, targets = look.train.batches[0]
    tensors, n_nodes = list(tensors_of(inputs)), size_of(inputs)
    has_edges = any(_edges.are_edges(one, n_nodes) for one in tensors)
    return n_nodes != size_of(targets) and has_edges and not any(map(_edges.are_graphs, tensors))


def _category_numbering(look: Look) -> Iterator[Finding]:
    """Judge each column of whole numbers (N,) or (N, F), beside one target (N,) for each example."""
    if look.val is None or not look.reads_targets:
        return
    targets, val_targets = (half.targets().squeeze(-1) for half in (look.train, look.val))
    inputs, val_inputs = (half.inputs() for half in (look.train, look.val))
    fits = not inputs.is_floating_point() and inputs.dim() <= 2 and targets.dim() == 1
    if not fits or any(len(x) != len(y) for x, y in ((inputs, targets), (val_inputs, val_targets))):
        return
    if not all(_are_few(one) for one in (targets, val_targets)):
        return
    codes, val_codes = (one.reshape(len(one), -1).cpu() for one in (inputs, val_inputs))
    for column, val_column in zip(codes.T[:_MOST_COLUMNS], val_codes.T[:_MOST_COLUMNS], strict=False):
        if are_categories(column) and are_categories(val_column):
            yield check_category_numbering(column, targets.cpu(), val_column, val_targets.cpu())


def _are_few(targets: Tensor) -> bool:
    """Tell whether targets are finite numbers, or few classes."""
    few = targets.is_floating_point() or (int(targets.min()) >= 0 and int(targets.max()) < _FEW)
    return bool(few and targets.isfinite().all())


def _split_by_class(look: Look) -> Finding | None:
    """Judge a loss over output classes of which each has weights of its own, that only its examples can train.

    Where the weights of a class are made of what describes it, classes without examples are meant to be told.
    """
    output, targets = look.first.output, look.first.targets
    if look.val is None or not look.train.labels or not look.val.labels or not isinstance(output, Tensor):
        return None
    if not isinstance(targets, Tensor) or not is_classes(output, targets) or targets.dim() != 1:
        return None
    known = look.train.whole or shuffles(look.train_batches)
    n_classes = output.shape[1]
    own = _has_weights_of(look, n_classes)
    if not known or not look.val.whole or not own or not _pulls_on_labels(look, output, targets):
        return None
    labels, val_labels = (torch.cat(half.labels).cpu() for half in (look.train, look.val))
    inside, val_inside = (one[(one >= 0) & (one < n_classes)] for one in (labels, val_labels))
    return check_split_by_class(inside, val_inside)


def _has_weights_of(look: Look, n_classes: int) -> bool:
    """Tell whether classes have weights of their own, which the model trains."""
    return any(n_classes in parameter.shape for parameter in look.reached if id(parameter) in look.names)


def _tells_by_weights_of(look: Look, n_classes: int) -> bool:
    """Tell whether some weights give the first output (B, C) alone, and others as they lie the second one alone."""
    kept = [one for one in look.model.parameters() if n_classes in one.shape and one.requires_grad]
    look.model.eval()
    output = call(look.model, look.first.inputs)
    ends = [torch.autograd.grad(output.select(1, c).sum(), kept, retain_graph=True, allow_unused=True) for c in (0, 1)]
    for first, second in zip(*ends, strict=True):
        for dim in range(0 if first is None or second is None else first.dim()):
            rows = [[bool(one.select(dim, c).any()) for c in (0, 1)] for one in (first, second) if one.shape[dim] > 1]
            if rows == [[True, False], [False, True]] and first.shape[dim] == n_classes:
                return True
    return False


def _constant_labels(look: Look) -> Finding | None:
    """Judge class ids, all of them or, of more than two classes, those of examples that a loader has drawn.

    Where classes have no weights of their own, the first may be the right one for every example, as of a contrast.
    """
    output, targets = look.first.output, look.first.targets
    if look.val is None or not isinstance(output, Tensor) or not isinstance(targets, Tensor):
        return None
    if not is_classes(output, targets) or not look.reads_targets or not indexed(look, None, output):
        return None
    n_classes, whole = output.shape[1], look.train.whole and look.val.whole
    drawn = n_classes > 2 and shuffles(look.train_batches)
    if not (whole or drawn) or not _has_weights_of(look, n_classes):
        return None
    fewest = _FEWEST if n_classes > 2 else _FEWEST_OF_TWO
    finding = check_constant_labels(look.train.ends, look.val.ends, n_classes, fewest)
    return finding if not finding.trouble or _tells_by_weights_of(look, n_classes) else None


def _pulls_on_labels(look: Look, output: Tensor, targets: Tensor) -> bool:
    """Tell whether a loss wants more of the output (B, C) at the index of each target (B,) than of any other."""
    gradient = gradient_at(look.loss_fn, output, targets)
    read = gradient.any(dim=1) & (targets >= 0) & (targets < output.shape[1])
    at_label = gradient[read].gather(1, targets[read].long()[:, None]).squeeze(1)
    return bool(read.any()) and bool(((at_label < 0) & (at_label <= gradient[read].amin(dim=1))).all())


def _overlapping_windows(look: Look) -> Finding | None:
    """Judge windows (N, T) or (N, T, F) of numbers; whole numbers may repeat by chance."""
    if look.val is None:
        return None
    halves = [half.inputs() for half in (look.train, look.val)]
    train, val = (one[..., None] if one.dim() == 2 else one for one in halves)
    fits = all(one.is_floating_point() and one.dim() == 3 and 8 <= one.shape[1] <= 256 for one in (train, val))
    if not fits or train.shape[1:] != val.shape[1:] or torch.equal(val, val.round()):
        return None
    return check_overlapping_windows(train[:_MOST_WINDOWS], val[:_MOST_WINDOWS], threshold=0.5, continued=True)


def _split_statistics(look: Look) -> Finding | None:
    """Compare inputs, and where those agree targets that are numbers: a series that drifts moves both."""
    if look.val is None or not look.train.inputs().is_floating_point():
        return None
    finding = _data.check_split_statistics(look.train.inputs(), look.val.inputs())
    if finding.trouble:
        return _split_in_the_model(look, finding)
    if not finding.numbers or not look.reads_targets:
        return finding
    train, val = (_rows_of_numbers(half.targets()) for half in (look.train, look.val))
    several = len(torch.unique(train.flatten()[:: 1 + train.numel() // _MOST_NUMBERS])) > _FEW
    return _data.check_split_statistics(train, val) if several and train.shape[1] == val.shape[1] else finding


def _split_in_the_model(look: Look, finding: Finding) -> Finding:
    """Return the finding on what the first layer gets where a model scales each example by itself, as of a trend."""
    train = _given_to_first_layer(look, look.train)
    val = None if look.val is None else _given_to_first_layer(look, look.val)
    return finding if train is None or val is None else _data.check_split_statistics(train, val)


def _given_to_first_layer(look: Look, half: Half) -> Tensor | None:
    """Return what the first layer with weights gets of a half, in eval mode; None where it is of another shape."""
    parts, device, shape = [], look.first.first_output.device, half.inputs().shape
    look.model.eval()
    for inputs, _ in half.batches:
        one = ForwardPass(inputs=map_tensors(lambda tensor: tensor.to(device, copy=True), inputs), targets=None)
        with torch.no_grad(), observed(look.model, one):
            call(look.model, one.inputs)
        layers = [module for module in one.first_input if next(module.parameters(recurse=False), None) is not None]
        parts += [x for x in map(one.first_input.get, layers[:1]) if x is not None and x.shape[1:] == shape[1:]]
    return torch.cat(parts) if sum(map(len, parts)) == len(half.inputs()) else None


def _rows_of_numbers(targets: Tensor) -> Tensor:
    """Return the finite rows of targets as (N, D); none where they are whole numbers."""
    rows_of = targets.reshape(len(targets), -1)
    return rows_of[rows_of.isfinite().all(dim=1)] if targets.is_floating_point() else rows_of[:0]


def _standardised_batches(look: Look) -> Iterator[Finding]:
    """Judge targets, as the loss takes them, and a table, where batches were dealt from one set.

    A loader drew them, or the last is smaller. Others may be groups, each of which is meant to have its own scale.
    """
    inputs = [first_tensor(one) for one, _ in look.train.batches]
    targets = [_compared_with(look, one) for _, one in look.train.batches]
    sizes = [size_of(one) for one in targets]
    whole = len(look.train.keys) < N_EXAMPLES and sizes[0] > 0
    dealt = whole and len(look.train.keys) % sizes[0] > 0 and len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]
    if not dealt and not draws_examples(look.train_batches, sizes[0]):
        return
    table = inputs[0] is not None and inputs[0].dim() == 2
    for side, fits, least in ((inputs, table, 8), (targets, look.reads_targets, _FEWEST_NUMBERS)):
        batches = [one for one in side if one is not None and one.is_floating_point() and one.dim()]
        if fits and len(batches) == len(sizes):
            yield check_standardised_batches(batches, least=least)


def _compared_with(look: Look, targets: Any) -> Tensor | None:
    """Return the numbers (B, ...) that a loss takes the mean squared distance from; of another loss, the targets.

    The gradient of a square is a line, of which two points tell where it is 0.
    """
    output, given = look.first.output, first_tensor(targets)
    if not isinstance(output, Tensor) or given is None or given is not targets or not given.dim():
        return given
    if not given.is_floating_point() or output.shape[1:].numel() != given.shape[1:].numel():
        return given
    zero = torch.zeros(len(given), *output.shape[1:], dtype=output.dtype, device=output.device)
    try:
        ends = [gradient_at(look.loss_fn, one, given.to(output.device)) for one in (zero, zero + 1)]
    except UNFIT:
        return given
    slope: Tensor = ends[1] - ends[0]
    return -ends[0] / slope if bool((slope > 0).all() and (slope > 0.999 * slope.max()).all()) else given


def _one_row_of_batch(look: Look) -> Iterator[Finding]:
    """Judge what is kept of batches that a loader has drawn at random."""
    if look.reads_targets and shuffles(look.train_batches):
        for place in (0, 1):
            sides = [first_tensor(batch[place]) for batch in look.train.batches]
            yield _data.check_one_row_of_batch([one for one in sides if one is not None and one.dim() > 0])


def _reordered_inputs(look: Look) -> Finding | None:
    """Collate some examples in several orders, where the program has a way of its own to do so."""
    loader: Any = look.train_batches
    if not look.reads_targets or not _reads_by_index(loader) or collate_of(loader) is default_collate:
        return None
    chosen = torch.linspace(0, len(loader.dataset) - 1, min(_MOST_COLLATED, len(loader.dataset)))
    return check_reordered_inputs(collate_of(loader), [loader.dataset[index] for index in chosen.long().tolist()])


def _mixed_targets(look: Look) -> Finding | None:
    """Collate some examples whose inputs are tensors, as many as these have numbers, and compare both."""
    loader: Any = look.train_batches
    if not look.reads_targets or not _reads_by_index(loader) or collate_of(loader) is default_collate:
        return None
    n = min(_MOST_COLLATED // 2, len(loader.dataset), look.train.inputs()[0].numel())
    examples = [loader.dataset[index] for index in range(n)]
    (inputs, targets), (mixed_inputs, mixed) = _made(default_collate, examples), _made(collate_of(loader), examples)
    if not targets.is_floating_point() and mixed.is_floating_point() and mixed.dim() == targets.dim() + 1:
        targets = functional.one_hot(targets, mixed.shape[-1])
    if inputs.shape != mixed_inputs.shape or targets.shape != mixed.shape or not mixed.is_floating_point():
        return None
    return check_mixed_targets(inputs, targets, mixed_inputs, mixed)


def _reads_by_index(loader: Any) -> bool:
    """Tell whether a loader is torch's own, of a dataset that gives any of its examples."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return False
    return type(loader).__iter__ is DataLoader.__iter__


def _misaligned_augmentation(look: Look) -> Finding | None:
    """Draw some examples again, where inputs (B, ..., H, W) have targets of the same height and width, or points."""
    inputs, targets = first_tensor(look.first.inputs), first_tensor(look.first.targets)
    if inputs is None or targets is None or not look.reads_targets or min(inputs.dim(), targets.dim() + 1) < 3:
        return None
    loader: Any = look.train_batches
    masks = targets.dim() > 2 and inputs.shape[-2:] == targets.shape[-2:]
    if not (masks or are_points(inputs, targets)) or not _reads_by_index(loader):
        return None
    drawn: list[list[Draw]] = []
    for index in range(min(_DRAWN, len(look.train.keys))):
        drawn.append([_made(collate_of(loader), [loader.dataset[index]]) for _ in range(_N_DRAWS)])
        if len(drawn) >= _N_TRIED and not any(_vary(draws) for draws in drawn):
            return None
    return check_misaligned_augmentation(drawn)


def _masks_elsewhere(look: Look) -> Finding | None:
    """Compare masks with their images in both halves, as their batches hold them."""
    if look.val is None or not look.reads_targets or look.train.targets().dim() < 3:
        return None
    halves = [(half.inputs(), half.targets()) for half in (look.train, look.val)]
    if not all(are_marked(*half) for half in halves):
        return None
    return check_masks_elsewhere(*halves[0], *halves[1])


def _made(collate: Any, examples: list[Any]) -> Draw:
    """Return the inputs and targets of a batch: copies, as a dataset may change what it has given."""
    inputs, targets = (first_tensor(part) for part in collate(map_tensors(Tensor.clone, examples)))
    if inputs is None or targets is None:
        raise ValueError("an example has no tensors")
    return inputs.detach().clone(), targets.detach().clone()


def _vary(draws: list[Draw]) -> bool:
    return any(not torch.equal(one, first) for draw in draws[1:] for one, first in zip(draw, draws[0], strict=True))


SPLIT_PROBES: tuple[Probe, ...] = (
    *(_category_numbering, _split_by_class, _overlap, _overlapping_windows, _split_statistics),
    *(_standardised_batches, _constant_labels, _one_row_of_batch),
    *(_reordered_inputs, _mixed_targets, _misaligned_augmentation, _masks_elsewhere),
)
