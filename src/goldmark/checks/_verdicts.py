"""Verdicts of a watched run: each check put to what was taken down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks import _loaders, _losses, _modes, _networks, _ownership, _steps
from goldmark.checks._carried import check_carried_state
from goldmark.checks._clipping import check_clipped_before_unscaling, check_misplaced_clipping
from goldmark.checks._examples import FEWEST_EXAMPLES, check_examples_by_reference, check_one_example_read
from goldmark.checks._factors import check_schedule_factors, check_weightless_term
from goldmark.checks._findings import Findings
from goldmark.checks._flat import check_flat_term
from goldmark.checks._outcomes import results_of
from goldmark.checks._plateau import check_plateau_mode
from goldmark.checks._record import Record
from goldmark.checks._replay import check_repeated_backward, check_replayed_graph
from goldmark.checks._samples import FIRST_STEPS, Sample, answers_of, probabilities_of
from goldmark.checks._schedulers import (
    check_idle_optimizer,
    check_lost_rates,
    check_scheduled_optimizer,
    factor_of,
    factors_ahead,
    rates_of,
    schedulers_of,
)
from goldmark.checks._shares import check_dominated_gradient
from goldmark.checks._structures import UNFIT, reason
from goldmark.checks._updates import check_overwritten_state, check_rounded_updates

Optimizers = tuple[torch.optim.Optimizer, ...]
_ENOUGH_EPOCHS = 4  # before a weight is called 0 for good
_ENOUGH_COUNTED = 64  # answers for an accuracy
_OWNED = 0.9  # of the trunk's gradient: more of it leaves the other terms nothing


def judge(record: Record, model: nn.Module, optimizers: Optimizers) -> Findings:
    """Return the findings of a record."""
    findings: list[Finding] = []
    notes = list(record.notes)
    for part in _PARTS:
        try:
            findings += list(part(record, model, optimizers))
        except UNFIT as error:
            notes.append(f"{part.__name__.strip('_')} was not judged: {reason(error)}")
    if record.steps and not record.backward_passes:
        notes.append("after_backward was never called: only what the optimizer's steps show was judged")
    elif record.steps < 3:
        notes.append(f"{record.steps} optimizer steps were seen; most checks need a few more")
    return Findings(findings, notes)


def _often(findings: Sequence[Finding], fewest: int = 2) -> list[Finding]:
    """Return one finding for each name that meant trouble in at least `fewest` samples, and in half of all."""
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.name, []).append(finding)
    troubled = {name: [one for one in own if one.trouble] for name, own in by_name.items()}
    return [own[-1] for name, own in troubled.items() if len(own) >= fewest and 2 * len(own) >= len(by_name[name])]


def _sampled(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    once = {"target_scale", "not_finite", "unreachable_targets"}
    findings = [finding for sample in record.samples for finding in sample.findings]
    yield from (finding for finding in findings if finding.name in once and finding.trouble)
    yield from _often([finding for finding in findings if finding.name not in once])
    yield from _often(record.predictions.bounds)


def _gradients(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    following = record.following
    yield from _often(following.stale)
    yield from _often(following.lost)
    yield _steps.check_zeroed_gradients(*following.zeroed())
    yield from record.restored.findings
    yield from record.pulls.findings(model)
    yield check_replayed_graph(record.roots.passed)
    yield check_repeated_backward(following.doubled)
    yield _steps.check_repeated_steps(sum(following.repeated), len(following.repeated))
    yield check_misplaced_clipping(record.clips.steps)
    yield check_clipped_before_unscaling(record.clips.scaled)
    if record.norms and record.samples:
        norms = [step.norm for step in record.norms]
        whole = [sample.norm for sample in record.samples]
        clipped = any(after < 0.999 * before for before, after in zip(whole, norms, strict=False))
        yield _steps.check_exploding_gradient(norms, record.loss_values(), clipped=clipped)


def _reach(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    """Judge who owns what after a few backward passes, of which any may have reached a parameter."""
    reached: dict[int, Tensor] = {key: leaf for sample in record.samples for key, leaf in sample.reached.items()}
    yield _ownership.check_nothing_trainable(model, optimizers, reached)
    if len(record.samples) < 3 or not reached:
        return
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    awake = {key: name for key, name in names.items() if key in record.trainable or key in reached}  # not thawed later
    leaves = list(reached.values())
    declared = (*record.frozen, *record.declared_frozen)
    yield _ownership.check_unowned_parameters(names, leaves, optimizers, declared)
    yield _ownership.check_orphaned_parameters(names, leaves, optimizers)
    yield _ownership.check_graph_cut(awake, leaves, optimizers, record.used)
    yield _ownership.check_unused_parameters(awake, leaves, optimizers, record.used, record.frozen)
    mine = _ownership.owned(optimizers)
    yield _networks.check_hidden_parameters(model, [leaf for key, leaf in reached.items() if key not in mine])


def _movement(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and name in record.start}
    moved = [name for name, p in trained.items() if not torch.equal(p.detach(), record.start[name])]
    moved += ["another"] if any(step.ratio > 0 for step in record.norms) else []
    yield _steps.check_nothing_moves(len(moved), len(trained), record.backward_passes)
    if moved:
        stuck = [name for name in _with_gradients(record, optimizers, trained) if name not in moved]
        yield _steps.check_stuck_parameters(stuck, record.steps)
    ratios = [step.ratio for step in record.norms]
    yield _steps.check_learning_rate(ratios, record.loss_values())
    yield check_rounded_updates([step.rounding for step in record.norms if step.rounding is not None])
    yield check_overwritten_state(sum(step.overwritten for step in record.norms), len(record.norms))
    if record.frozen:
        yield _ownership.check_frozen_parameters_move(model, optimizers, record.frozen)
    yield _frozen_moved(record, model, (*optimizers, *record.strangers))


def _with_gradients(record: Record, optimizers: Optimizers, trained: Mapping[str, Tensor]) -> list[str]:
    """Return the weights of layers that got a gradient in most samples and are stepped at a rate above 0."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups if float(group.get("lr", 1)) > 0]
    stepped = {id(parameter) for group in groups for parameter in group["params"]}
    silent = [sample.silent_units for sample in record.samples if sample.silent_units]
    counts = {name: sum(name in one and not bool(one[name].all()) for one in silent) for name in trained}
    return [name for name, p in trained.items() if id(p) in stepped and 2 * counts[name] > len(silent) > 2]


