"""Watch a training loop as it runs: hooks on the model and its optimizers, dense at first and then sparse."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import register_optimizer_step_post_hook

from goldmark.case import Finding
from goldmark.checks._backward import BACKWARDS, BackwardCalls
from goldmark.checks._carried import States
from goldmark.checks._choices import CHOICES
from goldmark.checks._clipping import CLIPPINGS, ClippingCalls
from goldmark.checks._derivatives import DERIVATIVES, DerivativeCalls, check_derivative_without_graph
from goldmark.checks._findings import Findings
from goldmark.checks._modes import BATCHNORM, batch_dependent, check_eval_mode_left_on
from goldmark.checks._ownership import names_of, owned, trains
from goldmark.checks._preflight import KNOWN, Known
from goldmark.checks._record import Record
from goldmark.checks._restoring import RESTORING
from goldmark.checks._samples import Step, gradient_norm, take_sample, term_shares
from goldmark.checks._schedulers import SCHEDULES, STATES, factor_of, rates_of, schedule_state
from goldmark.checks._structures import UNFIT, first_tensor, reason
from goldmark.checks._updates import rounding_of, shares_gradient
from goldmark.checks._verdicts import judge

Optimizer = torch.optim.Optimizer
T = TypeVar("T")
_ACTIVE: weakref.WeakSet[Watch] = weakref.WeakSet()
_DENSE, _SPARSE = 8, 32  # the first steps are all looked at, then every so many
_MOST_PROBES = 4  # parameters whose incoming gradients are followed
_PROBE_SIZES = (8, 8_192)  # entries: a gradient with a hook is copied where it would have been handed over
_MOST_MATRICES = 4  # whose updates are measured
_PART = 65_536  # entries of each of them
_MOST_KEPT = 5_000_000  # entries of initial weights


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    accumulate: int = 1,
    frozen: Iterable[Any] = (),
) -> Watch:
    """Return a context in which a training loop is watched; `findings` says what is wrong, in it and after it.

    Call `after_backward` after every backward pass and before the step; without it only steps are seen, and the
    findings say so. `accumulate` declares how many backward passes make a step, `frozen` which modules or parameters
    must not move; what a `preflight` of the same model was told to be frozen is known. One watch per model and
    optimizer; optimizers that step together may be one sequence.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}; give the number of backward passes that make a step, 1 or more")
    optimizers = (optimizer,) if isinstance(optimizer, Optimizer) else tuple(optimizer)
    known = KNOWN.get(model, Known())
    record = Record(
        accumulate=accumulate,
        frozen=names_of(model, frozen),
        declared_frozen=known.frozen,
        n_batches=known.n_batches,
        labels=known.labels,
        states=States(example=known.shuffled),
    )
    return Watch(model, optimizers, record)


