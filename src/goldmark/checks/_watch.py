"""Watch a training loop as it runs: hooks on the model and its optimizers, dense at first and then sparse."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from goldmark.case import Finding
from goldmark.checks._backward import BACKWARDS, BackwardCalls
from goldmark.checks._carried import States
from goldmark.checks._derivatives import DERIVATIVES, DerivativeCalls, check_derivative_without_graph
from goldmark.checks._findings import Findings
from goldmark.checks._listening import Listening
from goldmark.checks._modes import BATCHNORM, batch_dependent, check_eval_mode_left_on
from goldmark.checks._ownership import names_of, owned, trains
from goldmark.checks._preflight import KNOWN, Known
from goldmark.checks._record import Record
from goldmark.checks._restoring import RESTORING
from goldmark.checks._samples import Step, gradient_norm, take_sample, term_shares
from goldmark.checks._schedulers import rates_of, schedule_state
from goldmark.checks._structures import UNFIT, first_tensor, reason
from goldmark.checks._unread import unread_terms
from goldmark.checks._updates import matrices_of, ratio_of, rounding_of, shares_gradient
from goldmark.checks._verdicts import judge

Optimizer = torch.optim.Optimizer
_ACTIVE: weakref.WeakSet[Watch] = weakref.WeakSet()
_DENSE, _SPARSE = 8, 32  # the first steps are all looked at, then every so many
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
        self._armed: list[Any] = []  # handles of a sampled step
        self._before: list[tuple[Tensor, Tensor]] = []  # matrices and their values before a step
        self._uses_terms = self._within = False  # terms were given; the model's own forward pass goes on
        self._calls, self._derivatives = BackwardCalls(pulls=record.pulls), DerivativeCalls()  # heard in sampled steps
        self._listening = Listening(record, optimizers)
        self._findings: Findings | None = None

    def __enter__(self) -> Self:
        """Set the hooks."""
        self.record.begin(self.model, self.optimizers, _MOST_KEPT)
        self._handles = [
            *(one.register_forward_pre_hook(self._before_forward) for one in _hookable([self.model])),
            *(one.register_forward_hook(self._after_forward, with_kwargs=True) for one in _hookable([self.model])),
            *(optimizer.register_step_pre_hook(self._before_step) for optimizer in self.optimizers),
            *(optimizer.register_step_post_hook(self._after_step) for optimizer in self.optimizers),
            register_optimizer_step_post_hook(self._after_any_step),
            *self.record.following.begin(self.model, self.optimizers),
        ]
        _ACTIVE.add(self)
        self._listen_to_restoring()
        self._listening.begin()
        self._arm()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the hooks away, and judge."""
        self._disarm()
        for handle in self._handles:
            handle.remove()
        self._listening.end()
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
        self.record.alone &= not self._together()
        return judge(self.record, self.model, self.optimizers)

    def _together(self) -> bool:
        """Tell whether another model is watched at the same time."""
        return any(other.model is not self.model for other in _ACTIVE)

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
        if not record.following.awake or record.since_step > record.accumulate:
            record.note_weightless(terms or {}, None)
            record.note_unread(terms or {}, loss, None)
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
        self.record.following.note_backward(self.record.steps, again=again)
        self.record.roots.note([*self._calls.nodes, *graph], self.record.steps)
        self.record.note_unread(terms, loss, self._unread(loss, output, terms))
        sample.findings += self._calls.findings
        sample.root = self._calls.value()
        self.record.pulls.end_pass(owned(self.optimizers))
        self.record.predictions.end_pass()
        self.record.note_weightless(terms, sample.weightless)
        sample.findings += self._judge_derivatives(loss, terms)
        self.record.keep(sample)
        self.record.states.note_batch(batch)
        self.record.compare_statistics()
        if self._calls.keeps_graph and isinstance(loss, Tensor) and terms:
            BACKWARDS.remove(self._calls)
            try:
                sample.term_shares = term_shares(loss, terms)
                self.record.slopes.note(loss, terms)
            finally:
                BACKWARDS.add(self._calls)

    def _unread(self, loss: Any, output: Any, terms: Mapping[str, Any]) -> frozenset[str]:
        """Return the terms that are left out of the loss; none where another loss may be theirs, as a critic's is."""
        alone = len(self.optimizers) == 1 and not self.record.strangers and not self._together()
        return unread_terms(loss, output, terms, self._calls.nodes) if alone else frozenset()

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

    def _before_forward(self, module: nn.Module, inputs: Any) -> None:
        """Note passes without gradients in training mode, with layers that act otherwise in it."""
        if torch.is_grad_enabled():
            self.record.forward_passes += 1
            self._within = True
            return
        if not module.training or self.record.steps == 0 or len(self.record.idle) >= 64:
            return
        first = first_tensor(inputs)
        acting = batch_dependent(module.modules())
        averaging = any(getattr(layer, "momentum", 0.1) is None for layer in acting)
        if first is not None and acting and not averaging:
            self.record.idle.append((self.record.steps, float(first.double().sum())))

    def _after_forward(self, module: nn.Module, inputs: Any, keywords: Any, output: Any) -> None:
        self._within = False
        first = first_tensor(output)
        self._listening.answered = None if first is None else first.shape
        if self.record.following.awake and module.training and torch.is_grad_enabled():
            self.record.pulls.note(output)
            self.record.predictions.note((inputs, keywords), output)

    def _arm(self) -> None:
        """Set the hooks of a sampled step."""
        self.record.following.awake = True
        self._armed = [
            module.register_forward_hook(self._note_module)
            for module in _hookable(self.model.modules())
            if isinstance(module, BATCHNORM) or next(module.parameters(recurse=False), None) is not None
        ]
        recurrent = [module for module in self.model.modules() if isinstance(module, nn.RNNBase)]
        self._armed += [one.register_forward_hook(self.record.reads.note, with_kwargs=True) for one in recurrent]
        compiled = type(self.model).__name__ == "OptimizedModule"  # its backward pass refuses to keep the graph
        self._calls.keeps_graph = self._uses_terms and not compiled
        BACKWARDS.add(self._calls)
        DERIVATIVES.add(self._derivatives)

    def _disarm(self) -> None:
        for handle in self._armed:
            handle.remove()
        self._armed = []
        self.record.following.fall_asleep()
        BACKWARDS.remove(self._calls)
        self._calls.forget_nodes()
        self.record.pulls.forget()
        self.record.predictions.forget()
        DERIVATIVES.remove(self._derivatives)
        self._derivatives.taken.clear()

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

    def _note_module(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not self.record.following.awake:
            return
        if torch.is_grad_enabled():
            self.record.states.note(module, inputs, output)
            self.record.used |= {id(parameter) for parameter in module.parameters(recurse=False)}
        if isinstance(module, BATCHNORM) and module.training and module.running_mean is not None:
            one_pass = self.record.forward_passes if self._within else 0
            self.record.normalised.setdefault(module, []).append((one_pass, inputs[0].detach()))

    def _before_step(self, optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
        if not any(self.record.own_steps):
            self.record.resumed = schedule_state(self.optimizers)
        self.record.falls.note_step(optimizer, self.record.steps)
        following = self.record.following
        if not following.awake:
            return
        following.note_step()
        if optimizer is self.optimizers[-1]:
            declared, passes = self.record.accumulate, self.record.since_step
            following.note_last_step(passes if passes == declared else 0)
        self._before = matrices_of(self.model)
        norm, rate = gradient_norm(self.model.parameters()), max(rates_of([optimizer]), default=1.0)
        step = Step(place=self.record.steps, norm=norm, rate=rate, overwritten=shares_gradient(optimizer))
        self.record.norms.append(step)
        if optimizer is self.optimizers[-1]:
            self.record.clips.end_step(step.norm, came_in=bool(following.incoming))

    def _after_step(self, optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
        record = self.record
        for place, own in enumerate(self.optimizers):
            record.own_steps[place] += own is optimizer
        if optimizer is not self.optimizers[-1]:
            return
        if self._before:
            record.norms[-1].ratio = ratio_of(self._before)
            record.norms[-1].rounding = rounding_of(optimizer, self._before)
            self._before = []
        record.steps += 1
        record.counts.append(record.since_step)
        record.since_step = 0
        record.following.end_step()
        self._disarm()
        if record.steps < _DENSE or record.steps % _SPARSE == 0:
            self._arm()
        record.states.end_step(followed=record.following.awake)

    def _after_any_step(self, optimizer: Optimizer, arguments: Any, keywords: Any) -> None:
        if all(optimizer is not own for own in self.optimizers):
            self.record.following.others += 1
            self.record.strangers.add(optimizer)


def _hookable(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the modules that take hooks: all but those that were scripted."""
    return [one for one in modules if not isinstance(one, torch.jit.ScriptModule)]


def _unwatched() -> Watch:
    return Watch(nn.Identity(), (), Record())
