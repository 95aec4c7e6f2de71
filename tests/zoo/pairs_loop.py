"""Pairs whose bug lies in the loop: gradients, modes, accumulation, clipping."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, look, mlp, numbers, pair, plain_step, tokens


def looped(order, model=None, *, epochs=3, train=None, watch=None, end=None):
    """Look at a classifier whose step is made by `order(optimizer, backward, mark)`."""
    model = mlp(8, 16, 3) if model is None else model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        order(optimizer, loss.backward, lambda: watcher.after_backward((inputs, targets), output, loss))

    data = batched(*classes()) if train is None else train, batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, step=step, epochs=epochs, watch=watch, end=end)


@pair("stale_gradients")
def zero_grad_left_out(bug):
    def order(optimizer, backward, mark):
        if not bug:
            optimizer.zero_grad()
        backward()
        mark()
        optimizer.step()

    return looped(order)


@pair("stale_gradients")
def zero_grad_once_an_epoch(bug):
    calls = [0]

    def order(optimizer, backward, mark):
        if not bug or calls[0] % 8 == 0:
            optimizer.zero_grad()
        calls[0] += 1
        backward()
        mark()
        optimizer.step()

    return looped(order)


@pair("zeroed_gradients")
def zero_grad_between_backward_and_step(bug):
    def order(optimizer, backward, mark):
        if not bug:
            optimizer.zero_grad()
        backward()
        mark()
        if bug:
            optimizer.zero_grad()
        optimizer.step()

    return looped(order)


@pair("repeated_steps")
def a_second_step_with_the_same_gradients(bug):
    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward()
        mark()
        optimizer.step()
        if bug:
            optimizer.step()

    return looped(order)


@pair("nothing_moves")
def a_step_without_parentheses(bug):
    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward()
        mark()
        if not bug:
            optimizer.step()

    return looped(order)


@pair("eval_mode_left_on")
def eval_mode_after_the_first_validation(bug):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    from goldmark import watch

    train, val = batched(*classes()), batched(*classes(64, seed=1))
    with watch(model, optimizer) as watcher:
        model.train()
        for _ in range(5):
            if not bug:
                model.train()
            for inputs, targets in train[:4]:
                plain_step(watcher, model, optimizer, inputs, targets)
            model.eval()
            with torch.no_grad():
                sum(functional.cross_entropy(model(inputs), targets) for inputs, targets in val)
    return list(watcher.findings.names)


@pair("validation_in_training_mode")
def validation_without_eval_mode(bug):
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 3))
    val = batched(*classes(64, seed=1))

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward()
        mark()
        optimizer.step()

    def end(epoch):
        if not bug:
            model.eval()
        with torch.no_grad():
            sum(functional.cross_entropy(model(inputs), targets) for inputs, targets in val)

    return looped(order, model, end=end)


def accumulated(order, sizes=(16, 16, 16, 16), *, accumulate=4):
    """Look at a classifier whose gradients are accumulated over micro-batches: `order(losses)` gives each factor."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    x, y = classes(512)
    train, start, place = [], 0, 0
    while start < len(x):
        size = sizes[place % len(sizes)]
        train.append((x[start : start + size], y[start : start + size]))
        start, place = start + size, place + 1
    train = train[: len(train) // accumulate * accumulate]
    done = [0]

    def step(watch, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets) * order(len(inputs))
        loss.backward()
        watch.after_backward((inputs, targets), output, loss)
        done[0] += 1
        if done[0] % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()

    val = batched(*classes(64, seed=1))
    how = {"step": step, "watch": {"accumulate": accumulate}}
    return look(model, optimizer, train, val, functional.cross_entropy, **how)


@pair("accumulation_undivided")
def accumulated_losses_not_divided(bug):
    return accumulated(lambda size: 1.0 if bug else 0.25)


@pair("unequal_micro_batches")
def means_of_unequal_micro_batches(bug):
    sizes = (28, 4, 20, 12) if bug else (16, 16, 16, 16)
    return accumulated(lambda size: 0.25, sizes)


@pair("accumulation_count")
def a_step_after_every_micro_batch(bug):
    return accumulated_with_step(1 if bug else 4)


@pair("lost_micro_batches")
def gradients_zeroed_before_every_micro_batch(bug):
    return accumulated_with_step(4, zeroed_every=1 if bug else 4)


def accumulated_with_step(every, zeroed_every=None):
    """Look at a run that declares four micro-batches a step, and steps and zeroes gradients after so many."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    done = [0]

    def step(watch, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets) / 4
        if done[0] % (zeroed_every or every) == 0:
            optimizer.zero_grad()
        loss.backward()
        watch.after_backward((inputs, targets), output, loss)
        done[0] += 1
        if done[0] % every == 0:
            optimizer.step()

    data = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, step=step, watch={"accumulate": 4})


@pair("exploding_gradient", "diverging_steps", "learning_rate")
def a_recurrent_net_without_clipping(bug):
    class Recurrent(nn.Module):
        """A linear recurrence over twelve steps, which grows."""

        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.Linear(9, 8), nn.Linear(8, 1)

        def forward(self, x):
            """Numbers (B, 1) of sequences (B, 12)."""
            h = torch.zeros(len(x), 8)
            for column in x.unbind(1):
                h = self.cell(torch.cat([column[:, None], h], dim=1)).relu()
            return self.head(h)

    model = Recurrent()
    with torch.no_grad():
        model.cell.weight[:, 1:] = torch.eye(8) * 1.35
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = tokens(256, length=11).float() / 6 - 1
    y = x.mean(1, keepdim=True)

    def step(watch, inputs, targets):
        output = model(inputs)
        loss = functional.mse_loss(output, targets)
        optimizer.zero_grad()
        loss.backward()
        watch.after_backward((inputs, targets), output, loss)
        if not bug:
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()

    from goldmark import watch

    with watch(model, optimizer) as watcher:
        for inputs, targets in batched(x, y) * 4:
            step(watcher, inputs, targets)
    return list(watcher.findings.names)


@pair("stale_gradients")
def generator_gradients_left_in_the_discriminator(bug):
    from goldmark import watch

    generator, discriminator = mlp(4, 16, 2), mlp(2, 16, 1)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    loss_fn = functional.binary_cross_entropy_with_logits
    names = []
    with watch(generator, g_optimizer) as g_watch, watch(discriminator, d_optimizer) as d_watch:
        for _ in range(24):
            real, z = torch.randn(32, 2) + 2, torch.randn(32, 4)
            if not bug:
                d_optimizer.zero_grad()
            out = discriminator(torch.cat([real, generator(z).detach()]))
            labels = torch.cat([torch.ones(32, 1), torch.zeros(32, 1)])
            loss = loss_fn(out, labels)
            loss.backward()
            d_watch.after_backward((real, labels), out, loss)
            d_optimizer.step()
            if bug:
                d_optimizer.zero_grad()
            out = discriminator(generator(z))
            loss = loss_fn(out, torch.ones(32, 1))
            g_optimizer.zero_grad()
            loss.backward()
            g_watch.after_backward((z, torch.ones(32, 1)), out, loss)
            g_optimizer.step()
    for watcher in (g_watch, d_watch):
        names += watcher.findings.names
    return names


@pair("collapsed_output", "no_skill", "inputs_ignored", "silent_units")
def a_net_that_answers_a_constant(bug):
    model = mlp(8, 16, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=3.0 if bug else 0.0)
    data = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *data, functional.mse_loss, epochs=16)


@pair("collapsed_classes", "no_skill")
def a_classifier_of_the_largest_class(bug):
    model = mlp(8, 16, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=2.0 if bug else 0.0)
    x, y = classes(512)
    val_x, val_y = classes(64, seed=1)
    data = batched(x, (y == 0).long()), batched(val_x, (val_y == 0).long())
    return look(model, optimizer, *data, functional.cross_entropy, epochs=10)


@pair("one_batch")
def the_first_batch_again_and_again(bug):
    from goldmark import preflight, watch

    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train = batched(*classes())
    names = preflight(model, optimizer, train, batched(*classes(64, seed=1)), functional.cross_entropy).names
    batches = iter(train * 3)
    with watch(model, optimizer) as watcher:
        for _ in range(24):
            inputs, targets = next(iter(train)) if bug else next(batches)
            plain_step(watcher, model, optimizer, inputs, targets)
    return [*names, *watcher.findings.names]


@pair("replayed_graph")
def losses_that_add_up_over_batches(bug):
    model, losses = nn.Linear(8, 3), []
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(watcher, inputs, targets):
        output = model(inputs)
        losses.append(functional.cross_entropy(output, targets))
        optimizer.zero_grad()
        (sum(losses) if bug else losses[-1]).backward(retain_graph=True)
        watcher.after_backward((inputs, targets), output, losses[-1])
        optimizer.step()

    data = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *data, functional.cross_entropy, step=step)


@pair("eval_mode_left_on")
def eval_mode_after_the_first_of_long_epochs(bug):
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    from goldmark import watch

    with watch(model, optimizer) as watcher:
        for epoch in range(3):
            model.train(not bug or epoch == 0)
            for inputs, targets in batched(*classes()):
                plain_step(watcher, model, optimizer, inputs, targets)
    return list(watcher.findings.names)


@pair("eval_mode_left_on")
def encoders_asleep_after_each_validation_amid_an_epoch(bug):
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2)), nn.Linear(16, 3))
    train, val, places = batched(*classes(320)), batched(*classes(64, seed=1)), itertools.count(1)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward()
        mark()
        optimizer.step()
        if next(places) % 10 == 4:
            model[0].eval()
            with torch.no_grad():
                sum(functional.cross_entropy(model(inputs), targets) for inputs, targets in val)
            model[0].train(not bug)

    return looped(order, model, train=train)
