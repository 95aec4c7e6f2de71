"""RoastFormer: a transformer for coffee-roast temperature curves that predicted a constant.

What happened. Ten models were trained on bean temperatures in degrees Fahrenheit; all of them answered every curve with
one number between 3.8 and 16.2 F, at a teacher-forced error of 291-297 F.

The documented cause. Temperatures were not normalized; mapping [100, 500] F to [0, 1] on inputs and targets fixed it.

What the evidence says. Confirmed, for the targets: raw inputs do no harm by themselves, raw targets do. The last
LayerNorm bounds what the output layer reads, and Adam then moves the output by 1.5 to 1.8 * lr * width a step (0.8 of
it by the output weights alone), whatever the error is: 300 F lie out of reach of the budget. Before that, while the
layers turn the hidden state towards the output weights, it moves faster. The LayerNorm that ends the last layer bounds
the output just as well; without both, it travels more than ten times as far a step.

The reported fixed score, 79 F, is worse than predicting the global mean (71 F), and no documented model beats "the next
temperature is the last one". Variance and distinct values of a generated curve are no signs of health where the start
value is counted: a collapsed model that starts at 420 F and answers 100 varies.

Two tempting fixes are controls here: starting the output bias at the mean of the targets removes the error of the mean
and learns nothing; predicting the change on raw temperatures scores well teacher-forced, because it copies the input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, cast

from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Half, Look, ModelCase, cosine_factor
from goldmark.cases.roast import evaluations
from goldmark.cases.roast.data import Profile, generate, measured_sizes, read_profiles, split_profiles
from goldmark.cases.roast.experiments import CLAIMS, VARIANTS
from goldmark.cases.roast.model import Positions, RoastFormer, make_model
from goldmark.cases.roast.scores import (
    METRICS,
    baselines,
    examine,
    generate_f,
    loss_reduction,
    next_steps,
    score,
    score_generation,
    travel_unit_f,
    valid_next_steps,
)
from goldmark.fingerprint import sha256
from goldmark.training._schedule import evaluated_epochs, steps_per_epoch, train_size
from goldmark.training.draws import Draws

TemperatureScale = Literal["raw", "range", "zscore"]


@dataclass(frozen=True)
class RoastSettings:
    """A run of the case; the defaults are the fixed recipe at fast scale."""

    n_train: int = 24  # profiles
    n_val: int = 12
    length: int = 48  # steps
    shortest: int = 36  # the fewest valid steps of a profile
    grid_s: int = 15  # seconds between two steps
    vocabulary: tuple[int, int, int, int] = (4, 3, 3, 4)  # origins, processes, roast levels, varieties
    n_flavors: int = 8
    use_flavors: bool = True  # False leaves them out; in the record nothing read this setting
    generated_steps: int = 0  # of a free-running curve; 0: to the end
    input_scale: TemperatureScale = "range"
    target_scale: TemperatureScale = "range"
    width: int = 16
    heads: int = 2
    layers: int = 2
    feedforward: int = 32
    embedding: int = 8  # of each condition
    dropout: float = 0.0
    positions: Positions = "sinusoidal"
    residual: bool = False  # predict the change to the input
    mean_bias: bool = False  # start the output bias at the mean of the training targets
    lr: float = 3e-3
    lr_min: float | None = 1e-6
    weight_decay: float = 0.01
    clip: float | None = 1.0
    steps: int = 81
    cosine_steps: int = 0  # in which the learning rate would fall to its end; 0: in all steps
    batch: int = 8


@dataclass(frozen=True, kw_only=True)
class RoastCase(ModelCase[RoastSettings]):
    """The case on generated profiles."""

    def make_data(self, settings: RoastSettings, seed: int) -> Data:
        """Return the profiles of a seed; see `data.halves` for names and shapes."""
        return generate(settings, seed)

    def make_model(self, settings: RoastSettings, data: Data) -> nn.Module:
        """Return a fresh model for the conditions that the data have."""
        return make_model(settings, data)

    def loss(self, model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: RoastSettings) -> Tensor:
        """Return the mean squared error of the next step, on the scale of the targets, over valid cells."""
        predictions, targets = next_steps(model, data, "train", rows, draws)
        valid = data["train_valid"][rows][:, 1:]
        return ((predictions - targets).square() * valid).sum() / valid.sum()

    def look(self, model: nn.Module, data: Data, half: Half, rows: slice, settings: RoastSettings) -> Look:
        """Return the loss, which has one term, over valid cells."""
        predictions, targets = valid_next_steps(model, data, half, rows)
        return Look(loss=(predictions - targets).square().mean())

    def inputs(self, data: Data, rows: Tensor, draws: Draws, settings: RoastSettings) -> dict[str, Tensor]:
        """Return the valid temperatures in F, which nothing augments."""
        return {"temp_f": data["train_temp_f"][rows][data["train_valid"][rows]]}

    def rate_factor(self, settings: RoastSettings, step: int) -> float:
        """Return the learning rate of a step over its peak: a cosine that a run which is stopped early does not end."""
        return cosine_factor(replace(settings, steps=settings.cosine_steps or settings.steps), step)

    def evaluate(self, model: nn.Module, data: Data, settings: RoastSettings) -> dict[str, float]:
        """Return the teacher-forced metrics of the validation half."""
        return score(model, data)

    def generate(self, model: nn.Module, data: Data, settings: RoastSettings) -> Data:
        """Return free-running validation curves in F."""
        return {"generated_f": generate_f(cast("RoastFormer", model), data, settings)}

    def evaluate_trained(self, model: nn.Module, data: Data, settings: RoastSettings) -> dict[str, float]:
        """Return the metrics of free-running curves."""
        return score_generation(data["generated_f"], data)

    def finish(self, history: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the reduction of the validation loss from the first epoch to the last."""
        return {"val_loss_reduction": loss_reduction(history)}

    def baselines(self, data: Data, settings: RoastSettings) -> tuple[Baseline, ...]:
        """Return the naive predictors of the next temperature."""
        return baselines(data)

    def examine(self, fresh: nn.Module, trained: nn.Module, data: Data, settings: RoastSettings) -> tuple[Finding, ...]:
        """Look for raw targets before training, and afterwards for collapse and for no skill over the mean."""
        return examine(fresh, trained, data)

    def close(self, data: Data, settings: RoastSettings) -> dict[str, float]:
        """Return the unit of the output's travel from the evaluation before the last one to the last."""
        n_train = train_size(data)
        *_, before_last, _ = (0, *sorted(evaluated_epochs(settings, n_train)))
        steps = range((before_last + 1) * steps_per_epoch(settings, n_train), settings.steps)
        factors = (self.rate_factor(settings, step) for step in steps)
        return {"travel_unit_f": travel_unit_f(settings, data, factors)}

    def evaluations(self, model: nn.Module, data: Data, settings: RoastSettings) -> dict[str, dict[str, float | str]]:
        """Return the record's evaluations: teacher-forced tiers, generation raw, clamped and corrected, a decision."""
        return evaluations.every_evaluation(cast("RoastFormer", model), data, settings)

    def on_file(self, path: Path, companions: Mapping[str, Path] = {}) -> MeasuredRoastCase:
        """Return the case on a user's profiles; raise `UsageError` with file and line number where one is bad.

        Its settings state the sizes that most seeds' halves and vocabularies have.
        """
        profiles = read_profiles(path)
        sizes = Counter(measured_sizes(profiles, seed) for seed in range(self.seeds))
        n_train, vocabulary = max(sizes, key=sizes.__getitem__)
        n_val = len(profiles) - n_train
        declared = {field.name: getattr(self, field.name) for field in fields(self)}
        measured = {
            "profiles": profiles,
            "data_source": sha256(path.read_bytes()),
            "settings": replace(self.settings, n_train=n_train, n_val=n_val, vocabulary=vocabulary, n_flavors=0),
        }
        return MeasuredRoastCase(**declared | measured)


@dataclass(frozen=True, kw_only=True)
class MeasuredRoastCase(RoastCase):
    """The case on the profiles of a user's file."""

    profiles: tuple[Profile, ...]

    def make_data(self, settings: RoastSettings, seed: int) -> Data:
        """Return the profiles in the two halves of a seed, no product in both."""
        return split_profiles(self.profiles, settings, seed)

    def has_stated_sizes(self, settings: RoastSettings, seed: int) -> bool:
        """Return whether a seed trains as many profiles, with vocabularies of the sizes, as the settings state."""
        return (settings.n_train, settings.vocabulary) == measured_sizes(self.profiles, seed)


CASE = RoastCase(
    name="roast",
    title="RoastFormer, a transformer for coffee-roast temperature curves",
    says="trained on raw degrees Fahrenheit, it answered every roast with one constant, 300 F off",
    settings=RoastSettings(),
    seeds=5,
    variants=VARIANTS,
    metrics=METRICS,
    claims=CLAIMS,
    best_by="skill_vs_mean",
    stackable=frozenset({"input_scale", "target_scale", "dropout", "cosine_steps"}),
    stacks_on_cpu=True,
    fixtures={"roast": "normalized"},
    reads="JSON Lines of roast profiles",
)
