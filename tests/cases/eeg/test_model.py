"""CompactRT: parameter counts, a second implementation of its forward pass, dropout, and the ensemble."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.model import CompactRT, Ensemble, members_of
from goldmark.training.draws import Draws, Dropout


@pytest.mark.parametrize(
    ("expected", "widths", "kernels", "head", "max_pool"),
    [(74_753, (32, 64, 128), (7, 5, 3), (64, 32), False), (53_025, (32, 64, 96), (5, 5, 3), (32,), True)],
)
def test_full_size_nets_have_the_documented_parameter_counts(expected, widths, kernels, head, max_pool):
    """The count tells CompactRT from the net that the ensemble trained in its place; no metric does."""
    model = CompactRT(channels=129, widths=widths, kernels=kernels, head=head, max_pool=max_pool)
    assert expected == sum(parameter.numel() for parameter in model.parameters())
    assert (2,) == model(torch.zeros(2, 129, 200)).shape
    x = torch.zeros(1, 129, 200)
    for convolution in model.convolutions:
        x = model.pool(convolution(x))
    assert x.shape[-1] == 25  # three halvings


def test_fast_net_starts_at_the_mean_response(float_data):
    """Conv 16-16-32, head 32-16-1: 5,041 parameters, and an output bias that spares the steps to the mean."""
    data = float_data(EegSettings())
    model = CASE.make_model(EegSettings(), data)
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_041
    assert float(data["train_response_s"].mean()) == model.output.bias.item()


def perturbed(model):
    """Return a model in float64 and in evaluation, none of whose weights or statistics are what they start as."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point() and tensor.dim():
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return model.double().eval()


@pytest.mark.parametrize("max_pool", [False, True])
def test_forward_pass_equals_plain_loops(max_pool):
    """Convolution, BatchNorm, ReLU and pooling in numpy, position by position; float64 rounding only."""
    model = perturbed(CompactRT(channels=3, widths=(4, 5), kernels=(5, 3), head=(6, 4), max_pool=max_pool))
    x = np.random.default_rng(0).normal(size=(2, 3, 12))
    expected = [predicted(model, window, max_pool) for window in x]
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-12)


def predicted(model, x, max_pool):
    """Return what the net should answer to one window (C, T)."""
    for convolution, norm in zip(model.convolutions, model.norms, strict=True):
        weight, bias = (tensor.detach().numpy() for tensor in (convolution.weight, convolution.bias))
        reach, length = weight.shape[-1] // 2, x.shape[-1]
        padded = np.pad(x, ((0, 0), (reach, reach)))
        starts = range(0, length, 1 if max_pool else 2)
        x = np.array([(weight * padded[:, at : at + weight.shape[-1]]).sum(axis=(1, 2)) + bias for at in starts]).T
        mean, variance, scale, shift = (
            tensor.detach().numpy()[:, None] for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        x = np.maximum(scale * (x - mean) / np.sqrt(variance + 1e-5) + shift, 0)
        x = x.reshape(len(x), -1, 2).max(axis=-1) if max_pool else x
    x = x.mean(axis=-1)
    for layer in model.hidden:
        x = np.maximum(layer.weight.detach().numpy() @ x + layer.bias.detach().numpy(), 0)
    return float(model.output.weight.detach().numpy()[0] @ x + model.output.bias.item())


def test_dropout_is_keyed_and_for_training_only(float_data):
    """Without draws nothing is dropped; the same step drops the same units, another step others."""
    settings, data = EegSettings(conv_dropout=(0.5, 0.4), head_dropout=(0.3,)), float_data(EegSettings())
    model = CASE.make_model(settings, data).eval()
    assert [0.5, 0.4, 0.3] == [module.p.item() for module in model.modules() if isinstance(module, Dropout)]
    x = data["val_eeg"]
    first, again, other = (model(x, Draws.at(0, step)) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(model(x), model(x))
    assert not torch.equal(model(x), first)


def test_every_layer_but_the_last_has_its_own_dropout():
    """One site a layer, each of them drawn in a step, in the shape of what it drops."""
    model = CompactRT(
        channels=3, widths=(4, 5), kernels=(5, 3), head=(6,), conv_dropout=(0.5, 0.5), head_dropout=(0.5,)
    )
    draws = Draws.at(0, 0)
    model(torch.zeros(2, 3, 12), draws)
    assert {("convolution 0", (2, 4, 6)), ("convolution 1", (2, 5, 3)), ("hidden 0", (2, 6))} == draws.used


def test_ensemble_averages_its_members(float_data):
    """The mean of what each of them predicts alone; a net alone is its own member."""
    x = float_data(EegSettings())["val_eeg"]
    model = CASE.make_model(EegSettings(members=3), float_data(EegSettings())).eval()
    assert isinstance(model, Ensemble)
    with torch.no_grad():
        expected = sum(member(x).double() for member in members_of(model)) / 3
        torch.testing.assert_close(model(x).double(), expected, rtol=1e-6, atol=0)  # float32 rounding
    net = CASE.make_model(EegSettings(), float_data(EegSettings()))
    assert [net] == members_of(net)


def test_members_of_an_ensemble_start_with_weights_of_their_own(float_data):
    """Else their average would be worth nothing."""
    first, second = members_of(CASE.make_model(EegSettings(members=2), float_data(EegSettings())))
    layers = [module for module in first.modules() if isinstance(module, nn.Conv1d | nn.Linear)]
    twins = [module for module in second.modules() if isinstance(module, nn.Conv1d | nn.Linear)]
    assert not any(torch.equal(layer.weight, twin.weight) for layer, twin in zip(layers, twins, strict=True))
