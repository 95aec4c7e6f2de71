"""The roast case: its generator, model and scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.case import settings_of
from goldmark.cases.roast import CASE, RoastSettings, loss, make_model
from goldmark.cases.roast.curves import generate
from goldmark.cases.roast.scores import baselines, fahrenheit, generate_f, next_steps, scaled, score
from goldmark.cases.roast.transformer import Attention, DecoderLayer, position_angles, rotated, sines_and_cosines
from goldmark.training.draws import Draws, initial_weights


def test_curves_look_like_roasts():
    """Charged at 420 F and first read up to 21 s later, turning at 130-200 F, ending near 400 F, in tenths."""
    data = generate(RoastSettings(), 0)
    curves, valid = data["train_temp_f"], data["train_valid"]
    assert (24, 48) == tuple(curves.shape)
    assert 200 < curves[:, 0].min()
    assert curves[:, 0].max() < 440
    assert curves.argmin(dim=1).max() <= 8
    assert 130 < curves.min() < 200
    ends = curves[:, -1]
    assert 360 < ends.min()
    assert ends.max() < 450
    assert torch.equal(curves, (curves * 10).round() / 10)
    assert 36 <= valid.sum(dim=1).min()
    assert valid.sum(dim=1).max() <= 48


def test_padding_repeats_the_last_valid_temperature():
    """Cells after the end hold the end, and are marked as not valid."""
    data = generate(RoastSettings(), 1)
    for curve, valid in zip(data["val_temp_f"], data["val_valid"], strict=True):
        assert torch.equal(valid, torch.arange(48) < valid.sum())
        assert (curve[~valid] == curve[valid][-1]).all()


def test_generator_is_a_function_of_the_seed():
    """The same seed gives the same profiles, another seed others, and the two halves share none."""
    first, again, other = (generate(RoastSettings(), seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if name.startswith(("train", "val", "temp")))
    apart = (first["train_temp_f"] - other["train_temp_f"]).abs().mean(dim=1)
    assert apart.min() > 2  # F: other beans, not other noise of 0.6 F
    assert not set(map(tuple, first["train_temp_f"].tolist())) & set(map(tuple, first["val_temp_f"].tolist()))


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
    """The layer is `nn.TransformerDecoderLayer`, parameter by parameter in the same order but for the norms."""
    torch.manual_seed(0)
    ours = DecoderLayer(8, 2, 16, 0.0, "site").double()
    theirs = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double()
    for mine, other in ((ours.self_attention, theirs.self_attn), (ours.cross_attention, theirs.multihead_attn)):
        other.in_proj_weight.data, other.out_proj.weight.data = (
            mine.query_key_value.weight.data,
            mine.output.weight.data,
        )
    for mine, other in ((ours.expand, theirs.linear1), (ours.contract, theirs.linear2)):
        other.load_state_dict(mine.state_dict())
    x, memory = torch.randn(3, 5, 8).double(), torch.randn(3, 1, 8).double()
    mask = torch.full((5, 5), -torch.inf).triu(1).double()
    torch.testing.assert_close(ours(x, memory, mask, None), theirs(x, memory, mask), rtol=1e-10, atol=1e-12)


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


def test_every_part_of_the_bean_is_heard():
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


@pytest.mark.parametrize(("variant", "offset", "unit"), [("normalized", 100, 400), ("raw_targets", 0, 1)])
def test_loss_is_the_mean_square_over_valid_cells(variant, offset, unit):
    """For a model that answers 0 the loss is the mean square of the scaled targets, recomputed with numpy."""
    settings = settings_of(CASE, variant)
    data = generate(settings, 0)
    silent = nn.Module()
    silent.forward = lambda inputs, bean, draws=None: torch.zeros_like(inputs)
    curves, valid = data["train_temp_f"].numpy()[:8, 1:], data["train_valid"].numpy()[:8, 1:]
    expected = (((curves[valid] - offset) / unit) ** 2).mean()
    assert pytest.approx(expected) == float(loss(silent, data, torch.arange(8), Draws.at(0, 0), settings))


def test_positions_are_sines_and_cosines():
    """Even places hold sines, odd ones cosines, of wavelengths from 2 pi to 10000 * 2 pi."""
    expected = [[np.sin(t / 10000 ** (2 * (i // 2) / 4) + (i % 2) * np.pi / 2) for i in range(4)] for t in range(3)]
    found = sines_and_cosines(position_angles(0, 3, 4, torch.device("cpu")))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32


def test_padded_cells_do_not_count():
    """Whatever stands in padded cells: the loss, every score of next steps and the baselines stay as they are."""
    settings = RoastSettings()
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(settings, 0).items()}
    spoilt = dict(data)
    for half in ("train", "val"):
        spoilt[f"{half}_temp_f"] = torch.where(data[f"{half}_valid"], data[f"{half}_temp_f"], torch.tensor(9999.0))
    with initial_weights(0):
        model = make_model(settings, data)
    with torch.no_grad():
        losses = [loss(model, either, torch.arange(8), Draws.at(0, 0), settings) for either in (data, spoilt)]
        scores = [score(model, either, settings) for either in (data, spoilt)]
    assert losses[0] == losses[1]
    assert scores[0] == scores[1]
    assert baselines(data, settings) == baselines(spoilt, settings)


def test_scores_equal_a_second_implementation():
    """RMSE, MAE, skills and loss recomputed with numpy, profile by profile; float32 predictions, so 1e-5."""
    settings = RoastSettings()
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(settings, 2).items()}
    with initial_weights(2):
        model = make_model(settings, data)
    bean = (data["val_categories"], data["val_flavors"], data["val_continuous"])
    with torch.no_grad():
        got = score(model, data, settings)
        predicted = model((data["val_temp_f"][:, :-1] - 100) / 400, bean).double().numpy() * 400 + 100
    true, valid = data["val_temp_f"].double().numpy(), data["val_valid"].numpy()
    train, train_valid = data["train_temp_f"].double().numpy(), data["train_valid"].numpy()
    cells = [(i, t) for i in range(12) for t in range(1, 48) if valid[i, t]]
    errors = np.array([predicted[i, t - 1] - true[i, t] for i, t in cells])
    curve = [
        np.mean([train[i, t] for i in range(24) if train_valid[i, t]] or [train[train_valid].mean()]) for t in range(48)
    ]
    naive = {
        "mean": [train[train_valid].mean() - true[i, t] for i, t in cells],
        "mean_curve": [curve[t] - true[i, t] for i, t in cells],
        "persistence": [true[i, t - 1] - true[i, t] for i, t in cells],
    }
    rmse = np.sqrt((errors**2).mean())
    expected = {
        "rmse_f": rmse,
        "teacher_forced_mae_f": np.abs(errors).mean(),
        "val_loss": (errors**2).mean() / 400**2,
        "prediction_sd_f": np.std([predicted[i, t - 1] for i, t in cells], ddof=1),
    }
    expected |= {f"skill_vs_{name}": 1 - rmse / np.sqrt(np.mean(np.square(e))) for name, e in naive.items()}
    assert pytest.approx(expected, rel=1e-5) == {name: got[name] for name in expected}


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rope"])
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


def test_generation_feeds_outputs_back():
    """A model that says 'one more' counts up from the first temperature, on degrees, as far as it is asked to."""
    settings = RoastSettings(input_scale="raw", target_scale="raw", residual=True, generated_steps=4)
    data = generate(settings, 0)
    model = make_model(settings, data).double()
    nn.init.zeros_(model.output.weight)
    nn.init.ones_(model.output.bias)
    with torch.no_grad():
        curves = generate_f(model, data, settings)
    torch.testing.assert_close(curves, data["val_temp_f"][:, :1] + torch.arange(5))


def test_rope_of_the_record_rotates_the_input():
    """Entry i and entry i + D / 2 of step t are turned by t times a rate: lengths stay, and step 0 as a whole."""
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    angles = position_angles(0, 3, 4, torch.device("cpu")).double()
    pairs = torch.complex(x[..., :2], x[..., 2:]) * torch.exp(1j * angles)
    expected = torch.cat([pairs.real, pairs.imag], dim=-1)
    torch.testing.assert_close(rotated(x, angles), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(x[:, 0], rotated(x, angles)[:, 0])


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rope"])
def test_places_are_told_apart(positions):
    """The same temperature has another embedding at every place, and a later start continues where it stands."""
    settings = RoastSettings(positions=positions)
    model = make_model(settings, generate(settings, 0))
    whole = model.placed(torch.ones(1, 5), 0)[0]
    assert len({tuple(place) for place in whole.tolist()}) == 5
    assert torch.equal(whole[3:], model.placed(torch.ones(1, 2), 3)[0])


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


def test_scales_are_those_of_the_record():
    """[100, 500] F becomes [0, 1]; z-scores have mean 0 and sd 1 on the valid training cells; raw stays."""
    data = generate(RoastSettings(input_scale="zscore", target_scale="range"), 0)
    torch.testing.assert_close(scaled(torch.tensor([100.0, 500.0]), data, "target"), torch.tensor([0.0, 1.0]))
    z = scaled(data["train_temp_f"], data, "input")[data["train_valid"]]
    assert (pytest.approx(0, abs=1e-9), pytest.approx(1)) == (float(z.mean()), float(z.std()))
    raw = generate(RoastSettings(input_scale="raw"), 0)
    assert torch.equal(raw["train_temp_f"], scaled(raw["train_temp_f"], raw, "input"))


def test_raw_targets_train_on_degrees():
    """The broken variant's loss is in square degrees on the same path: 400^2 times that of the same outputs scaled."""
    model = nn.Module()
    model.forward = lambda inputs, bean, draws=None: torch.zeros_like(inputs)
    _, fixed = next_steps(model, generate(settings_of(CASE, "normalized"), 0), "train")
    _, broken = next_steps(model, generate(settings_of(CASE, "raw_targets"), 0), "train")
    torch.testing.assert_close(broken, fixed * 400 + 100)


def test_bias_init_starts_at_the_mean():
    """The control's fresh model answers the training mean, plus what the rest of the layer adds."""
    settings = settings_of(CASE, "raw_bias_init")
    data = generate(settings, 0)
    with initial_weights(0):
        model = make_model(settings, data)
    assert pytest.approx(float(data["temp_mean_f"]), rel=1e-6) == model.output.bias.item()


def test_vocabulary_of_generated_profiles_has_no_unknown_slot():
    """The generator knows all its categories."""
    assert [4, 3, 3, 4] == generate(RoastSettings(), 0)["vocabulary"].tolist()
