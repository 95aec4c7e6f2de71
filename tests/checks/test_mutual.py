"""Outputs that are each other's targets, by their gradients and in a running loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import check_mutual_targets

cosine = functional.cosine_similarity


def finding_of(n, loss_of, dtype=torch.float32):
    """The finding for `n` outputs (12, 6), from the gradients of `loss_of(outputs)` on them."""
    outputs = [*torch.randn(n, 12, 6, generator=torch.Generator().manual_seed(0)).to(dtype)]
    leaves = [one.requires_grad_() for one in outputs]
    return check_mutual_targets(outputs, torch.autograd.grad(loss_of(leaves), leaves))


def unit(z):
    """Rows of length 1."""
    return functional.normalize(z, dim=1)


MUTUAL = {
    "cosine": (2, lambda o: -cosine(*o).mean()),
    "symmetric": (4, lambda o: 1 - cosine(o[0], o[3]).mean() - 0.3 * cosine(o[1], o[2]).mean()),
    "distance": (2, lambda o: functional.mse_loss(*o)),
    "distance_of_directions": (2, lambda o: (unit(o[0]) - unit(o[1])).square().sum(1).mean() + 3),
    "product_of_directions": (2, lambda o: 2 - 2 * (unit(o[0]) * unit(o[1])).sum()),
    "distance_from_the_mean": (3, lambda o: (torch.stack(o) - torch.stack(o).mean(0)).square().sum()),
    "length_beside_it": (2, lambda o: functional.mse_loss(*o) + 0.1 * o[0].square().sum()),
}
OTHERS = {
    "detached": (2, lambda o: -cosine(o[0], o[1].detach()).mean() - cosine(o[1], o[0].detach().roll(1, 0)).mean()),
    "targets": (2, lambda o: sum(functional.mse_loss(one, torch.ones(12, 6)) for one in o)),
    "likeness_that_is_told": (2, lambda o: (cosine(*o) - torch.linspace(0.2, 1, 12)).square().mean()),
    "contrast": (2, lambda o: functional.cross_entropy(unit(o[0]) @ unit(o[1]).T, torch.arange(12))),
    "triplet": (3, lambda o: functional.triplet_margin_loss(*o, margin=99)),
    "away": (2, lambda o: cosine(*o).mean()),
    "one_way": (3, lambda o: functional.mse_loss(o[0], o[1]) + functional.mse_loss(o[2], o[1].detach())),
    "spread": (2, lambda o: functional.mse_loss(*o) + sum((3 - z.std(0)).relu().mean() for z in o)),
    "standardised": (2, lambda o: functional.mse_loss(*((z - z.mean(0)) / z.std(0) for z in o))),
    "signed_pairs": (2, lambda o: functional.cosine_embedding_loss(*o, torch.tensor([1.0, -1.0] * 6))),
    "logits": (2, lambda o: sum(functional.cross_entropy(one, torch.arange(12) % 6) for one in o)),
    "nothing": (2, lambda o: 0 * (o[0].sum() + o[1].sum())),
    "no_number": (2, lambda o: functional.mse_loss(*o) * float("nan")),
}


@pytest.mark.parametrize(("n", "loss_of"), MUTUAL.values(), ids=MUTUAL)
def test_outputs_that_are_only_drawn_to_each_other_are_named(n, loss_of):
    """Whichever distance it is, and however many there are."""
    finding = finding_of(n, loss_of)
    assert finding.trouble
    assert finding.numbers["unexplained"] < 1e-5  # rounding of float32


@pytest.mark.parametrize(("n", "loss_of"), OTHERS.values(), ids=OTHERS)
def test_what_is_held_by_something_else_passes(n, loss_of):
    """Targets, negatives, variances, and pulls that are not returned."""
    assert not finding_of(n, loss_of).trouble


def test_gradients_in_16_bits_are_as_good():
    """Their rounding is allowed for."""
    assert finding_of(2, lambda o: -cosine(*o).mean(), torch.bfloat16).trouble
    assert not finding_of(*OTHERS["contrast"], torch.bfloat16).trouble


def names(loss_of, *, last=(), lr=0.05, steps=12, mixed=False):
    """The findings of a watch of two codes, whose loss is `loss_of(codes, model)`."""
    torch.manual_seed(0)
    code = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), *last)
    model = nn.ModuleDict({"own": code, "other": nn.Linear(5, 8)})

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model

        def forward(self, a, b):
            return {"codes": model["own"](torch.cat([a, b])).chunk(2), "other": model["other"](a)}

    both = Both()
    optimizer = torch.optim.SGD(code.parameters(), lr=lr, momentum=0.9)
    with goldmark.watch(both, optimizer) as watch:
        for _ in range(steps):
            with torch.autocast("cpu", enabled=mixed):
                output = both(*torch.randn(2, 24, 5))
                loss = loss_of(output, both)
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward(output=output, loss=loss)
            optimizer.step()
    assert [] == [one for one in both.modules() if one._forward_hooks]  # noqa: SLF001
    return watch.findings.names


def drawn(output, model):
    """Minus the likeness of two codes, which `chunk` has made of one tensor."""
    return -cosine(*output["codes"]).mean()


def test_codes_that_fall_into_one_are_named_in_a_watch():
    """Where nothing else moves the weights."""
    assert "mutual_targets" in names(drawn)
    assert "mutual_targets" in names(drawn, mixed=True, steps=40)  # at the end rounding is all that is left
    assert "mutual_targets" not in names(lambda o, m: drawn(o, m) + m.parts["own"][0].weight.square().sum())
    assert "mutual_targets" not in names(lambda o, m: drawn(o, m) + functional.mse_loss(o["other"], o["codes"][0]))
    assert "mutual_targets" not in names(lambda o, m: -cosine(o["codes"][0], o["other"]).mean())  # has no owner


def test_codes_that_stay_apart_are_not_named():
    """By BatchNorm, or as they have not moved yet."""
    assert "mutual_targets" not in names(drawn, last=[nn.BatchNorm1d(8, affine=False)])
    assert "mutual_targets" not in names(drawn, lr=1e-6)
    assert "mutual_targets" not in names(drawn, steps=4)


def test_hooks_see_gradients_of_the_graph_only_and_leave_it():
    """A loss that is kept holds no hook once the watch is over, and gradients are as without one."""
    torch.manual_seed(0)
    model, x = nn.Linear(5, 16), torch.randn(24, 5)
    with goldmark.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)) as watch:
        codes = model(x), model(x + 1)
        functional.mse_loss(*codes).backward()
        watch.after_backward(output=codes)
    assert [] == watch.record.pulls.outputs
    wanted = torch.autograd.grad(functional.mse_loss(model(x), model(x + 1)), model.weight)[0]
    assert torch.equal(wanted, model.weight.grad)


def test_outputs_of_sequences_are_judged_position_by_position():
    """Outputs (N, T, L) of two views that are each other's targets."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 6))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with goldmark.watch(model, optimizer) as watch:
        for _ in range(16):
            x = torch.randn(8, 4, 8)
            loss = functional.mse_loss(model(x), model(x + 0.1 * torch.randn(8, 4, 8)))
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward(x, None, loss)
            optimizer.step()
    assert "mutual_targets" in watch.findings.names
