"""The roast model: its parts against torch's own, its conditions, its positional encodings, incremental decoding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.roast import CASE, RoastSettings
from goldmark.cases.roast.data import fahrenheit, generate, scaled
from goldmark.cases.roast.model import (
    Attention,
    DecoderLayer,
    make_model,
    position_angles,
    rotated,
    sines_and_cosines,
)
from goldmark.cases.roast.scores import generate_f
from goldmark.training.draws import Dropout, initial_weights


def test_attention_equals_torch():
    """The keyed attention without dropout is `nn.MultiheadAttention`; float64 rounding is all that differs."""
    torch.manual_seed(0)
    ours, theirs = Attention(8, 2, 0.0, "site").double(), nn.MultiheadAttention(8, 2, batch_first=True).double()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.query_key_value.weight.data, torch.randn(24).double()
    ours.query_key_value.bias.data = theirs.in_proj_bias.data
    theirs.out_proj.weight.data = ours.output.weight.data
    x, memory = torch.randn(3, 5, 8).double(), torch.randn(3, 4, 8).double()
    mask = torch.zeros(5, 4).double().masked_fill(torch.ones(5, 4).triu(1).bool(), -torch.inf)
    expected, _ = theirs(x, memory, memory, attn_mask=mask)
    torch.testing.assert_close(ours(x, memory, mask, None), expected, rtol=1e-10, atol=1e-12)


def test_layer_equals_torch():
    """The layer is `nn.TransformerDecoderLayer`, norms included; float64 rounding is all that differs."""
    torch.manual_seed(0)
    ours = DecoderLayer(8, 2, 16, 0.0, "site").double()
    theirs = torch_layer(ours)
    x, memory = torch.randn(3, 5, 8).double(), torch.randn(3, 1, 8).double()
    mask = torch.full((5, 5), -torch.inf).triu(1).double()
    torch.testing.assert_close(ours(x, memory, mask, None), theirs(x, memory, mask), rtol=1e-10, atol=1e-12)


def torch_layer(ours):
    """`nn.TransformerDecoderLayer` with the weights of a layer, whose norms and biases are first moved off 1 and 0."""
    width, feedforward = ours.expand.in_features, ours.expand.out_features
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    theirs = nn.TransformerDecoderLayer(
        width, ours.self_attention.heads, feedforward, dropout=0.0, batch_first=True, dtype=torch.float64
    )
    for mine, other in ((ours.self_attention, theirs.self_attn), (ours.cross_attention, theirs.multihead_attn)):
        other.in_proj_weight.data, other.in_proj_bias.data = mine.query_key_value.weight, mine.query_key_value.bias
        other.out_proj.load_state_dict(mine.output.state_dict())
    pairs = [(ours.expand, theirs.linear1), (ours.contract, theirs.linear2)]
    for mine, other in [*pairs, *zip(ours.norms, (theirs.norm1, theirs.norm2, theirs.norm3), strict=True)]:
        other.load_state_dict(mine.state_dict())
    return theirs


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rope"])
def test_model_equals_torch(positions, residual):
    """The forward pass, written with torch's own decoder: embeddings, layers, the last LayerNorm, the output layer."""
    data = generate(RoastSettings(), 0)
    model = make_model(RoastSettings(positions=positions, residual=residual), data).double()
    layers = [torch_layer(layer) for layer in model.layers]
    with torch.no_grad():
        for parameter in model.norm.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    temps, bean = torch.rand(12, 10).double(), [data[f"val_{part}"] for part in ("categories", "flavors", "continuous")]
    embedded = [table(bean[0][:, i]) for i, table in enumerate(model.categories)]
    memory = model.condition(torch.cat([*embedded, model.flavors(bean[1]), model.continuous(bean[2])], dim=1))[:, None]
    x = model.embed(temps, 0) + memory
    for layer in layers:
        x = layer(x, memory, torch.full((10, 10), -torch.inf).triu(1).double())
    normed = (x - x.mean(dim=2, keepdim=True)) / (x.var(dim=2, unbiased=False, keepdim=True) + 1e-5).sqrt()
    change = (normed * model.norm.weight + model.norm.bias) @ model.output.weight[0] + model.output.bias
    expected = temps + change if residual else change
    torch.testing.assert_close(model(temps, tuple(bean)), expected, rtol=1e-10, atol=1e-12)


def test_every_dropout_draws_at_a_site_of_its_own():
    """Two at one site would drop the same cells in every step; the names are part of a run's stream."""
    data = generate(RoastSettings(), 0)
    model = make_model(RoastSettings(dropout=0.1), data)
    sites = [module.site for module in model.modules() if isinstance(module, Dropout)]
    parts = ["self-attention", "cross-attention"]
    parts += ["after self-attention", "after cross-attention", "hidden", "after feed-forward"]
    assert [f"layer {i} {part}" for i in range(2) for part in parts] == sites


@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_last_norm_bounds_what_the_output_layer_reads(scale):
    """The hidden state has length sqrt(width) at every step, however large the temperatures and the layers' outputs."""
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(RoastSettings(), 0).items()}
    model = make_model(RoastSettings(), data)
    nn.init.constant_(model.layers[-1].norms[2].weight, 50.0)
    lengths = []
    model.output.register_forward_pre_hook(lambda layer, read: lengths.append(read[0].norm(dim=-1)))
    bean = tuple(data[f"val_{part}"] for part in ("categories", "flavors", "continuous"))
    model(scale * torch.rand(12, 10), bean)
    torch.testing.assert_close(lengths[0], torch.full((12, 10), 4.0), rtol=1e-3, atol=0)  # the norm adds 1e-5


