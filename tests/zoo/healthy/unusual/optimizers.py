"""Optimizers, schedules and backward passes that stand in for one another, as they are meant to."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR
from zoo.healthy.register import healthy
from zoo.healthy.unusual.batches import data
from zoo.loops import look, mlp

from goldmark import watch


def adam(model):
    """An optimizer of all parameters."""
    return torch.optim.Adam(model.parameters(), lr=1e-2)


@healthy
def rates_copied_from_the_schedule_of_another():
    model = mlp(8, 16, 3)
    optimizer, other = adam(model), adam(model)
    scheduler = StepLR(other, step_size=1, gamma=0.5)

    def end(epoch):
        scheduler.step()
        for group in optimizer.param_groups:
            group["lr"] = scheduler.get_last_lr()[0]

    return look(model, optimizer, *data(), functional.cross_entropy, end=end)


@healthy
def a_schedule_drawn_before_training():
    model = mlp(8, 16, 3)
    drawn = CosineAnnealingLR(adam(model), T_max=3)
    for _ in range(3):
        drawn.step()
    findings = look(model, adam(model), *data(), functional.cross_entropy)
    assert drawn.last_epoch == 3  # which still lives
    return findings


class Wrapper(torch.optim.Optimizer):
    """An optimizer around another one, whose groups it shares and whose weights it averages."""

    def __init__(self, inner):
        super().__init__(inner.param_groups, {})
        self.inner, self.param_groups = inner, inner.param_groups
        self.slow = [parameter.detach().clone() for parameter in self.parameters()]

    def parameters(self):
        """All that is owned."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def step(self, closure=None):
        """Take a step of the inner one, and go half of the way."""
        self.inner.step()
        with torch.no_grad():
            for parameter, slow in zip(self.parameters(), self.slow, strict=True):
                parameter.copy_(slow.lerp_(parameter, 0.5))


class OwnRate(torch.optim.Optimizer):
    """An optimizer that chooses its rate from the weights, and tells none."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": None})

    @torch.no_grad()
    def step(self, closure=None):
        """Move each tensor by two percent of its length."""
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is not None:
                length = parameter.norm() / (parameter.grad.norm() + 1e-12)
                parameter.sub_(0.02 * length * parameter.grad)


@healthy
def an_optimizer_that_chooses_its_rate():
    model = mlp(8, 16, 3)
    return look(model, OwnRate(model.parameters()), *data(), functional.cross_entropy)


@healthy
def an_optimizer_around_the_one_that_is_watched():
    model = mlp(8, 16, 3)
    wrapper = Wrapper(adam(model))
    scheduler = StepLR(wrapper, step_size=1, gamma=0.5)

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        wrapper.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        wrapper.step()

    how = {"step": step, "end": lambda epoch: scheduler.step()}
    return look(model, wrapper.inner, *data(), functional.cross_entropy, **how)


@healthy
def gradients_summed_in_buffers_of_their_own():
    model, summed, done = mlp(8, 16, 3), {}, [0]
    optimizer = adam(model)

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets) / 4
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        for parameter in model.parameters():
            summed[parameter] = summed.get(parameter, 0) + parameter.grad
        done[0] += 1
        if done[0] % 4 == 0:
            for parameter in model.parameters():
                parameter.grad = summed.pop(parameter)
            optimizer.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step, watch={"accumulate": 4})


@healthy
def one_backward_pass_for_all_batches_of_an_epoch():
    model = nn.Linear(8, 3)
    optimizer = adam(model)
    train, _ = data()
    with watch(model, optimizer) as watcher:
        for _ in range(12):
            total = 0
            for inputs, targets in train:
                output = model(inputs)
                total = total + functional.cross_entropy(output, targets) / len(train)
            optimizer.zero_grad()
            total.backward()
            watcher.after_backward((inputs, targets), output, total)
            optimizer.step()
            watcher.end_epoch()
    return list(watcher.findings.names)


@healthy
def a_first_backward_pass_for_a_log():
    model = nn.Linear(8, 3)
    optimizer = adam(model)

    def step(watcher, inputs, targets):
        output = model(inputs)
        part = functional.cross_entropy(output, targets)
        whole = part + 0.1 * output.square().mean()
        for loss in (part, whole):
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            watcher.after_backward((inputs, targets), output, loss)
        optimizer.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step)


@healthy
def gradients_that_are_written_by_hand():
    """Those of each example are clipped and made noisy, as privacy needs it; no loss has a graph."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

    def loss_of(weights, x, y):
        return functional.cross_entropy(functional_call(model, weights, (x[None],)), y[None])

    gradients_of = vmap(grad_and_value(loss_of), in_dims=(None, 0, 0))

    def step(watcher, inputs, targets):
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        gradients, losses = gradients_of(weights, inputs, targets)
        lengths = torch.stack([own.flatten(1).norm(dim=1) for own in gradients.values()]).norm(dim=0)
        for name, parameter in model.named_parameters():
            clipped = torch.einsum("n...,n->n...", gradients[name], (1 / lengths).clamp(max=1)).mean(0)
            parameter.grad = clipped + 0.01 * torch.randn_like(clipped)
        watcher.after_backward((inputs, targets), loss=losses.mean())
        optimizer.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step)
