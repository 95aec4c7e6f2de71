"""Derivatives by inputs that are taken without a graph, as they are meant to be."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import classes, mlp, watch_steps


@healthy
def adversarial_examples():
    model, (x, y) = mlp(8, 16, 3), classes()

    def step_of():
        shift = torch.zeros_like(x, requires_grad=True)
        for _ in range(3):
            (slope,) = torch.autograd.grad(functional.cross_entropy(model(x + shift), y), shift)
            shift = (shift + 0.05 * slope.sign()).detach().requires_grad_()
        output = model(x + shift)
        terms = {"clean": functional.cross_entropy(model(x), y), "attacked": functional.cross_entropy(output, y)}
        return None, output, sum(terms.values()), terms

    return watch_steps(model, step_of, lr=1e-2)


@healthy
def examples_of_an_energy_that_follow_its_slope():
    energy = mlp(2, 16, 1, activation=nn.SiLU)

    def step_of():
        real, fake = 0.5 * torch.randn(64, 2) + 1, torch.randn(64, 2)
        for _ in range(20):
            fake = fake.detach().requires_grad_()
            (slope,) = torch.autograd.grad(energy(fake).sum(), fake)
            fake = fake - 0.1 * slope + 0.1 * torch.randn_like(fake)
        scores = energy(real), energy(fake.detach())
        return None, None, scores[0].mean() - scores[1].mean() + 0.1 * sum(one.square().mean() for one in scores), None

    return watch_steps(energy, step_of, lr=1e-3)


@healthy
def an_equation_beside_slopes_for_a_log():
    model, log = mlp(1, 32, 32, 1, activation=nn.Tanh), []

    def step_of():
        t = torch.rand(64, 1).requires_grad_()
        u = model(t)
        (shown,) = torch.autograd.grad(u.sum(), t, retain_graph=True)
        log.append(float(shown.norm()))
        (slope,) = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)
        terms = {"equation": (slope - t.cos()).square().mean(), "start": model(torch.zeros(1, 1)).square().mean()}
        return None, u, sum(terms.values()), terms

    return watch_steps(model, step_of, lr=5e-3)


@healthy
def a_first_order_step_of_copied_weights():
    model = nn.Linear(8, 3)
    x, y = classes()

    def step_of():
        copies = {name: parameter.detach().clone().requires_grad_() for name, parameter in model.named_parameters()}
        inner = functional.cross_entropy(torch.func.functional_call(model, copies, (x[:32],)), y[:32])
        slopes = torch.autograd.grad(inner, list(copies.values()))
        adapted = {
            name: parameter - 0.1 * slope
            for (name, parameter), slope in zip(model.named_parameters(), slopes, strict=True)
        }
        output = torch.func.functional_call(model, adapted, (x[32:],))
        return None, output, functional.cross_entropy(output, y[32:]), None

    return watch_steps(model, step_of, lr=1e-2)
