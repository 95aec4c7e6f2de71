"""One training: deterministic, on the path that its settings say, and told whole in the run."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from dataclasses import asdict, dataclass, replace

import pytest
import torch
from torch import nn

from goldmark.case import Baseline, Finding, Metric, ModelCase, UsageError, Variant
from goldmark.runs import Job
from goldmark.training import draws, resolve_device, train
from goldmark.training._single import train_single


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


class LineCase(ModelCase[LineSettings]):
    """A line that needs no fix."""

    def make_data(self, settings, seed):
        """x in (0, 1), y = 3 x + 1 + noise."""
        x = draws.uniform(draws.key(seed, 0, "line x"), (20,))
        y = 3 * x + 1 + settings.noise * draws.normal(draws.key(seed, 0, "line noise"), (20,))
        return {"train_x": x[:12], "train_y": y[:12], "val_x": x[12:], "val_y": y[12:]}

    def make_model(self, settings, data):
        """One weight, one bias."""
        return nn.Linear(1, 1)

    def loss(self, model, data, rows, draws, settings):
        """Mean squared error of a batch, inputs jittered by a keyed draw."""
        x = data["train_x"][rows] + 0.01 * draws.normal("jitter", len(rows)).float()
        return nn.functional.mse_loss(model(x[:, None])[:, 0], data["train_y"][rows])

    def evaluate(self, model, data, settings):
        """Validation error."""
        error = model(data["val_x"][:, None])[:, 0] - data["val_y"]
        return {"mse": float(error.square().mean()), "weight": float(model.weight)}

    def baselines(self, data, settings):
        """The mean."""
        return (Baseline(name="mean", says="mean", metrics={"mse": float(data["val_y"].var())}),)

    def examine(self, fresh, trained, data, settings):
        """Whether training moved the weight."""
        still = bool(fresh.weight == trained.weight)
        return (Finding(name="moved", trouble=still, numbers={}, threshold=0.0, advice="train it"),)

    def finish(self, history):
        """The first validation error over the last one."""
        return {"gain": history[0]["mse"] / history[-1]["mse"]}

    def close(self, data, settings):
        """A float64 mean."""
        return {"mean_y": float(data["val_y"].mean()), "dtype": str(data["val_y"].dtype)}


DECLARED = {
    "name": "line",
    "title": "a line",
    "says": "a line that needs no fix",
    "settings": LineSettings(),
    "seeds": 2,
    "variants": (
        Variant(name="fit", says="the line", role="fixed"),
        Variant(name="slow", says="a tenth of the rate", role="broken", of="fit", changes={"lr": 0.005}),
    ),
    "metrics": (Metric(name="mse", says="validation error"), Metric(name="gain", says="first over last")),
    "claims": (),
}
LINE = LineCase(**DECLARED)


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
    data = LINE.make_data(settings, seed)
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


TRAINS = """
import sys
from dataclasses import replace
from goldmark.cases import CASES
from goldmark.runs import Job
from goldmark.training._tasks import train_task

