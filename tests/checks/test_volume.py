"""Losses of flows that reward them for stretching their inputs, and for squeezing them to a point."""

from __future__ import annotations

import torch
from torch import nn

from goldmark.checks import check_log_determinant_sign, preflight

TRUE = torch.tensor([0.7, -1.2, 2.0], dtype=torch.float64)


def test_a_loss_falls_as_the_log_determinant_rises_or_not():
    """Whether the model tells that of its map or of the inverse."""
    falls, rises = torch.full((8,), -0.1), torch.full((8,), 0.1)
    assert check_log_determinant_sign(TRUE, TRUE, rises).trouble
    assert check_log_determinant_sign(-TRUE, TRUE, falls).trouble
    assert not check_log_determinant_sign(TRUE, TRUE, falls).trouble
    assert not check_log_determinant_sign(-TRUE, TRUE, rises).trouble


def test_other_numbers_pass():
    """What is no log-determinant, not of all examples, or near 0."""
    rises = torch.full((8,), 0.1)
    assert not check_log_determinant_sign(TRUE + 0.01, TRUE, rises).trouble
    assert not check_log_determinant_sign(TRUE.abs(), TRUE, rises).trouble
    assert not check_log_determinant_sign(TRUE * 1e-3, TRUE * 1e-3, rises).trouble
    assert not check_log_determinant_sign(TRUE * float("nan"), TRUE, rises).trouble
    assert not check_log_determinant_sign(TRUE, TRUE, torch.tensor([0.1, -0.1])).trouble


class Scales(nn.Module):
    """Outputs (B, 2, 3) like the inputs, each times a number, and their log-determinants (B, 1)."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.1, 0.6, 6).reshape(2, 3))

    def forward(self, x, condition):
        """Stretch x (B, 2, 3) the more the larger its condition (B, 1) is."""
        scale = self.scale * (1 + condition[:, :, None].square())
        return {"z": x * scale.exp(), "log_det": scale.flatten(1).sum(1, keepdim=True)}


def names(loss_fn, **settings):
    """The names of what a preflight finds of inputs that have several axes and a condition."""
    model, generator = Scales(), torch.Generator().manual_seed(0)
    x, condition = torch.randn(16, 2, 3, generator=generator), torch.randn(16, 1, generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, **settings)
    return preflight(model, optimizer, [((x, condition), x)], None, loss_fn).names


def density(output, _):
    """The log-density of inputs."""
    return (output["log_det"].squeeze(1) - output["z"].flatten(1).square().sum(1) / 2).mean()


def test_a_preflight_judges_the_loss_by_derivatives_of_the_model():
    """A loss that is maximised is not judged, nor one that depends on the log-determinant in another way."""
    assert "log_determinant_sign" in names(
        lambda output, _: (output["log_det"].squeeze(1) + output["z"].flatten(1).square().sum(1) / 2).mean()
    )
    assert "log_determinant_sign" not in names(lambda output, targets: -density(output, targets))
    assert "log_determinant_sign" not in names(density, maximize=True)
    assert "log_determinant_sign" not in names(lambda output, _: output["log_det"].square().mean() + output["z"].mean())
