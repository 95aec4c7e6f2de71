"""Pairs whose bug lies with the optimizer: what it owns, how far it steps, and its schedule."""

from __future__ import annotations

import copy
import io

import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR
from zoo.loops import Backbone, batched, classes, look, mlp, numbers, pair, plain_step


def val_classes():
    """Validation batches of the classes."""
    return batched(*classes(64, seed=1))


def val_numbers():
    """Validation batches of the smooth function."""
    return batched(*numbers(64, seed=1))


@pair("unowned_parameters")
def optimizer_of_the_head_alone(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model[2].parameters() if bug else model.parameters(), lr=1e-2)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("unowned_parameters", "orphaned_parameters")
def head_replaced_after_the_optimizer(bug):
    model = mlp(8, 16, 5)
    if not bug:
        model[2] = nn.Linear(16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    if bug:
        model[2] = nn.Linear(16, 3)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("nothing_trainable", "unowned_parameters", "orphaned_parameters")
def optimizer_of_a_copy(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam((copy.deepcopy(model) if bug else model).parameters(), lr=1e-2)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("nothing_trainable")
def a_learning_rate_of_zero(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0 if bug else 0.1)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("frozen_parameters_move")
def frozen_by_a_wrong_attribute(bug):
    model = mlp(8, 16, 16, 3)
    if bug:
        model[0].requires_grad = False
    else:
        model[0].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    how = {"intent": {"frozen": ["0"]}, "watch": {"frozen": ["0"]}}
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy, **how)


@pair("frozen_parameters_move")
def frozen_but_for_the_running_statistics(bug):
    model = Backbone(stays_in_eval=not bug)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
    how = {"watch": {"frozen": ["backbone"]}}
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy, **how)


@pair("graph_cut")
def features_detached(bug):
    class Detached(nn.Module):
        """A network that cuts its graph in the middle."""

        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            h = self.first(x).relu()
            return self.last(h.detach() if bug else h)

    model = Detached()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("unused_parameters")
def a_layer_that_forward_forgets(bug):
    class Forgetful(nn.Module):
        """A network with a layer that it may not use."""

        def __init__(self):
            super().__init__()
            self.first, self.middle, self.last = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            h = self.first(x).relu()
            return self.last(h if bug else self.middle(h).relu())

    model = Forgetful()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("diverging_steps", "learning_rate", "exploding_gradient")
def a_rate_far_too_high(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=20.0 if bug else 0.05)
    return look(model, optimizer, batched(*numbers()), val_numbers(), functional.mse_loss)


@pair("learning_rate", "diverging_steps")
def adam_with_a_rate_of_one(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3.0 if bug else 1e-2)
    return look(model, optimizer, batched(*numbers()), val_numbers(), functional.mse_loss)


@pair("learning_rate")
def a_rate_far_too_low(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-7 if bug else 0.05)
    return look(model, optimizer, batched(*numbers()), val_numbers(), functional.mse_loss, epochs=8)


def scheduled(make, *, per_batch, epochs=6):
    """Look at a run whose schedule is stepped after every batch, or after every epoch."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = make(optimizer)

    def step(watch, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        optimizer.zero_grad()
        loss.backward()
        watch.after_backward(batch=(inputs, targets), output=output, loss=loss)
        optimizer.step()
        if per_batch:
            scheduler.step()

    def end(epoch):
        if not per_batch:
            scheduler.step()

    data = batched(*classes()), val_classes()
    return look(model, optimizer, *data, functional.cross_entropy, step=step, end=end, epochs=epochs)


@pair("schedule_pace")
def cosine_over_epochs_stepped_every_batch(bug):
    return scheduled(lambda optimizer: CosineAnnealingLR(optimizer, T_max=6), per_batch=bug)


@pair("schedule_pace")
def decay_per_epoch_stepped_every_batch(bug):
    return scheduled(lambda optimizer: ExponentialLR(optimizer, gamma=0.7), per_batch=bug)


@pair("schedule_pace")
def steps_of_epochs_stepped_every_batch(bug):
    return scheduled(lambda optimizer: StepLR(optimizer, step_size=2, gamma=0.1), per_batch=bug)


@pair("schedule_pace")
def one_cycle_stepped_every_epoch(bug):
    return scheduled(lambda optimizer: OneCycleLR(optimizer, 1e-2, total_steps=49), per_batch=not bug)


@pair("schedule_restarted")
def schedule_not_restored(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = CosineAnnealingLR(optimizer, T_max=100)
    for _ in range(40):
        optimizer.zero_grad()
        functional.cross_entropy(model(batched(*classes())[0][0]), batched(*classes())[0][1]).backward()
        optimizer.step()
        scheduler.step()
    states = optimizer.state_dict(), scheduler.state_dict()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = CosineAnnealingLR(optimizer, T_max=100)
    optimizer.load_state_dict(states[0])
    if not bug:
        scheduler.load_state_dict(states[1])
    names = look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)
    assert scheduler.last_epoch in (0, 40)
    return names


@pair("optimizer_settings")
def betas_swapped(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.999, 0.9) if bug else (0.9, 0.999))
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("weight_decay")
def a_decay_that_outweighs_the_loss(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, weight_decay=5.0 if bug else 5e-4)
    return look(model, optimizer, batched(*classes()), val_classes(), functional.cross_entropy)


@pair("schedule_pace")
def a_schedule_that_is_never_stepped(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = CosineAnnealingLR(optimizer, T_max=6)

    def end(epoch):
        if not bug:
            scheduler.step()

    data = batched(*classes()), val_classes()
    return look(model, optimizer, *data, functional.cross_entropy, end=end, epochs=4)


@pair("idle_optimizer")
def the_last_of_two_optimizers_is_never_stepped(bug):
    return two_optimizers(lambda first, last: first.step() if bug else (first.step(), last.step()))


@pair("stuck_parameters")
def one_of_two_optimizers_is_never_stepped(bug):
    return two_optimizers(lambda first, last: last.step() if bug else (first.step(), last.step()))


def two_optimizers(take_steps):
    """Look at a classifier with an optimizer for each layer."""
    from goldmark import watch

    model = mlp(8, 16, 3)
    first = torch.optim.Adam(model[0].parameters(), lr=1e-2)
    last = torch.optim.Adam(model[2].parameters(), lr=1e-2)
    with watch(model, [first, last]) as watcher:
        for inputs, targets in batched(*classes()) * 2:
            output = model(inputs)
            loss = functional.cross_entropy(output, targets)
            first.zero_grad()
            last.zero_grad()
            loss.backward()
            watcher.after_backward((inputs, targets), output, loss)
            take_steps(first, last)
    return list(watcher.findings.names)


def on_plateau(mode, score, *, lr=1e-2, epochs=6):
    """Look at a run whose rate falls where `score(outputs, labels)` of the validation half no longer betters."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, patience=3)
    val_x, val_y = classes(64, seed=1)

    def end(epoch):
        with torch.no_grad():
            plateau.step(score(model(val_x), val_y))

    data = batched(*classes()), batched(val_x, val_y)
    return look(model, optimizer, *data, functional.cross_entropy, epochs=epochs, end=end)