expansion = CASES["expansion"]
short = {"steps": 2, "n_train": 8, "n_val": 8, "bars": 24, "hidden": 8, "batch": 4}
case = replace(expansion, settings=replace(expansion.settings, **short), stacks_on_cpu=sys.argv[1] == "stacked")
train_task(tuple(Job(case, case.variants[0].name, seed) for seed in range(1 + case.stacks_on_cpu)))
sys.exit("torch._dynamo" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_training_loads_no_compiler(engine):
    """As torch's optimizers do when they are made: it takes as long as torch itself, in every process."""
    subprocess.run([sys.executable, "-c", TRAINS, engine], check=True)


def test_every_step_trains_and_every_evaluation_does_not():
    """Dropout and batch statistics follow the mode: training in each step, evaluation in between."""
    modes = []

    class Watched(LineCase):
        def loss(self, model, *others):
            modes.append(model.training)
            return super().loss(model, *others)

        def evaluate(self, model, *others):
            modes.append(not model.training)
            return super().evaluate(model, *others)

    train_single(Job(Watched(**DECLARED), "fit", 0))
    assert len(modes) == 12 + 3
    assert all(modes)


def test_train_loss_is_the_mean_of_an_epochs_losses():
    """Three batches an epoch: each row of the history holds their mean."""
    losses = []

    class Watched(LineCase):
        def loss(self, *arguments):
            losses.append(super().loss(*arguments))
            return losses[-1]

    run = train_single(Job(Watched(**DECLARED), "fit", 0))
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
    assert "tests/training/test_single.py" in run.sources
    assert "goldmark/training/_single.py" in run.sources


def test_learning_rates_are_those_that_the_optimizer_used():
    """One row an epoch, of its last step: steps 2, 5, 8 and 11 of the cosine from 0.05 to 0.01."""
    expected = [(pytest.approx(0.01 + 0.04 * (1 + math.cos(math.pi * step / 12)) / 2),) for step in (2, 5, 8, 11)]
    assert expected == list(train_single(Job(LINE, "fit", 0)).learning_rates)


def test_stream_moves_with_draws_and_shapes_but_not_with_floats():
    """Another learning rate has the same stream; another draw or another parameter has not."""
    stream = train_single(Job(LINE, "fit", 0)).stream
    assert stream == train_single(Job(LINE, "slow", 0)).stream

    class Quiet(LineCase):
        def loss(self, model, data, rows, draws, settings):
            return nn.functional.mse_loss(model(data["train_x"][rows, None])[:, 0], data["train_y"][rows])

    class Wider(LineCase):
        def make_model(self, settings, data):
            return nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))

        def evaluate(self, model, data, settings):
            return {"mse": 1.0}

        def examine(self, fresh, trained, data, settings):
            return ()

    assert stream != train_single(Job(Quiet(**DECLARED), "fit", 0)).stream
    assert stream != train_single(Job(Wider(**DECLARED), "fit", 0)).stream
    assert len(stream) == len(hashlib.sha256().hexdigest())


def test_learning_rate_by_parameter_reaches_the_optimizer():
    """A case may give a parameter a rate of its own; a rate of 0 leaves it where it was."""

    class Frozen(LineCase):
        def learning_rate(self, settings, parameter):
            return 0.0 if parameter == "weight" else settings.lr

    run = train_single(Job(Frozen(**DECLARED), "fit", 0))
    assert run.findings[0].trouble
    assert {2} == {len(rates) for rates in run.learning_rates}


def test_rates_follow_the_cases_own_schedule():
    """A case may replace the cosine: here the rate of every step is the peak times 1 / (1 + step)."""

    class Hyperbolic(LineCase):
        def rate_factor(self, settings, step):
            return 1 / (1 + step)

    rates = train_single(Job(Hyperbolic(**DECLARED), "fit", 0)).learning_rates
    assert [(pytest.approx(0.05 / (1 + step)),) for step in (2, 5, 8, 11)] == list(rates)


def test_metrics_are_those_of_the_last_epoch():
    """A run reports what the trained model scores, not what it scored at the start, midway or at its best."""

    class Worse(LineCase):
        def evaluate(self, model, data, settings):
            return {"mse": evaluations.pop(0)}

    evaluations = [1.0, 0.25, 4.0]  # after the first, the middle and the last epoch
    run = train_single(Job(Worse(**DECLARED), "fit", 0))
    assert {"mse": 4.0, "gain": 0.25} == dict(run.metrics)


def test_threads_and_float_precision_are_put_back():
    """Training takes one thread and all bits of float32, and leaves a program's own choice as it was."""
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_num_threads(2)
        torch.backends.cudnn.allow_tf32 = True
        assert "1" == train_single(Job(LINE, "fit", 0)).fingerprint["threads"]
        assert (2, True) == (torch.get_num_threads(), torch.backends.cudnn.allow_tf32)
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32


def test_train_returns_runs_in_order_and_reports_each():
    """All variants with their own seeds by default; a selection on request."""
    reported = []
    runs = train(LINE, on_run=reported.append)
    assert [("fit", 0), ("fit", 1), ("slow", 0), ("slow", 1)] == [(run.variant, run.seed) for run in runs]
    assert len(reported) == 4
    assert [("slow", 7)] == [(run.variant, run.seed) for run in train(LINE, ["slow"], [7])]


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is there")
def test_missing_gpu_is_said():
    """Asking for a device that is not there is wrong use; `auto` takes what there is."""
    with pytest.raises(UsageError, match="torch sees no CUDA GPU; use --device cpu"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"
    with pytest.raises(UsageError, match="device 'tpu' is unknown; it is one of: cpu, cuda, auto"):
        resolve_device("tpu")
