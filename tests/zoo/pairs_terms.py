"""Pairs whose bug lies in a term of the loss: what it compares, and what its targets mean."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, classes, classifier, look, mlp, numbers, pair, regressor, watch_alone, watch_steps


class Student(nn.Module):
    """A student beside its teacher."""

    def __init__(self):
        super().__init__()
        self.own, self.teacher = mlp(8, 16, 3), mlp(8, 16, 3).requires_grad_(False)

    def forward(self, x):
        """Logits (B, 3) of both."""
        return self.own(x), self.teacher(x)


def distilled(divergence_of):
    """Look at a student that learns of labels and of what `divergence_of(own, other)` gives for logits (B, 3)."""

    def loss_fn(output, targets):
        own, other = (logits / 2 for logits in output)
        return 0.5 * functional.cross_entropy(output[0], targets) + 0.5 * 4 * divergence_of(own, other)

    return classifier(Student(), loss_fn=loss_fn)


@pair("unreached_term")
def a_teacher_that_is_compared_with_itself(bug):
    divergence = nn.KLDivLoss(reduction="batchmean")
    return distilled(lambda own, other: divergence((other if bug else own).log_softmax(1), other.softmax(1)))


@pair("divergence_arguments")
def a_divergence_of_the_teacher_from_logarithms(bug):
    def divergence_of(own, other):
        given, target = own.log_softmax(1), other.log_softmax(1)
        if bug:
            given, target = other.softmax(1), given
        return functional.kl_div(given, target, reduction="batchmean", log_target=True)

    return distilled(divergence_of)


@pair("divergence_arguments")
def probabilities_that_are_said_to_be_logarithms(bug):
    divergence = nn.KLDivLoss(reduction="batchmean", log_target=bug)
    return distilled(lambda own, other: divergence(own.log_softmax(1), other.softmax(1)))


@pair("unreached_term")
def a_consistency_term_on_detached_outputs(bug):
    def loss_fn(output, targets):
        smooth = output.softmax(1)
        near = functional.mse_loss(
            smooth.detach() if bug else smooth, smooth.mean(0, keepdim=True).detach().expand_as(smooth)
        )
        return functional.cross_entropy(output, targets) + 0.1 * near

    halves = batched(*classes()), batched(*classes(64, seed=1))
    return classifier(mlp(8, 16, 3), train=halves[0], val=halves[1], loss_fn=loss_fn)


def labelled(low):
    """Halves of two classes that are called `low` and 1."""
    halves = classes(n_classes=2), classes(64, n_classes=2, seed=1)
    return {name: batched(x, y * (1 - low) + low) for name, (x, y) in zip(("train", "val"), halves, strict=True)}


@pair("unlearnable_label")
def a_hinge_on_labels_of_0_and_1(bug):
    def loss_fn(output, targets):
        return (1 - targets * output[:, 0]).clamp(min=0).mean()

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn, **labelled(0.0 if bug else -1.0))


@pair("unlearnable_label")
def a_soft_margin_on_labels_of_0_and_1(bug):
    def loss_fn(output, targets):
        signs = targets if bug else 2 * targets - 1
        return functional.soft_margin_loss(output.squeeze(1), signs)

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn, **labelled(0.0))


@pair("derivative_without_graph")
def an_equation_whose_derivative_is_a_constant(bug):
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)

    def step_of():
        t = (2 * torch.rand(48, 1)).requires_grad_()
        u = model(t)
        (slope,) = torch.autograd.grad(u, t, torch.ones_like(u), retain_graph=True, create_graph=not bug)
        equation = functional.mse_loss(slope, (3 * t).cos())
        start = (model(torch.zeros(1, 1)) - 0.5).square().mean()
        return None, u, equation + 10 * start, None

    return watch_steps(model, step_of, lr=5e-3)


@pair("cut_term")
def a_gradient_penalty_that_is_a_constant(bug):
    critic = mlp(2, 16, 1)

    def step_of():
        real, fake = torch.randn(32, 2) + 1, torch.randn(32, 2)
        points = torch.lerp(real, fake, torch.rand(32, 1)).requires_grad_()
        scores = critic(points)
        (slope,) = torch.autograd.grad(scores, points, torch.ones_like(scores), retain_graph=True, create_graph=not bug)
        penalty = (slope.norm(dim=1) - 1).square().mean()
        terms = {"distance": critic(fake).mean() - critic(real).mean(), "penalty": 10 * penalty}
        return None, None, sum(terms.values()), terms

    return watch_steps(critic, step_of, lr=1e-3)


class ActorCritic(nn.Module):
    """Logits of actions (T, 3) and values (T, 1) of states (T, 6)."""

    def __init__(self):
        super().__init__()
        self.actor, self.critic = mlp(6, 16, 3), mlp(6, 16, 1)

    def forward(self, x):
        """Both."""
        return self.actor(x), self.critic(x)


def episodes(n, seed=0):
    """States (T, 6) of episodes of unlike lengths, with the actions that were taken (T,) and their returns (T,)."""
    generator = torch.Generator().manual_seed(seed)
    for length in torch.randint(16, 40, (n,), generator=generator).tolist():
        x, actions = torch.randn(length, 6, generator=generator), torch.randint(3, (length,), generator=generator)
        yield x, (actions, x[torch.arange(length), actions] + x[:, 3])


@pair("shape_broadcast")
def returns_less_a_column_of_values(bug):
    def terms_of(output, targets):
        logits, values = output
        taken, returns = targets
        advantage = returns - (values if bug else values.squeeze(1))
        chosen = logits.log_softmax(1).gather(1, taken[:, None])[:, 0]
        return {"policy": -(chosen * advantage.detach()).mean(), "values": 0.7 * advantage.square().mean()}

    return watch_alone(ActorCritic(), list(episodes(12)), terms_of)


@pair("shape_broadcast")
def a_column_of_advantages_for_a_row_of_actions(bug):
    def terms_of(output, targets):
        logits, values = output
        taken, returns = targets
        advantage = returns[:, None] - values
        chosen = logits.log_softmax(1).gather(1, taken[:, None])
        policy = -((chosen[:, 0] if bug else chosen) * advantage.detach()).mean()
        return {"policy": policy, "values": 0.7 * advantage.square().mean()}

    return watch_alone(ActorCritic(), list(episodes(12)), terms_of)


@pair("shape_broadcast")
def a_second_task_whose_targets_are_a_row(bug):
    def terms_of(output, targets):
        near = output[:, 3:] if bug else output[:, 3]
        return {
            "labels": functional.cross_entropy(output[:, :3], targets[0]),
            "numbers": 0.3 * functional.smooth_l1_loss(near, targets[1]),
        }

    x, y = numbers()
    batches = [(a, ((a[:, 0] > 0).long() + (a[:, 1] > 0), b[:, 0])) for a, b in batched(x, y)]
    return watch_alone(mlp(8, 16, 4), batches, terms_of)


@pair("shape_broadcast")
def a_column_of_advantages_that_the_watch_is_not_told_of(bug):
    actor, rest = mlp(6, 16, 3), itertools.cycle(list(episodes(12)))

    def step_of():
        x, (taken, returns) = next(rest)
        advantage = (returns - returns.mean()) / returns.std()
        logits = actor(x)
        ratio = logits.log_softmax(1).gather(1, taken[:, None])[:, 0].exp() * 3  # all were as likely when taken
        advantage = advantage[:, None] if bug else advantage
        gains = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        return (x, taken), logits, -gains.mean(), None

    return watch_steps(actor, step_of, lr=1e-2)


@pair("shape_broadcast")
def a_column_of_weights_for_a_row_of_errors(bug):
    model, rest = mlp(8, 16, 1), itertools.cycle(batched(*numbers()))
    generator = torch.Generator().manual_seed(0)

    def step_of():
        x, y = next(rest)
        weights = torch.rand(len(x), 1, generator=generator) + 0.5  # of examples that are drawn unevenly
        output = model(x).squeeze(1)
        errors = functional.smooth_l1_loss(output, y[:, 0], reduction="none")
        return (x, y[:, 0]), output, (errors * (weights if bug else weights[:, 0])).mean(), None

    return watch_steps(model, step_of, lr=1e-2)


@pair("flat_term")
def a_ratio_to_the_policy_as_it_is(bug):
    def terms_of(output, targets):
        logits, values = output
        taken, returns = targets
        advantage = returns - values.squeeze(1)
        chosen, again = (logits.log_softmax(1).gather(1, taken[:, None])[:, 0] for _ in range(2))
        ratio = (chosen - (again if bug else -math.log(3))).exp()  # all actions were as likely when they were taken
        gains = torch.min(ratio * advantage.detach(), ratio.clamp(0.8, 1.2) * advantage.detach())
        return {"policy": -gains.mean(), "values": 0.7 * advantage.square().mean()}

    return watch_alone(ActorCritic(), list(episodes(12)), terms_of)


@pair("flat_term")
def an_overlap_of_rounded_outputs(bug):
    def terms_of(output, targets):
        shares = output.sigmoid().round() if bug else output.sigmoid()
        overlap = (2 * (shares * targets).sum() + 1) / (shares.sum() + targets.sum() + 1)
        return {"pixels": functional.binary_cross_entropy_with_logits(output, targets), "overlap": 0.5 * (1 - overlap)}

    return watch_alone(mlp(8, 16, 3), batched((x := classes()[0]), (x[:, :3] > 0.5).float()), terms_of)


@pair("targets_with_gradient")
def values_that_are_bootstrapped_with_their_gradient(bug):
    model = mlp(8, 32, 2)

    def step_of():
        now = torch.randn(32, 8)
        later, rewards = 0.9 * now + 0.3 * torch.randn(32, 8), now[:, 0]
        with torch.set_grad_enabled(bug):
            targets = rewards + 0.9 * model(later).max(1).values
        values = model(now)[torch.arange(32), torch.randint(0, 2, (32,))]
        return (now, targets), values, functional.smooth_l1_loss(values, targets), None

    return watch_steps(model, step_of, lr=1e-2)


def of_transitions(target_of, loss_fn=functional.smooth_l1_loss):
    """Look at values of two actions, of whose targets `target_of(model, later, rewards)` the watch is not told."""
    model = mlp(8, 32, 2)

    def step_of():
        now = torch.randn(32, 8)
        later, rewards = 0.9 * now + 0.3 * torch.randn(32, 8), now[:, 0]
        values = model(now)
        taken = values.gather(1, torch.randint(0, 2, (32, 1))).squeeze(1)
        return ((now, later), rewards), values, loss_fn(taken, target_of(model, later, rewards)), None

    return watch_steps(model, step_of, lr=1e-2)


@pair("targets_with_gradient")
def targets_with_a_gradient_that_are_made_beside_the_loss(bug):
    def target_of(model, later, rewards):
        best = model(later).max(1)[0]
        return rewards + 0.9 * (best if bug else best.detach()) * (rewards > -1)

    return of_transitions(target_of)


@pair("targets_with_gradient")
def squared_differences_from_values_that_are_bootstrapped(bug):
    def target_of(model, later, rewards):
        best = model(later).amax(1)
        return 0.9 * (best if bug else best.detach()) + rewards

    return of_transitions(target_of, lambda values, targets: (targets - values).square().mean())


class TwoErrors(nn.Module):
    """The squared errors (2,) of two outputs (B, 2), summed up with weights that are learnt beside the model."""

    def __init__(self, weigh):
        super().__init__()
        self.weigh, self.weights = weigh, nn.Parameter(torch.ones(2))

    def forward(self, output, targets):
        """The sum of what `weigh(weights, errors)` gives."""
        return self.weigh(self.weights, (output - targets).square().mean(0)).sum()


def of_two_errors(loss_fn, optimizer_of=None):
    """Look at a model of two numbers and a loss of parameters of its own, by one optimizer if no other is given."""

    def halves(n, seed):
        x, y = numbers(n, seed=seed)
        return batched(x, torch.cat([y, x[:, 4:5] - x[:, 5:6]], dim=1))

    model = mlp(8, 16, 2)
    alone = torch.optim.Adam([*model.parameters(), *loss_fn.parameters()], lr=1e-2)
    optimizer = optimizer_of(model, loss_fn) if optimizer_of else alone
    return look(model, optimizer, halves(256, 0), halves(64, 1), loss_fn)


@pair("unbounded_loss")
def weights_of_terms_that_are_plain_factors(bug):
    def weigh(weights, errors):
        return weights * errors if bug else (-weights).exp() * errors + weights

    return of_two_errors(TwoErrors(weigh))


def graded(n, seed):
    """Batches of inputs and five grades (B,) in an order."""
    x, y = numbers(n, seed=seed)
    return batched(x, torch.bucketize(y[:, 0], torch.tensor([-1.2, -0.4, 0.4, 1.2])))


def of_grades(loss_fn, n_outputs=4):
    """Look at a model of five grades by a few outputs."""
    return classifier(mlp(8, 32, n_outputs), train=graded(256, 0), val=graded(64, 1), lr=3e-3, loss_fn=loss_fn)


@pair("merged_grades")
def levels_that_each_grade_reaches_itself(bug):
    def loss_fn(output, grades):
        steps = torch.arange(4)
        levels = grades[:, None] >= steps if bug else grades[:, None] > steps
        return functional.binary_cross_entropy_with_logits(output, levels.float())

    return of_grades(loss_fn)
