"""Pairs in which a weight of an example, or a term of the loss, does not count as it should."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, look, mlp, numbers, pair, watch_steps


@pair("weights_after_mean")
def weights_of_examples_beside_a_loss_that_is_averaged(bug):
    (x, y), (val_x, val_y) = (classes(n, seed=seed) for n, seed in ((256, 0), (64, 1)))
    weights = [1 + (labels == 0).float() for labels in (y, val_y)]  # one class counts twice

    def loss_fn(output, targets):
        labels, weight = targets[:, 0].long(), targets[:, 1]
        return (weight * functional.cross_entropy(output, labels, reduction="mean" if bug else "none")).mean()

    halves = [
        batched(a, torch.stack([b.float(), w], 1)) for a, b, w in zip((x, val_x), (y, val_y), weights, strict=True)
    ]
    return classifier(mlp(8, 16, 3), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("weights_after_mean")
def returns_beside_the_mean_of_their_log_probabilities(bug):
    """REINFORCE on one-step episodes, of which the watch is told the loss alone."""
    model = mlp(4, 16, 3)

    def step_of():
        states = torch.randn(32, 4)
        choices = torch.distributions.Categorical(logits=model(states))
        actions = choices.sample()
        returns = (actions == states[:, :3].argmax(dim=1)).float() - 0.3
        log_probs = choices.log_prob(actions)
        return None, None, -((log_probs.mean() if bug else log_probs) * returns).sum() / 32, None

    return watch_steps(model, step_of, lr=1e-3)


class TwoParts(nn.Module):
    """Two columns (B, 1) of what one layer gives."""

    def __init__(self):
        super().__init__()
        self.layers = mlp(8, 16, 2)

    def forward(self, x):
        """Both columns."""
        return self.layers(x).split(1, dim=1)


def of_two_parts(loss_of, *, epochs=4, size=8, told=lambda output: output):
    """Look at `loss_of(epoch, terms, output, targets)`, made of two errors; it may add terms for a log to them."""
    model, epoch = TwoParts(), [0]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def terms_of(output, targets):
        return {name: functional.mse_loss(one, targets[:, k : k + 1]) for k, (name, one) in enumerate(output.items())}

    def step(watcher, inputs, targets):
        output = model(inputs)
        terms = terms_of(dict(zip(("left", "right"), output, strict=True)), targets)
        loss = loss_of(epoch[0], terms, output, targets)
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), told(output), loss, terms)
        optimizer.step()

    def loss_fn(output, targets):
        return functional.mse_loss(torch.cat(output, dim=1), targets)

    def end(done):
        epoch[0] = done + 1

    halves = [batched(x, torch.cat([y, x[:, 4:5]], dim=1), size) for x, y in (numbers(), numbers(64, seed=1))]
    return look(model, optimizer, *halves, loss_fn, step=step, end=end, epochs=epochs)


@pair("weightless_term")
def a_loss_that_a_line_sets_to_one_of_its_terms(bug):
    return of_two_parts(lambda epoch, terms, output, targets: terms["left"] if bug else sum(terms.values()))