def accuracy(output, labels):
    """The share of right answers, in float32."""
    return (output.argmax(1) == labels).float().mean()


@pair("plateau_mode")
def plateau_of_a_loss_that_should_rise(bug):
    return on_plateau("max" if bug else "min", functional.cross_entropy)


@pair("plateau_mode")
def plateau_of_an_accuracy_that_should_fall(bug):
    return on_plateau("min" if bug else "max", accuracy, lr=3e-3)


@pair("plateau_mode")
def plateau_of_an_error_that_should_rise(bug):
    return on_plateau("max" if bug else "min", lambda output, labels: 1 - accuracy(output, labels), lr=3e-3)


@pair("scheduled_optimizer")
def schedule_of_an_optimizer_that_was_replaced(bug):
    model = mlp(8, 16, 3)
    replaced, optimizer = (torch.optim.Adam(model.parameters(), lr=1e-2) for _ in range(2))
    scheduler = torch.optim.lr_scheduler.StepLR(replaced if bug else optimizer, step_size=1, gamma=0.7)
    data = batched(*classes()), val_classes()
    return look(model, optimizer, *data, functional.cross_entropy, end=lambda epoch: scheduler.step())


@pair("idle_optimizer")
def a_new_optimizer_in_every_epoch(bug):
    from goldmark import watch

    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer) as watcher:
        for _ in range(3):
            if bug:
                optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
            for inputs, targets in batched(*classes()):
                plain_step(watcher, model, optimizer, inputs, targets)
    return list(watcher.findings.names)


@pair("schedule_pace")
def a_warm_up_in_steps_that_is_stepped_every_epoch(bug):
    return scheduled(lambda optimizer: LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4000)), per_batch=not bug)


@pair("schedule_restarted")
def momenta_restored_without_their_schedule(bug):
    def built():
        model = mlp(8, 16, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return model, optimizer, LambdaLR(optimizer, lambda epoch: 0.9**epoch)

    model, optimizer, schedule = built()
    inputs, targets = batched(*classes())[0]
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        schedule.step()
    file = io.BytesIO()
    torch.save([part.state_dict() for part in (model, optimizer, schedule)], file)
    states, parts = torch.load(io.BytesIO(file.getvalue())), built()
    for part, state in zip(parts[: 2 if bug else 3], states, strict=False):
        part.load_state_dict(state)
    end = {"end": lambda epoch: parts[2].step()}
    return look(*parts[:2], batched(*classes()), val_classes(), functional.cross_entropy, **end)


@pair("plateau_mode")
def a_schedule_that_waits_for_an_accuracy_to_fall(bug):
    x, y = classes(896, n_classes=8)
    noise = torch.Generator().manual_seed(5)
    y = torch.where(torch.rand(len(y), generator=noise) < 0.2, torch.randint(0, 8, y.shape, generator=noise), y)
    train, (val_x, val_y) = batched(x[:640], y[:640]), (x[640:], y[640:])
    model = mlp(8, 64, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    schedule = ReduceLROnPlateau(optimizer, mode="min" if bug else "max", patience=1)

    def end(epoch):
        with torch.no_grad():
            schedule.step((model(val_x).argmax(1) == val_y).float().mean().item())

    return look(model, optimizer, train, [(val_x, val_y)], functional.cross_entropy, end=end, epochs=8)


class WeightedErrors(nn.Module):
    """Squared errors whose weight is learnt."""

    def __init__(self):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, output, targets):
        """The likelihood of the errors."""
        return (functional.mse_loss(output, targets) / self.log_variance.exp() + self.log_variance) / 2


@pair("unowned_parameters")
def a_loss_whose_weight_no_optimizer_has(bug):
    model, loss_fn = mlp(8, 16, 1), WeightedErrors()
    optimizer = torch.optim.Adam([*model.parameters(), *(() if bug else loss_fn.parameters())], lr=1e-2)
    return look(model, optimizer, batched(*numbers()), val_numbers(), loss_fn)


@pair("rate_of_zero")
def a_decay_to_nothing(bug):
    return scheduled(
        lambda optimizer: StepLR(optimizer, step_size=4, gamma=0.0 if bug else 1.0), per_batch=False, epochs=20
    )