def _frozen_moved(record: Record, model: nn.Module, optimizers: Optimizers) -> Finding:
    """Return whether something below a name that is declared frozen has changed, running statistics included.

    What a preflight was told may be thawed later, and is judged where it is frozen still. Weights that no optimizer
    moves follow others by the program's own hand, and the statistics beside them are theirs.
    """
    now = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    declared = (*record.frozen, *_still_frozen(model, record.declared_frozen))
    mine = {name for name in record.start if _ownership.is_declared(name, declared) and name in now}
    changed = {name for name in mine if not torch.equal(now[name].detach(), record.start[name])}
    given = {n for n, p in model.named_parameters() if n in changed and not _ownership.is_stepped(p, optimizers)}
    followers = [one for one in declared if any(_ownership.is_declared(name, [one]) for name in given)]
    statistics = {name for name, _ in model.named_buffers() if _ownership.is_declared(name, followers)}
    moved = sorted(changed - given - statistics)
    return Finding(
        name="frozen_parameters_move",
        trouble=bool(moved),
        numbers={"moved": float(len(moved)), "declared": float(len(mine))},
        threshold=0.0,
        relation=f"what is declared frozen must not change: {', '.join(moved[:5])}",
        advice="requires_grad_(False) on its parameters, and eval() on its BatchNorm layers",
    )


def _still_frozen(model: nn.Module, declared: Sequence[str]) -> Iterator[str]:
    """Yield the names of modules all of whose parameters are declared frozen, and are."""
    for name, module in model.named_modules():
        own = {f"{name}.{below}": parameter for below, parameter in module.named_parameters()}
        if own and all(_ownership.is_declared(one, declared) and not p.requires_grad for one, p in own.items()):
            yield name


