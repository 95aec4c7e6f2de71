"""One training: deterministic, on the path that its settings say, and told whole in the run."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, replace

import pytest
import torch
from torch import nn

from goldmark.case import Baseline, Case, Finding, Metric, Variant
from goldmark.training import draws, resolve_device, train
from goldmark.training.plan import Job
from goldmark.training.single import train_single


@dataclass(frozen=True)
class LineSettings:
    """Fit a line."""

    lr: float = 0.05
    lr_min: float | None = 0.01
    weight_decay: float = 0.1
    clip: float | None = 0.5
    steps: int = 12
    batch: int = 4
    noise: float = 0.1


def make_line(settings, seed):
    """x in (0, 1), y = 3 x + 1 + noise."""
    x = draws.uniform(draws.key(seed, 0, "line x"), (20,))
    y = 3 * x + 1 + settings.noise * draws.normal(draws.key(seed, 0, "line noise"), (20,))
    return {"train_x": x[:12], "train_y": y[:12], "val_x": x[12:], "val_y": y[12:]}


def make_model(settings, data):
    """One weight, one bias."""
    return nn.Linear(1, 1)


def loss(model, data, rows, step_draws, settings):
    """Mean squared error of a batch, inputs jittered by a keyed draw."""
    x = data["train_x"][rows] + 0.01 * step_draws.normal("jitter", len(rows)).float()
    return nn.functional.mse_loss(model(x[:, None])[:, 0], data["train_y"][rows])


def evaluate(model, data, settings):
    """Validation error."""
    error = model(data["val_x"][:, None])[:, 0] - data["val_y"]
    return {"mse": float(error.square().mean()), "weight": float(model.weight)}


LINE = Case(
    name="line",
    title="a line",
    says="a line that needs no fix",
    settings=LineSettings(),
    seeds=2,
    variants=(
        Variant("fit", "the line", "fixed"),
        Variant("slow", "a tenth of the rate", "broken", "fit", {"lr": 0.005}),
    ),
    metrics=(Metric("mse", "validation error"), Metric("gain", "first over last")),
    claims=(),
    make_data=make_line,
    make_model=make_model,
    loss=loss,
    evaluate=evaluate,
    baselines=lambda data, settings: (Baseline("mean", "mean", {"mse": float(data["val_y"].var())}),),
    examine=lambda fresh, trained, data, settings: (
        Finding("moved", bool(fresh.weight == trained.weight), {}, 0.0, "train it"),
    ),
    finish=lambda history: {"gain": history[0]["mse"] / history[-1]["mse"]},
    close=lambda data, settings: {"mean_y": float(data["val_y"].mean()), "dtype": str(data["val_y"].dtype)},
)


def test_same_seed_repeats_bitwise_and_another_does_not():
    """A run is a function of settings and seed."""
    first, again, other = (train_single(Job(LINE, "fit", seed)) for seed in (0, 0, 1))
    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)
    assert first.metrics != other.metrics
    assert first.stream != other.stream


def test_run_does_not_touch_the_callers_random_numbers():
    """Training in the middle of a program leaves its draws as they were."""
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    train_single(Job(LINE, "fit", 0))
    assert torch.equal(expected, torch.rand(2))


def test_training_equals_a_second_implementation():
    """AdamW by hand in float64 (Loshchilov and Hutter, 2019): float32 rounding over 12 steps stays below 1e-5."""
    settings, seed = LineSettings(), 3
    data = make_line(settings, seed)
    with draws.initial_weights(seed):
        model = nn.Linear(1, 1)
    weights = torch.tensor([model.weight.item(), model.bias.item()], dtype=torch.float64)
    first, second = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for step in range(settings.steps):
        if step % 3 == 0:
            order = draws.permutation(draws.key(seed, step // 3, "order"), 12)
        rows = order[step % 3 * 4 :][:4]
        x = data["train_x"][rows] + 0.01 * draws.normal(draws.key(seed, step, "jitter"), (4,))
        error = weights[0] * x + weights[1] - data["train_y"][rows]
        gradient = torch.stack([(2 * error * x).mean(), (2 * error).mean()])
        gradient = gradient * min(1.0, settings.clip / (float(gradient.norm()) + 1e-6))
        rate = 0.01 + 0.04 * (1 + math.cos(math.pi * step / 12)) / 2
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        weights = weights * (1 - rate * settings.weight_decay)
        weights -= rate * first / (1 - 0.9 ** (step + 1)) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    expected = float((weights[0] * data["val_x"] + weights[1] - data["val_y"]).square().mean())
    assert expected == pytest.approx(train_single(Job(LINE, "fit", seed)).metrics["mse"], rel=1e-5)


def test_every_step_trains_and_every_evaluation_does_not():
    """Dropout and batch statistics follow the mode: training in each step, evaluation in between."""
    modes = []

    def watched_loss(model, *others):
        modes.append(model.training)
        return loss(model, *others)

    def watched_evaluation(model, *others):
        modes.append(not model.training)
        return evaluate(model, *others)

    train_single(Job(replace(LINE, loss=watched_loss, evaluate=watched_evaluation), "fit", 0))
    assert len(modes) == 12 + 3
    assert all(modes)


def test_train_loss_is_the_mean_of_an_epochs_losses():
    """Three batches an epoch: each row of the history holds their mean."""
    losses = []

    def watched_loss(*arguments):
        losses.append(loss(*arguments))
        return losses[-1]

    run = train_single(Job(replace(LINE, loss=watched_loss), "fit", 0))
    means = [sum(float(value.detach()) for value in losses[i : i + 3]) / 3 for i in range(0, 12, 3)]
    assert pytest.approx(means, rel=1e-6) == [row["train_loss"] for row in run.history]  # float32 sums


def test_run_tells_what_defines_it():
    """Recipe, shapes, parameter count, learning rates, float64 arithmetic, sources and fingerprint are in the run."""
    run = train_single(Job(LINE, "slow", 1))
    assert asdict(LineSettings(lr=0.005)) == run.exact["recipe"]
    assert {"train_x": [12], "train_y": [12], "val_x": [8], "val_y": [8]} == run.exact["shapes"]
    assert run.exact["n_parameters"] == 2
    assert [1.0, 2.0, 3.0, 4.0] == [row["epoch"] for row in run.history]
    assert ["mse" in row for row in run.history] == [True, True, False, True]
    assert {"mse", "gain"} == set(run.metrics)
    assert run.close["dtype"] == "torch.float64"
    assert {"mean": {"mse": run.baselines[0].metrics["mse"]}} == run.close["baselines"]
    assert not run.findings[0].trouble
    assert ("generated", "cpu") == (run.data, run.fingerprint["device"])
    assert "test_single.py" in run.sources
    assert "goldmark/training/single.py" in run.sources


def test_learning_rates_are_those_that_the_optimizer_used():
    """One row an epoch, of its last step: steps 2, 5, 8 and 11 of the cosine from 0.05 to 0.01."""
    expected = [(pytest.approx(0.01 + 0.04 * (1 + math.cos(math.pi * step / 12)) / 2),) for step in (2, 5, 8, 11)]
    assert expected == list(train_single(Job(LINE, "fit", 0)).learning_rates)


def test_stream_moves_with_draws_and_shapes_but_not_with_floats():
    """Another learning rate has the same stream; another draw or another parameter has not."""
    stream = train_single(Job(LINE, "fit", 0)).stream
    assert stream == train_single(Job(LINE, "slow", 0)).stream
    quiet = replace(
        LINE, loss=lambda m, d, r, draws, s: nn.functional.mse_loss(m(d["train_x"][r, None])[:, 0], d["train_y"][r])
    )
    assert stream != train_single(Job(quiet, "fit", 0)).stream
    wider = replace(LINE, make_model=lambda s, d: nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1)))
    wider = replace(wider, evaluate=lambda m, d, s: {"mse": 1.0}, examine=lambda *_: ())
    assert stream != train_single(Job(wider, "fit", 0)).stream
    assert len(stream) == len(hashlib.sha256().hexdigest())


def test_learning_rate_by_parameter_reaches_the_optimizer():
    """A case may give a parameter a rate of its own; a rate of 0 leaves it where it was."""
    frozen = replace(LINE, learning_rate=lambda settings, name: 0.0 if name == "weight" else settings.lr)
    assert train_single(Job(frozen, "fit", 0)).findings[0].trouble
    assert {2} == {len(rates) for rates in train_single(Job(frozen, "fit", 0)).learning_rates}


def test_train_returns_runs_in_order_and_reports_each():
    """All variants with their own seeds by default; a selection on request."""
    seen = []
    runs = train(LINE, on_run=seen.append)
    assert [("fit", 0), ("fit", 1), ("slow", 0), ("slow", 1)] == [(run.variant, run.seed) for run in runs]
    assert len(seen) == 4
    assert [("slow", 7)] == [(run.variant, run.seed) for run in train(LINE, ["slow"], [7])]


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is there")
def test_missing_gpu_is_said():
    """Asking for a device that is not there is wrong use; `auto` takes what there is."""
    with pytest.raises(ValueError, match="torch sees no CUDA GPU; use --device cpu"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ValueError, match="device 'tpu' is unknown; it is one of: cpu, cuda, auto"):
        resolve_device("tpu")
