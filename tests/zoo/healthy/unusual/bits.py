"""Parameters of few bits that move by little, or in some steps only, and gradients that an optimizer may keep."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.healthy.unusual.batches import data
from zoo.loops import look, mlp, plain_step
from zoo.pairs_numbers import in_bfloat16, kept_gradients


class Stochastic(torch.optim.Optimizer):
    """Gradient descent in bfloat16 whose updates are rounded up or down at random, right on average."""

    def __init__(self, parameters, *, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step: the 16 bits that are cut off decide by how often a weight moves."""
        for group in self.param_groups:
            for parameter in group["params"]:
                wanted = parameter.float() - group["lr"] * parameter.grad.float()
                noise = torch.randint(0, 2**16, wanted.shape, dtype=torch.int32)
                bits = (wanted.view(torch.int32) + noise) & -(2**16)
                parameter.copy_(bits.view(torch.float32))


@healthy
def weights_of_eight_bits_rounded_at_random():
    model = mlp(8, 16, 3).bfloat16()
    return in_bfloat16(model, Stochastic(model.parameters(), lr=0.05))


@healthy
def the_start_of_a_warmup_in_eight_bits():
    model = mlp(8, 16, 3).bfloat16()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 1000)

    def step(watcher, inputs, targets):
        plain_step(watcher, model, optimizer, inputs, targets)
        schedule.step()

    return in_bfloat16(model, optimizer, step=step)


@healthy
def master_weights_under_autocast():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(watcher, inputs, targets):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(inputs)
            loss = functional.cross_entropy(output, targets)
        optimizer.zero_grad()
        loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        optimizer.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step)


@healthy
def gradients_kept_before_they_are_set_to_none():
    return kept_gradients(copies=False, set_to_none=True)
