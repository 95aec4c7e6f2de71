"""Pairs whose bug lies between outputs and loss: normalised twice, broadcast, of the wrong sign, cut."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, look, mlp, numbers, pair, regressor


@pair("normalized_outputs")
def softmax_before_cross_entropy(bug):
    return classifier(mlp(8, 16, 3, last=nn.Softmax(dim=1) if bug else None))


@pair("normalized_outputs")
def exp_of_log_softmax_before_cross_entropy(bug):
    def loss_fn(output, targets):
        scores = functional.log_softmax(output, dim=1)
        return functional.cross_entropy(scores.exp() if bug else scores, targets)

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@pair("normalized_outputs")
def sigmoid_before_a_loss_on_logits(bug):
    x, y = classes(n_classes=2)
    val_x, val_y = classes(64, n_classes=2, seed=1)
    halves = [batched(a, b.float()[:, None]) for a, b in ((x, y), (val_x, val_y))]
    model = mlp(8, 16, 1, last=nn.Sigmoid() if bug else None)
    return regressor(model, train=halves[0], val=halves[1], loss_fn=functional.binary_cross_entropy_with_logits)


@pair("normalized_outputs")
def nll_of_probabilities(bug):
    last = nn.Softmax(dim=1) if bug else nn.LogSoftmax(dim=1)
    return classifier(mlp(8, 16, 3, last=last), loss_fn=functional.nll_loss)


@pair("normalized_outputs")
def nll_of_raw_outputs(bug):
    return classifier(mlp(8, 16, 3, last=None if bug else nn.LogSoftmax(dim=1)), loss_fn=functional.nll_loss)


@pair("normalized_outputs")
def relu_before_cross_entropy(bug):
    return classifier(mlp(8, 16, 3, last=nn.ReLU() if bug else None))


@pair("single_class_softmax", "zero_loss")
def softmax_over_one_output(bug):
    x, y = classes(n_classes=2)
    val_x, val_y = classes(64, n_classes=2, seed=1)
    halves = [batched(a, b.float()[:, None]) for a, b in ((x, y), (val_x, val_y))]
    model = mlp(8, 16, 1, last=nn.Softmax(dim=1) if bug else nn.Sigmoid())
    return regressor(model, train=halves[0], val=halves[1], loss_fn=functional.binary_cross_entropy)


@pair("single_class_softmax", "zero_loss")
def cross_entropy_of_one_output(bug):
    x, y = classes(n_classes=2)
    val_x, val_y = classes(64, n_classes=2, seed=1)
    halves = [batched(a, (b[:, None].float() if bug else b)) for a, b in ((x, y), (val_x, val_y))]
    return classifier(mlp(8, 16, 1 if bug else 2), train=halves[0], val=halves[1])


@pair("unreachable_targets")
def relu_on_targets_of_both_signs(bug):
    return regressor(mlp(8, 16, 1, last=nn.ReLU() if bug else None))


@pair("unreachable_targets")
def tanh_on_targets_beyond_one(bug):
    return regressor(mlp(8, 16, 1, last=nn.Tanh() if bug else None))


@pair("shape_broadcast", "broadcast_loss")
def a_column_against_a_row(bug):
    x, y = numbers()
    val_x, val_y = numbers(64, seed=1)
    halves = [batched(a, b[:, 0] if bug else b) for a, b in ((x, y), (val_x, val_y))]

    def loss_fn(output, targets):
        return (output - targets).square().mean()

    return regressor(mlp(8, 16, 1), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("wrong_sign", "negative_loss")
def a_loss_that_is_maximised(bug):
    def loss_fn(output, targets):
        return functional.mse_loss(output, targets) * (-1 if bug else 1)

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn, lr=1e-3)


@pair("wrong_sign")
def likelihood_without_its_minus(bug):
    def loss_fn(output, targets):
        chosen = functional.log_softmax(output, dim=1)[torch.arange(len(targets)), targets]
        return chosen.mean() if bug else -chosen.mean()

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn, lr=1e-3)


@pair("summed_loss")
def sum_over_the_batch_under_sgd(bug):
    def loss_fn(output, targets):
        return functional.mse_loss(output, targets, reduction="sum" if bug else "mean")

    model = mlp(8, 16, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return look(model, optimizer, batched(*numbers(), 128), batched(*numbers(64, seed=1)), loss_fn)


class TwoHeads(nn.Module):
    """A trunk with two outputs."""

    def __init__(self, width=16):
        super().__init__()
        self.trunk, self.left, self.right = nn.Linear(8, width), nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, x):
        """Two columns (B, 1)."""
        h = self.trunk(x).relu()
        return self.left(h), self.right(h)


def two_tasks(terms_of, *, scale=1.0, epochs=4):
    """Look at a model of two tasks whose loss `terms_of(left, right)` makes of two mean squared errors."""
    x, y = numbers()
    both = torch.cat([y, x[:, 4:5].sign() * scale], dim=1)
    model = TwoHeads()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def loss_fn(output, targets):
        return sum(functional.mse_loss(one, targets[:, k : k + 1]) for k, one in enumerate(output))

    def step(watch, inputs, targets):
        output = model(inputs)
        left, right = (functional.mse_loss(one, targets[:, k : k + 1]) for k, one in enumerate(output))
        loss, terms = terms_of(left, right)
        optimizer.zero_grad()
        loss.backward()
        watch.after_backward(batch=(inputs, targets), output=output, loss=loss, terms=terms)
        optimizer.step()

    val_x, val_y = numbers(64, seed=1)
    val = batched(val_x, torch.cat([val_y, val_x[:, 4:5].sign() * scale], dim=1))
    return look(model, optimizer, batched(x, both), val, loss_fn, step=step, epochs=epochs)


@pair("cut_term")
def a_term_wrapped_in_a_new_tensor(bug):
    def terms_of(left, right):
        right = torch.tensor(right.item()) if bug else right
        return left + right, {"left": left, "right": right}

    return two_tasks(terms_of)


@pair("cut_term")
def a_term_added_as_a_number(bug):
    def terms_of(left, right):
        return left + (right.item() if bug else right), {"left": left, "right": right}

    return two_tasks(terms_of)


@pair("cut_term")
def a_detached_term(bug):
    def terms_of(left, right):
        return left + (right.detach() if bug else right), {"left": left, "right": right}

    return two_tasks(terms_of)


@pair("dominated_gradient")
def one_term_in_hundreds(bug):
    def terms_of(left, right):
        return left + right, {"left": left, "right": right}

    return two_tasks(terms_of, scale=30.0 if bug else 1.0, epochs=16)


@pair("graph_of_loss", "cut_term", "graph_cut")
def accuracy_taken_for_a_loss(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def loss_fn(output, targets):
        scores = functional.softmax(output.data if bug else output, dim=1)
        return 1 - scores[torch.arange(len(targets)), targets].mean()

    def step(watch, inputs, targets):
        loss = loss_fn(output := model(inputs), targets)
        loss = loss.requires_grad_()  # what silences the error that torch would raise
        optimizer.zero_grad()
        loss.backward()
        watch.after_backward(batch=(inputs, targets), output=output, loss=loss)
        optimizer.step()

    val = batched(*classes(64, seed=1))
    return look(model, optimizer, batched(*classes()), val, loss_fn, step=step)


@pair("zero_loss")
def a_mask_that_keeps_nothing(bug):
    def loss_fn(output, targets):
        kept = (targets > (100 if bug else -100)).float()
        return ((output - targets).square() * kept).sum() / kept.sum().clamp_min(1)

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn)


@pair("constant_loss", "inputs_ignored", "unowned_parameters", "graph_cut")
def outputs_rounded_to_zero(bug):
    def loss_fn(output, targets):
        return functional.mse_loss((output * 1e-9 if bug else output), torch.ones_like(targets))

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn)


@pair("target_distribution")
def labels_that_do_not_exclude_each_other(bug):
    x, _ = classes()
    y = (x[:, :3] > 0).float()
    val_x, _ = classes(64, seed=1)
    val = batched(val_x, (val_x[:, :3] > 0).float())
    loss_fn = functional.cross_entropy if bug else functional.binary_cross_entropy_with_logits
    return regressor(mlp(8, 16, 3), train=batched(x, y), val=val, loss_fn=loss_fn)


@pair("initial_outputs")
def initial_weights_of_sd_one_and_more(bug):
    model = mlp(8, 64, 64, 3)
    if bug:
        for layer in model[::2]:
            nn.init.normal_(layer.weight, std=2.0)
    return classifier(model)


@pair("wrong_sign")
def an_optimizer_that_climbs(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, maximize=bug)
    val = batched(*classes(64, seed=1))
    return look(model, optimizer, batched(*classes()), val, functional.cross_entropy)


@pair("ignored_class")
def a_real_class_at_the_ignored_index(bug):
    def loss_fn(output, targets):
        return functional.cross_entropy(output, targets, ignore_index=0 if bug else -100)

    return classifier(mlp(8, 16, 3), loss_fn=loss_fn)


@pair("misaligned_targets")
def time_first_outputs_against_batch_first_targets(bug):
    class TimeFirst(nn.Module):
        """A recurrent network that answers at every position, time or batch first."""

        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.GRU(4, 16), nn.Linear(16, 2)

        def forward(self, x):
            """Logits (T, B, 2) or (B, T, 2)."""
            output = self.head(self.rnn(x.transpose(0, 1))[0])
            return output if bug else output.transpose(0, 1)

    x, val_x = (torch.randn(n, 8, 4, generator=torch.Generator().manual_seed(n)) for n in (256, 64))
    halves = [batched(half, (half.cumsum(1)[..., 0] > 0).long()) for half in (x, val_x)]

    def loss_fn(output, targets):
        return functional.cross_entropy(output.reshape(-1, 2), targets.reshape(-1))

    return classifier(TimeFirst(), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("normalized_outputs")
def clamp_in_place_of_a_sigmoid(bug):
    def loss_fn(output, targets):
        chance = output.clamp(1e-6, 1 - 1e-6) if bug else output.sigmoid().clamp(1e-6, 1 - 1e-6)
        return functional.binary_cross_entropy(chance, targets)

    halves = [batched(x, y.float()[:, None]) for x, y in (classes(n_classes=2), classes(64, n_classes=2, seed=1))]
    return classifier(mlp(8, 16, 1), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("wrong_sign")
def overlap_that_is_lowered(bug):
    def loss_fn(output, targets):
        dice = (2 * (output * targets).sum(1) + 1) / ((output + targets).sum(1) + 1)
        return dice.mean() if bug else 1 - dice.mean()

    halves = [batched(x, (x > 0.5).float()) for x, _ in (classes(), classes(64, seed=1))]
    return classifier(mlp(8, 16, 8, last=nn.Sigmoid()), train=halves[0], val=halves[1], loss_fn=loss_fn)


def divergence(bug, last, *, log_target):
    """Look at a student whose outputs are compared with a teacher's probabilities, or their logarithms."""

    def loss_fn(output, targets):
        given = last(output / 2, 1) if bug else functional.log_softmax(output / 2, dim=1)
        return 4 * functional.kl_div(given, targets, reduction="batchmean", log_target=log_target)

    halves = []
    for x, _ in (classes(), classes(64, seed=1)):
        logits = x @ torch.randn(8, 3, generator=torch.Generator().manual_seed(7))
        halves.append(batched(x, logits.log_softmax(1) if log_target else logits.softmax(1)))
    return classifier(mlp(8, 16, 3), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("normalized_outputs")
def divergence_of_probabilities(bug):
    return divergence(bug, functional.softmax, log_target=False)


@pair("normalized_outputs")
def divergence_of_raw_outputs(bug):
    return divergence(bug, lambda output, dim: output, log_target=False)


@pair("normalized_outputs")
def divergence_of_probabilities_from_log_probabilities(bug):
    return divergence(bug, functional.softmax, log_target=True)


@pair("normalized_outputs")
def log_probabilities_before_a_loss_on_independent_logits(bug):
    halves = [batched(x, functional.one_hot(y, 3).float()) for x, y in (classes(), classes(64, seed=1))]
    model = mlp(8, 16, 3, last=nn.LogSoftmax(dim=1) if bug else None)
    loss_fn = functional.binary_cross_entropy_with_logits
    return classifier(model, train=halves[0], val=halves[1], loss_fn=loss_fn)
