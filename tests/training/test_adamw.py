"""AdamW over a stack is torch's AdamW for each run, and clipping counts once."""

from __future__ import annotations

import torch

from goldmark.training._adamw import bias_corrections, clipped, flat, segment, update


def test_update_is_torchs_adamw_run_by_run():
    """Three runs with rates and decays of their own, five steps, against torch.optim.AdamW in float64."""
    torch.manual_seed(0)
    start = {"a": torch.randn(3, 4, 2).double(), "b": torch.randn(3, 5).double()}
    gradients = [{name: torch.randn_like(tensor) for name, tensor in start.items()} for _ in range(5)]
    rates, decays = torch.tensor([0.1, 0.01, 0.3]).double(), torch.tensor([0.0, 0.1, 0.5]).double()
    factors = torch.tensor([1.0, 0.9, 0.5, 0.2, 0.1]).double()
    part = segment(start, factors[:, None] * rates, decays)
    for step, its in enumerate(gradients):
        update([part], [flat(its[name] for name in part.views)], torch.tensor([step]), bias_corrections(5))
    for run in range(3):
        alone = {name: torch.nn.Parameter(tensor[run].clone()) for name, tensor in start.items()}
        optimizer = torch.optim.AdamW(alone.values(), weight_decay=float(decays[run]))
        for factor, its in zip(factors, gradients, strict=True):
            optimizer.param_groups[0]["lr"] = float(factor * rates[run])
            for name, parameter in alone.items():
                parameter.grad = its[name][run].clone()
            optimizer.step()
        for name, parameter in alone.items():
            torch.testing.assert_close(part.views[name][run], parameter, rtol=1e-12, atol=1e-14)


def test_clipping_holds_each_run_to_its_own_limit():
    """A norm of 5 is scaled to 1 and to 2, one of 0.5 stays: as torch clips, over all gradients of a run."""
    grads = [torch.tensor([[3.0], [3.0], [0.3]]), torch.tensor([[4.0], [4.0], [0.4]])]
    scaled = clipped(grads, torch.tensor([1.0, 2.0, 1.0]))
    norms = torch.cat(scaled, dim=1).norm(dim=1)
    torch.testing.assert_close(norms, torch.tensor([1.0, 2.0, 0.5]), rtol=1e-5, atol=0)  # torch adds 1e-6 to the norm


def test_clipping_scales_aliased_gradients_once():
    """Two gradients that share memory, as those of a stack may, are scaled once, and their memory is left alone."""
    shared, half_the_norm = torch.tensor([[3.0]]), torch.tensor([18**0.5 / 2])
    assert [[[1.5]], [[1.5]]] == [grad.round(decimals=4).tolist() for grad in clipped([shared, shared], half_the_norm)]
    assert [[3.0]] == shared.tolist()