def _values(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    values = torch.tensor(record.loss_values(), dtype=torch.float64)
    compared = [sample for sample in record.samples if sample.n_compared >= FEWEST_EXAMPLES]
    places = [sample.lone_place for sample in compared]
    yield check_one_example_read(min((sample.n_compared for sample in compared), default=0), places)
    forwards = record.forward_passes / max(record.backward_passes, 1)
    keys = {sample.batch_key for sample in record.samples if sample.batch_key is not None}
    yield check_examples_by_reference([sample.one_example for sample in record.samples], len(keys))
    yield _losses.check_zero_loss(values)
    yield _losses.check_constant_loss(values, len(keys))
    yield _loaders.check_one_batch(len(keys), len(record.samples), record.n_batches, forwards)


def _modes_of(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    if record.mode is not None and record.asleep >= 2:
        yield record.mode
    elif fallen := record.falls.fallen(record.epochs):
        yield _modes.check_eval_mode_left_on(model, fallen)
    was_training = [size for size in (sample.batch_size for sample in record.samples) if size]
    if model.training:
        yield _modes.check_batchnorm_of_one(model, was_training)
    yield _modes.check_validation_in_training_mode(record.idle, record.steps)
    yield from (finding for finding in record.gaps if finding.trouble)
    yield check_carried_state(record.states.carried)
    yield from record.reads.findings()


def _accumulation(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    terms = _steps_of_one_batch(record)
    micro = [sample for sample in record.samples if sample.step not in terms]
    started = [(sample.loss if sample.root is None else sample.root, sample.known) for sample in micro]
    judged = [(value, known) for value, known in started if value is not None]
    yield _steps.check_accumulation_undivided(judged, record.accumulate)
    yield _steps.check_accumulation_count(record.counts, record.accumulate)
    if record.accumulate > 1:
        windows: dict[int, list[int]] = {}
        for sample in record.samples:
            if sample.n_targets is not None:
                windows.setdefault(sample.step, []).append(sample.n_targets)
        yield _steps.check_unequal_micro_batches(list(windows.values()))


def _steps_of_one_batch(record: Record) -> set[int]:
    """Return the steps before which several losses of one batch were back-propagated, which are meant to add up."""
    batches: dict[int, list[int | None]] = {}
    for sample in record.samples:
        batches.setdefault(sample.step, []).append(sample.batch_key)
    return {step for step, keys in batches.items() if len(keys) > 1 and None not in keys and len(set(keys)) == 1}


def _schedule(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    if record.resumed is not None:
        yield _steps.check_schedule_restarted(**vars(record.resumed))
    yield check_lost_rates(record.copies.written(), record.rates, rates_of(optimizers))
    yield check_scheduled_optimizer(optimizers, record.rates, record.foreign, record.strangers)
    yield check_idle_optimizer(optimizers, record.own_steps, record.backward_passes, record.strangers)
    yield _steps.check_rate_of_zero([(step.place, step.rate) for step in record.norms], record.steps)
    schedulers = schedulers_of(optimizers) if record.steps >= 8 else []
    started = [scheduler for scheduler in schedulers if getattr(scheduler, "last_epoch", 0) > 0]
    for scheduler in started or schedulers:  # of several, some may be meant to start later
        yield _steps.check_schedule_pace(scheduler, record.steps, record.epochs)


def _factors(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    for scheduler, heard in record.factors.items():
        factors, ahead = [*heard, factor_of(scheduler)], factors_ahead(scheduler)
        yield check_schedule_factors(float(scheduler.base_lrs[0]), factors, ahead=ahead)
    if len(record.epochs) >= _ENOUGH_EPOCHS:
        yield check_weightless_term({*(record.weightless or ()), *(record.unread or ())}, record.steps)
    yield check_flat_term(record.slopes.flat)


def _plateau(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    losses = record.loss_values()
    for scheduler, heard in record.metrics.items():
        starts = [0, *(n_losses for n_losses, _ in heard)]
        parts = [(losses[a:b], metric) for a, (b, metric) in zip(starts, heard, strict=False) if b > a]
        means = [sum(part) / len(part) for part, _ in parts]
        accuracy = _first_accuracy(record, heard[0][0])
        yield check_plateau_mode(scheduler.mode, [metric for _, metric in parts], means, accuracy=accuracy)


def _first_accuracy(record: Record, n_losses: int) -> float | None:
    """Return the accuracy on the last of the first batches, before so many losses; None where it is unknown.

    They are all unlike, and of the steps that all are looked at: too few to have come twice.
    """
    first = [sample for sample in record.samples if sample.step < min(FIRST_STEPS, n_losses // record.accumulate)]
    answers = answers_of(first)
    if answers is None or len({sample.batch_key for sample in first}) < len(first):
        return None
    probabilities = probabilities_of(answers[0], answers[1])
    if probabilities is None or answers[2].numel() != len(probabilities) < _ENOUGH_COUNTED:
        return None
    return float((probabilities.argmax(1) == answers[2].flatten().long()).double().mean())


def _units(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    """Judge units of hidden layers that got no gradient in any of the last samples, while something did."""
    samples = record.samples[-4:]
    last = [sample.silent_units for sample in samples]
    if len(last) < 4 or record.steps < 8 or not last[0] or not all(sample.norm > 0 for sample in samples):
        return
    names = [name for name in last[0] if all(name in silent for silent in last)]
    dead = {name: torch.stack([silent[name] for silent in last]).all(dim=0) for name in names}
    if len(names) > 1:
        yield _networks.check_silent_units({name: dead[name] for name in names[:-1] if len(dead[name]) >= 4})


def _terms(record: Record, model: nn.Module, optimizers: Optimizers) -> Iterator[Finding]:
    """Judge whether one term has the shared weights to itself while another stays as it was, or is drowned for good.

    A small penalty beside a loss of the order of 1 is neither; nor is a term that a model trains against, by an
    optimizer of its own.
    """
    with_shares = [sample for sample in record.samples if sample.term_shares]
    if len(with_shares) < 4:
        return
    names = list(with_shares[0].term_shares)
    usual = {name: _median([sample.term_shares.get(name, 0.0) for sample in with_shares]) for name in names}
    owner = max(names, key=lambda name: usual[name])
    others = [name for name in names if name != owner and name not in with_shares[0].meant_small]
    free = record.alone and not record.strangers
    starved = [name for name in others if (free and _stays(with_shares, name)) or _drowns(with_shares, owner, name)]
    if starved and sum(usual.values()) > 0:
        yield check_dominated_gradient(usual, owner, _OWNED)


def _stays(samples: Sequence[Sample], name: str) -> bool:
    """Tell whether a term has not fallen by a tenth, nor doubled, as one that starts from nothing does.

    A term below a tenth was given a small weight, and is meant to be drowned.
    """
    values = [sample.terms.get(name, 0.0) for sample in samples]
    early, late = _median(values[:3]), _median(values[-3:])
    return early >= 0.1 and 0.9 < late / early < 2


def _drowns(samples: Sequence[Sample], owner: str, name: str, factor: float = 50.0, large: float = 20.0) -> bool:
    """Tell whether a term that is large by itself stays at a multiple of another."""
    values = [(sample.terms.get(owner, 0.0), sample.terms.get(name, 0.0)) for sample in samples]
    return all(owned > large and owned > factor * abs(other) for owned, other in values)


def _median(values: Sequence[float]) -> float:
    return float(torch.tensor(list(values), dtype=torch.float64).median()) if values else 0.0


_Part = Callable[[Record, nn.Module, Optimizers], Iterator[Finding]]
_PARTS: tuple[_Part, ...] = (
    *(_sampled, _gradients, _reach, _movement, _values, _modes_of, _accumulation, _schedule, _plateau, _units, _terms),
    _factors,
    results_of,
)