class Watch:
    """The context that `watch` returns."""

    def __init__(self, model: nn.Module, optimizers: tuple[Optimizer, ...], record: Record) -> None:
        self.model, self.optimizers, self.record = model, optimizers, record
        self._handles: list[Any] = []
        self._armed: list[Any] = []  # handles of a sampled step; empty in all others
        self._before: list[tuple[Tensor, Tensor]] = []  # matrices and their values before a step
        self._others = 0  # steps of other optimizers since the own last one
        self._uses_terms = False
        self._answered: torch.Size | None = None  # the shape of the model's last output
        self._calls, self._derivatives = BackwardCalls(pulls=record.pulls), DerivativeCalls()  # heard in sampled steps
        self._clipping = ClippingCalls(clipped=self._note_clipping, unscaled=self._note_unscaling)
        self._followed: list[nn.Parameter] = []  # whose gradients are followed
        self._arriving: dict[nn.Parameter, Tensor] = {}  # gradients that may be added to `.grad` next
        self._findings: Findings | None = None

    def __enter__(self) -> Self:
        """Set the hooks."""
        self.record.begin(self.model, self.optimizers, _MOST_KEPT)
        self._followed = self._probes()
        self._handles = [
            self.model.register_forward_pre_hook(self._before_forward),
            self.model.register_forward_hook(self._after_forward),
            *(optimizer.register_step_pre_hook(self._before_step) for optimizer in self.optimizers),
            *(optimizer.register_step_post_hook(self._after_step) for optimizer in self.optimizers),
            register_optimizer_step_post_hook(self._after_any_step),
            *(_hook(parameter, partial(self._arrives, parameter)) for parameter in self._followed),
            *(_accumulate_hook(parameter, self._arrived) for parameter in self._followed),
        ]
        _ACTIVE.add(self)
        self._listen_to_restoring()
        SCHEDULES.add(self._note_schedule)
        STATES.add(self._note_state)
        CLIPPINGS.add(self._clipping)
        CHOICES.add(self._note_choice)
        self._arm()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the hooks away, and judge."""
        self._disarm()
        for handle in self._handles:
            handle.remove()
        SCHEDULES.remove(self._note_schedule)
        STATES.remove(self._note_state)
        CLIPPINGS.remove(self._clipping)
        CHOICES.remove(self._note_choice)
        self._findings = self._judged()
        _ACTIVE.discard(self)

    def __reduce__(self) -> tuple[Callable[[], Watch], tuple[()]]:
        """Become an empty watch where a watched model is copied or saved, whose hooks go with it: it is not watched."""
        return _unwatched, ()

    @property
    def findings(self) -> Findings:
        """What is wrong with the loop so far, the cause before its symptoms; empty: nothing was seen."""
        return self._judged() if self._findings is None else self._findings

    def _judged(self) -> Findings:
        together = {id(other.model) for other in _ACTIVE} - {id(self.model)}
        self.record.alone &= not together
        return judge(self.record, self.model, self.optimizers)

    def after_backward(
        self,
        batch: Any = None,
        output: Any = None,
        loss: Tensor | None = None,
        terms: Mapping[str, Any] | None = None,
    ) -> None:
        """Take note of a backward pass: its batch `(inputs, targets)`, the output, the loss and, by name, its terms.

        Pass the tensors themselves, with their graph. Every argument may be left out, and what needs it is not judged.
        """
        record = self.record
        record.backward_passes += 1
        record.since_step += 1
        record.asleep = 0 if self.model.training else record.asleep + 1
        if record.asleep == 1:
            record.mode = check_eval_mode_left_on(self.model)
        if isinstance(loss, Tensor):
            record.losses.append(loss.detach())
        self._uses_terms = self._uses_terms or bool(terms)
        if not self._armed or record.since_step > record.accumulate:
            record.note_weightless(terms or {}, None)
            return
        try:
            self._sample(batch, output, loss, terms or {})
        except UNFIT as error:  # a watch must not end the training that it watches
            record.notes.append(f"a backward pass was not judged: {reason(error)}")
        self._derivatives.taken.clear()

    def _sample(self, batch: Any, output: Any, loss: Tensor | None, terms: Mapping[str, Any]) -> None:
        sample = take_sample(self.model, batch, output, loss, terms, self.record.steps)
        graph = [loss.grad_fn] if isinstance(loss, Tensor) else []
        again = self.record.roots.started_again(self._calls.whole, self.record.steps)
        self.record.doubled.append(again and self.record.adds_up_twice(self._others))
        self.record.roots.note([*self._calls.nodes, *graph], self.record.steps)
        sample.findings += self._calls.findings
        sample.root = self._calls.value()
        self.record.pulls.end_pass(owned(self.optimizers))
        self.record.note_weightless(terms, sample.weightless)
        sample.findings += self._judge_derivatives(loss, terms)
        self.record.keep(sample)
        self.record.states.note_batch(batch)
        self.record.follow_gradients(self._others)
        self.record.compare_statistics()
        if self._calls.keeps_graph and isinstance(loss, Tensor) and terms:
            BACKWARDS.remove(self._calls)
            try:
                sample.term_shares = term_shares(loss, terms)
                self.record.slopes.note(loss, terms)
            finally:
                BACKWARDS.add(self._calls)

    def _judge_derivatives(self, loss: Any, terms: Mapping[str, Any]) -> list[Finding]:
        """Judge a loss beside derivatives without a graph of what depends on weights, by inputs that nothing trains."""
        if not self._derivatives.taken or not isinstance(loss, Tensor):
            return []
        trained = owned((*self.optimizers, *self.record.strangers))
        inputs = self._derivatives.inputs_beside({*map(id, self.model.parameters()), *trained})
        return [check_derivative_without_graph(loss, terms, inputs)] if inputs else []

    def end_epoch(self) -> None:
        """Take note that an epoch has ended, after the scheduler's step of that epoch if it has one."""
        self.record.epochs.append(self.record.steps)

    def _probes(self) -> list[nn.Parameter]:
        low, high = _PROBE_SIZES
        sparse = {id(m.weight) for m in self.model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
        mine = owned(self.optimizers)
        dense = [p for p in self.model.parameters() if p.requires_grad and id(p) in mine and id(p) not in sparse]
        fit = [parameter for parameter in dense if low <= parameter.numel() <= high]
        return _spread(fit or sorted(dense, key=torch.numel)[:1], _MOST_PROBES)

    def _arrives(self, parameter: nn.Parameter, gradient: Tensor) -> None:
        """Keep a gradient that was computed; `torch.autograd.grad` computes some that are never accumulated."""
        if self._armed and not gradient.is_sparse:
            self._arriving[parameter] = gradient.detach().clone()

    def _arrived(self, parameter: Tensor) -> None:
        """Note that a gradient has been added to `.grad`."""
        gradient = self._arriving.pop(parameter, None)  # type: ignore[call-overload]
        if gradient is not None:
            self.record.incoming.setdefault(parameter, []).append((self._others, gradient))  # type: ignore[arg-type]

    def _before_forward(self, module: nn.Module, inputs: Any) -> None:
        """Note passes without gradients in training mode, with layers that act otherwise in it."""
        if torch.is_grad_enabled():
            self.record.forward_passes += 1
            return
        if not module.training or self.record.steps == 0 or len(self.record.idle) >= 64:
            return
        first = first_tensor(inputs)
        acting = batch_dependent(module.modules())
        averaging = any(getattr(layer, "momentum", 0.1) is None for layer in acting)
        if first is not None and acting and not averaging:
            self.record.idle.append((self.record.steps, float(first.double().sum())))

    def _after_forward(self, module: nn.Module, inputs: Any, output: Any) -> None:
        first = first_tensor(output)
        self._answered = None if first is None else first.shape
        if self._armed and module.training and torch.is_grad_enabled():
            self.record.pulls.note(output)

    def _arm(self) -> None:
        """Set the hooks of a sampled step."""
        self._armed = [
            module.register_forward_hook(self._note_module)
            for module in self.model.modules()
            if isinstance(module, BATCHNORM) or next(module.parameters(recurse=False), None) is not None
        ]
        recurrent = [module for module in self.model.modules() if isinstance(module, nn.RNNBase)]
        self._armed += [one.register_forward_hook(self.record.reads.note, with_kwargs=True) for one in recurrent]
        self._armed.append(self.model.register_forward_hook(self._note_nothing))  # so that it is never empty
        compiled = type(self.model).__name__ == "OptimizedModule"  # its backward pass refuses to keep the graph
        self._calls.keeps_graph = self._uses_terms and not compiled
        BACKWARDS.add(self._calls)
        DERIVATIVES.add(self._derivatives)

    def _disarm(self) -> None:
        for handle in self._armed:
            handle.remove()
        self._armed = []
        self._arriving.clear()
        BACKWARDS.remove(self._calls)
        self._calls.forget_nodes()
        self.record.pulls.forget()
        DERIVATIVES.remove(self._derivatives)
        self._derivatives.taken.clear()

    def _note_schedule(self, scheduler: Any, metric: float | None) -> None:
        if any(scheduler.optimizer is own for own in self.optimizers):
            if metric is not None:
                heard = self.record.metrics.setdefault(scheduler, [])
                heard.append((len(self.record.losses), metric))
            if isinstance(scheduler, LambdaLR) and (scheduler.last_epoch == 0 or scheduler in self.record.factors):
                self.record.factors.setdefault(scheduler, []).append(factor_of(scheduler))
        elif isinstance(getattr(scheduler, "optimizer", None), Optimizer):
            self.record.foreign.setdefault(scheduler, rates_of([scheduler.optimizer]))

    def _note_state(self, optimizer: Any, groups: list[dict[str, Any]]) -> None:
        if any(optimizer is own for own in self.optimizers):
            self.record.copies.note(groups)

    def _note_clipping(self, parameters: Sequence[Tensor], limit: float) -> None:
        if self._armed and {id(one) for one in parameters} & {id(one) for one in self._followed}:
            self.record.clips.note(limit, came_in=bool(self.record.incoming))

    def _note_unscaling(self, optimizer: Any, scaler: Any) -> None:
        if self._armed and any(optimizer is own for own in self.optimizers):
            self.record.clips.note_unscaling(float(scaler.get_scale()))

    def _listen_to_restoring(self) -> None:
        """Hear for as long as somebody has this watch: who keeps the best weights loads them after the loop."""
        heard: Any = weakref.WeakMethod(self._note_restoring)
        RESTORING.add(heard)
        weakref.finalize(self, RESTORING.remove, heard)

    def _note_restoring(self, module: nn.Module, state: Mapping[str, Any]) -> None:
        steps, restored = self.record.steps, self.record.restored
        trained = module is self.model or trains(module, self.optimizers)
        if steps == 0 or not (trained or self in _ACTIVE):
            return
        try:
            restored.note(module, state, steps, trained=trained)
        except UNFIT as error:
            self.record.notes.append(f"a state dict was not judged: {reason(error)}")
        if self._findings is not None:
            self._findings = Findings([*self._findings, *restored.findings], self._findings.notes)

    def _note_choice(self, name: str, tensor: Tensor, dim: int) -> None:
        if tensor.shape == self._answered and len(tensor) > 1 and dim % tensor.dim() > 0:
            self.record.chosen.note(name, tensor.shape[dim])

    def _note_nothing(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Leave a pass as it is."""

    def _note_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not self._armed:
            return
        if torch.is_grad_enabled():
            self.record.states.note(module, inputs, output)
            self.record.used |= {id(parameter) for parameter in module.parameters(recurse=False)}
        if isinstance(module, BATCHNORM) and module.training and module.running_mean is not None:
            self.record.normalised.setdefault(module, []).append(inputs[0].detach())

    def _before_step(self, optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
        if not any(self.record.own_steps):
            self.record.resumed = schedule_state(self.optimizers)
        if not self._armed:
            return
        self.record.note_zeroed()
        if optimizer is self.optimizers[-1]:
            self.record.note_repeated(self._followed)
            self.record.note_lost(self._others)
        matrices = [p for p in self.model.parameters() if p.dim() > 1 and p.requires_grad]
        self._before = [(p, _part(p).clone()) for p in _spread(matrices, _MOST_MATRICES)]
        norm, rate = gradient_norm(self.model.parameters()), max(rates_of([optimizer]), default=1.0)
        step = Step(norm=norm, rate=rate, overwritten=shares_gradient(optimizer))
        self.record.norms.append(step)
        if optimizer is self.optimizers[-1]:
            self.record.clips.end_step(step.norm, came_in=bool(self.record.incoming))

    def _after_step(self, optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
        record = self.record
        for place, own in enumerate(self.optimizers):
            record.own_steps[place] += own is optimizer
        if optimizer is not self.optimizers[-1]:
            return
        if self._before:
            record.norms[-1].ratio = _update_ratio(self._before)
            record.norms[-1].rounding = rounding_of(optimizer, self._before)
            self._before = []
        record.steps += 1
        record.counts.append(record.since_step)
        record.since_step, self._others = 0, 0
        record.incoming.clear()
        self._disarm()
        if record.steps < _DENSE or record.steps % _SPARSE == 0:
            self._arm()
        record.states.end_step(followed=bool(self._armed))

    def _after_any_step(self, optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
        if all(optimizer is not own for own in self.optimizers):
            self._others += 1
            self.record.strangers.add(optimizer)


def _unwatched() -> Watch:
    return Watch(nn.Identity(), (), Record())


def _hook(parameter: Any, note: Callable[[Tensor], None]) -> Any:
    """Call `note` with every gradient that comes in for a parameter, before it is added to `.grad`."""
    return parameter.register_hook(note)


def _accumulate_hook(parameter: Any, note: Callable[[Tensor], None]) -> Any:
    """Call `note` after every gradient that was added to `.grad`."""
    return parameter.register_post_accumulate_grad_hook(note)


def _spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    places = torch.linspace(0, len(items) - 1, most).round().long().tolist()
    return [items[place] for place in places]


def _part(parameter: Tensor) -> Tensor:
    """Return the first entries of a parameter, which stand for all of them."""
    return parameter.detach().flatten()[:_PART]


def _update_ratio(before: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Return the median length of updates over that of the weights."""
    changes = [float((_part(p) - old).norm() / (old.norm() + 1e-12)) for p, old in before]
    return float(torch.tensor(changes).median())