def test_model_sees_no_later_step():
    """Changing a temperature leaves all earlier predictions as they were."""
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(RoastSettings(), 0).items()}
    with initial_weights(0):
        model = make_model(RoastSettings(), data)
    temps, bean = torch.rand(24, 10), (data["train_categories"], data["train_flavors"], data["train_continuous"])
    before, temps[:, 6] = model(temps.clone(), bean), 5.0
    after = model(temps, bean)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert (before[:, 6:] != after[:, 6:]).all()


def test_every_condition_reaches_the_predictions():
    """Each condition changes the predictions, and learns: its parameters have a gradient."""
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(RoastSettings(), 0).items()}
    with initial_weights(0):
        model = make_model(RoastSettings(), data)
    temps, bean = torch.rand(24, 5), [data[f"train_{part}"] for part in ("categories", "flavors", "continuous")]
    before = model(temps, tuple(bean))
    changed = [(bean[0] + 1) % data["vocabulary"], 1 - bean[1], bean[2] + 1]
    for place, part in enumerate(changed):
        other = model(temps, tuple(part if i == place else bean[i] for i in range(3)))
        assert not torch.allclose(before, other)
    before.square().mean().backward()
    parts = [p for name, p in model.named_parameters() if name.startswith(("categories", "flavors", "continuous"))]
    assert all(p.grad.abs().sum() > 0 for p in parts)


def test_positions_are_sines_and_cosines():
    """Even entries hold sines, odd ones cosines, of wavelengths from 2 pi to 10000 * 2 pi."""
    expected = [[np.sin(t / 10000 ** (2 * (i // 2) / 4) + (i % 2) * np.pi / 2) for i in range(4)] for t in range(3)]
    actual = sines_and_cosines(position_angles(0, 3, 4, torch.device("cpu")))
    np.testing.assert_allclose(actual, expected, atol=1e-6)  # float32


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rope", "rotary"])
@pytest.mark.parametrize("residual", [False, True])
def test_generation_equals_running_the_whole_prefix_again(positions, residual):
    """Keys and values that are kept give what the model gives on the curve so far; float64 rounding is all."""
    settings = RoastSettings(positions=positions, residual=residual, input_scale="zscore")
    data = generate(settings, 0)
    with initial_weights(0):
        model = make_model(settings, data).double()
    bean = (data["val_categories"], data["val_flavors"], data["val_continuous"])
    expected = data["val_temp_f"][:, :1]
    with torch.no_grad():
        for _ in range(47):
            outputs = model(scaled(expected, data, "input"), bean)[:, -1:]
            expected = torch.cat([expected, fahrenheit(outputs, data)], dim=1)
        curves = generate_f(model, data, settings)
    torch.testing.assert_close(curves, expected, rtol=1e-10, atol=1e-9)
    assert curves.std(dim=1).min() > 0


def test_rope_of_the_record_rotates_the_input():
    """Entry i and entry i + D / 2 of step t are turned by t times a rate: lengths stay, and step 0 as a whole."""
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    angles = position_angles(0, 3, 4, torch.device("cpu")).double()
    pairs = torch.complex(x[..., :2], x[..., 2:]) * torch.exp(1j * angles)
    expected = torch.cat([pairs.real, pairs.imag], dim=-1)
    torch.testing.assert_close(rotated(x, angles), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(x[:, 0], rotated(x, angles)[:, 0])


def test_rotary_scores_are_those_of_complex_numbers():
    """Su et al. (2021), equation 12: pairs of entries as complex numbers, turned by place times rate, in each head."""
    attention = Attention(8, 2, 0.0, "site").double()
    x, angles = torch.randn(3, 5, 8).double(), position_angles(0, 5, 4, torch.device("cpu")).double()
    query, key, value = (
        part.unflatten(-1, (2, 4)).transpose(1, 2) for part in attention.query_key_value(x).chunk(3, -1)
    )
    turned = [torch.complex(part[..., :2], part[..., 2:]) * torch.exp(1j * angles) for part in (query, key)]
    scores = (turned[0] @ turned[1].conj().transpose(-1, -2)).real / 2  # the root of 4 entries a head
    expected = attention.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, x, None, None, angles=angles), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rope"])
def test_steps_are_told_apart(positions):
    """The same temperature has another embedding at every step, and a later start continues where it stands."""
    settings = RoastSettings(positions=positions)
    model = make_model(settings, generate(settings, 0))
    whole = model.embed(torch.ones(1, 5), 0)[0]
    assert len({tuple(step) for step in whole.tolist()}) == 5
    assert torch.equal(whole[3:], model.embed(torch.ones(1, 2), 3)[0])


def test_flavors_can_be_left_out():
    """Without them the model has no weights for flavors, and whatever they are, it answers the same."""
    settings = RoastSettings(use_flavors=False)
    data = generate(settings, 0)
    model = make_model(settings, data).double()
    categories, flavors, continuous = (data[f"train_{part}"] for part in ("categories", "flavors", "continuous"))
    temps = torch.rand(24, 5, dtype=torch.float64)
    assert torch.equal(
        model(temps, (categories, flavors, continuous)), model(temps, (categories, 1 - flavors, continuous))
    )
    assert [] == [name for name, _ in model.named_parameters() if name.startswith("flavors")]


def test_bias_init_starts_at_the_mean():
    """The control's fresh model answers the training mean, plus what the rest of the layer adds."""
    settings = CASE.settings_of("raw_bias_init")
    data = generate(settings, 0)
    with initial_weights(0):
        model = make_model(settings, data)
    assert pytest.approx(float(data["temp_mean_f"]), rel=1e-6) == model.output.bias.item()
