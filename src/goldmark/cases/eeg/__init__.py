"""CompactRT: a convolutional net for response times from EEG, said to need mixup, that answered with a constant.

What happened. Retrained models reached a validation loss of 0.16 where an earlier one had 0.079. Twice as bad, it
seemed, and the retraining had left out mixup, which the earlier training had applied to every batch.

The documented cause. Missing mixup. Restored with five seeds, it changed nothing: 0.1607 to 0.1610.

What the evidence says. The factor of two is a unit: 0.079 was SmoothL1, 0.16 was mean squared error, and below an error
of 1 s SmoothL1 is half the square. In one unit all models score the same, 0.1606, the variance of the targets: each of
them is a constant predictor. The likely reason is that windows were left in volts (1e-5) under noise augmentation of sd
0.01, so that the first layer saw the noise: a millionth of the variance that it normalizes by is that of the windows
(`scores.window_share`). Less noise would not have helped, for BatchNorm's eps of 1e-5 outweighs such windows alone;
z-scores do. Mixup cannot rescue that.

What mixup is worth on a model that learns is measured here, in pairs of runs of one seed. With alpha 1 in every batch
it saves about a fifth of the squared error, on these data; the record's recipe saves less; neither is a factor of two.
A wrong mixup, inputs without their targets, beats the constant by as much as training without mixup: no threshold on a
score gives it away, the contract does (`checks.check_wrong_mixup`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Half, Look, ModelCase, cosine_factor
from goldmark.cases.eeg import evaluations, scores
from goldmark.cases.eeg.augmentation import augmented
from goldmark.cases.eeg.data import Windows, generate, in_volts, on_unit, read_windows, split_windows, trains
from goldmark.cases.eeg.experiments import CLAIMS, VARIANTS
from goldmark.cases.eeg.mixup import mix_batch, mixing_weights
from goldmark.cases.eeg.model import CompactRT, Ensemble, make_model, members_of
from goldmark.fingerprint import sha256
from goldmark.training import draws as keyed
from goldmark.training.draws import Draws


@dataclass(frozen=True)
class EegSettings:
    """A run of the case; the defaults are the fixed recipe at fast scale."""

    n_train: int = 32  # windows
    n_val: int = 64
    train_subjects: int = 8
    val_subjects: int = 16
    channels: int = 16
    samples: int = 100  # of a window of 2 s
    amplitude: float = 0.22  # of the evoked response for a response time 1 sd late, in sd of the noise
    topography_sd: float = 0.5  # of a subject's own topography, over the common one
    gain_sd: float = 0.3  # of the log of a subject's gain
    rhythm: float = 1.0  # amplitude of the alpha rhythm, in sd of the noise
    input_scale: Literal["zscore", "volts"] = "zscore"
    roll_p: float = 0.0  # share of the windows that are rolled in time
    scale_p: float = 0.0  # share that is multiplied by a factor near 1
    noise_p: float = 1.0  # share that gets noise
    noise_sd: float = 0.0  # of that noise, in the unit of the inputs
    channel_drop_p: float = 0.0  # share of the channels that are 0
    cutout_p: float = 0.0  # share of the windows that are 0 for a tenth of their time
    mixup_of: Literal["batches", "windows"] = "batches"  # what has one mixing weight
    mixup_fraction: float = 1.0  # of them
    mixup_alpha: float = 1.0  # of the Beta distribution of the mixing weight
    mix_targets: bool = True
    loss: Literal["mse", "smooth_l1"] = "mse"
    widths: tuple[int, ...] = (16, 32)  # of the convolutions
    kernels: tuple[int, ...] = (7, 5)
    max_pool: bool = False  # after convolutions of stride 1, in the place of strides of 2
    head: tuple[int, ...] = (16,)
    conv_dropout: tuple[float, ...] = ()  # a share for each layer, or none at all
    head_dropout: tuple[float, ...] = ()
    members: int = 1  # of an ensemble, whose predictions are averaged
    lr: float = 3e-3
    lr_min: float | None = None
    cycles: int = 1  # of the cosine, each a warm restart
    weight_decay: float = 0.05
    clip: float | None = None
    steps: int = 40
    batch: int = 32


@dataclass(frozen=True, kw_only=True)
class EegCase(ModelCase[EegSettings]):
    """CompactRT on generated windows, augmented and mixed in every step."""

    def windows(self, settings: EegSettings, seed: int) -> Data:
        """Return the windows of a seed; see `data.halves` for names and shapes."""
        return generate(settings, seed)

    def make_data(self, settings: EegSettings, seed: int) -> Data:
        """Return the windows of a seed, and as tensors what the loss has to know of settings and seed."""
        smooth = settings.loss == "smooth_l1"
        windows = self.windows(settings, seed)
        settings = replace(settings, n_train=len(windows["train_eeg"]))  # of a user's file, what the split left
        data = {
            **windows,
            "step_mix_weight": mixing_weights(settings, seed),
            "noise_sd": torch.tensor(settings.noise_sd, dtype=torch.float64),
            "loss_bound_s": torch.tensor(1.0 if smooth else math.inf, dtype=torch.float64),
            "loss_scale": torch.tensor(1.0 if smooth else 2.0, dtype=torch.float64),
        }
        if settings.members > 1:
            members = torch.arange(settings.members)
            data["member_order"] = keyed.permutation(keyed.key(seed, members, "member order"), settings.n_train)
        return data

    def make_model(self, settings: EegSettings, data: Data) -> CompactRT | Ensemble:
        """Return a fresh net, or an ensemble of them, that answers about the mean response time."""
        return make_model(settings, float(data["train_response_s"].mean()))

    def loss(self, model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: EegSettings) -> Tensor:
        """Return the mean loss of some training windows, augmented and mixed as the settings say.

        The losses of an ensemble's members add up, so that each has its own gradients, and those as if it were alone.
        Each has its own draws and its own order of the training half.
        """
        if settings.members == 1:
            return self._loss_of_member(model, 0, data, rows, draws, settings)
        parts = []
        for i, member in enumerate(members_of(model)):
            own_draws = Draws(keyed.step_key(draws.key, i), draws.used)
            parts.append(self._loss_of_member(member, i, data, data["member_order"][i][rows], own_draws, settings))
        return torch.stack(parts).sum()

    def _loss_of_member(
        self, net: nn.Module, member: int, data: Data, rows: Tensor, draws: Draws, settings: EegSettings
    ) -> Tensor:
        x = augmented(data["train_eeg"][rows], data["noise_sd"], draws, settings)
        x, y = mix_batch(x, data["train_response_s"][rows], data["step_mix_weight"][member], draws, settings)
        return _mean_loss(net(x, draws) - y, data)

    def look(self, model: nn.Module, data: Data, half: Half, rows: slice, settings: EegSettings) -> Look:
        """Return the loss on windows as they are, neither augmented nor mixed; of an ensemble that of all members."""
        eeg, response_s = data[f"{half}_eeg"][rows], data[f"{half}_response_s"][rows]
        return Look(loss=torch.stack([_mean_loss(net(eeg) - response_s, data) for net in members_of(model)]).sum())

    def inputs(self, data: Data, rows: Tensor, draws: Draws, settings: EegSettings) -> dict[str, Tensor]:
        """Return the windows as they are augmented in a step."""
        own_draws = draws if settings.members == 1 else Draws(keyed.step_key(draws.key, 0), draws.used)
        return {"eeg": augmented(data["train_eeg"][rows], data["noise_sd"], own_draws, settings)}

    def evaluate(self, model: nn.Module, data: Data, settings: EegSettings) -> dict[str, float]:
        """Return the metrics of a model on the validation half, an ensemble's of its averaged predictions."""
        return scores.evaluate(model, data)

    def baselines(self, data: Data, settings: EegSettings) -> tuple[Baseline, ...]:
        """Return what the constant predictor scores."""
        return scores.baselines(data)

    def examine(self, fresh: nn.Module, trained: nn.Module, data: Data, settings: EegSettings) -> tuple[Finding, ...]:
        """Return what the checks see of a trained model, of its mixup and of what its first layer was shown."""
        return scores.examine(trained, data, settings)

    def close(self, data: Data, settings: EegSettings) -> dict[str, float]:
        """Return what the constant predictor scores in the units that the record mixed up."""
        return scores.close(data)

    def rate_factor(self, settings: EegSettings, step: int) -> float:
        """Return the learning rate of a step over its peak: one cosine, several with warm restarts, or 1 throughout."""
        return cosine_factor(settings, step * settings.cycles % settings.steps)

    def evaluations(self, model: nn.Module, data: Data, settings: EegSettings) -> dict[str, dict[str, float | str]]:
        """Return the record's evaluations: decision rule, challenge score, test-time augmentation, and an ensemble."""
        return evaluations.every_evaluation(model, data)

    def on_file(self, path: Path, companions: Mapping[str, Path] = {}) -> MeasuredEegCase:
        """Return the case on a user's windows, which says their unit; raise `UsageError` where the file is not fit.

        Its settings state the sizes that most seeds' halves have. Variants in volts need windows in volts: the others
        alone are left where these have another unit.
        """
        windows = read_windows(path)
        n, channels, samples = windows.eeg.shape
        sizes = Counter(int(trains(windows, seed).sum()) for seed in range(self.seeds))
        n_train = max(sizes, key=sizes.__getitem__)
        declared = {field.name: getattr(self, field.name) for field in fields(self)}
        measured = {
            "windows_read": windows,
            "data_source": sha256(path.read_bytes()),
            "settings": replace(self.settings, n_train=n_train, n_val=n - n_train, channels=channels, samples=samples),
            "says": f"{self.says}; {path.name}: {on_unit(windows)}",
            "variants": tuple(v for v in self.variants if in_volts(windows.eeg) or not self._is_in_volts(v.name)),
        }
        return MeasuredEegCase(**declared | measured)

    def _is_in_volts(self, variant: str) -> bool:
        return self.settings_of(variant).input_scale == "volts"


@dataclass(frozen=True, kw_only=True)
class MeasuredEegCase(EegCase):
    """The case on the windows of a user's file."""

    windows_read: Windows

    def windows(self, settings: EegSettings, seed: int) -> Data:
        """Return the windows of the file in the two halves of a seed, no subject in both."""
        return split_windows(self.windows_read, settings, seed)

    def has_stated_sizes(self, settings: EegSettings, seed: int) -> bool:
        """Return whether a seed trains as many windows as the settings state."""
        return settings.n_train == int(trains(self.windows_read, seed).sum())


def _mean_loss(error_s: Tensor, data: Data) -> Tensor:
    """Return the mean SmoothL1 loss or the mean square of errors (B,) in s, as the data's tensors say."""
    # SmoothL1 bounds the error at 1 s; twice the same without a bound is the square
    bounded_s = error_s.clamp(-data["loss_bound_s"], data["loss_bound_s"])
    mean_loss: Tensor = (data["loss_scale"] * bounded_s * (error_s - bounded_s / 2)).mean()
    return mean_loss


CASE = EegCase(
    name="eeg",
    title="CompactRT, a convolutional net for response times from EEG",
    says="retrained models scored 'twice as bad', which was a unit; all of them were constants, and mixup was blamed",
    settings=EegSettings(),
    seeds=33,
    variants=VARIANTS,
    metrics=scores.METRICS,
    claims=CLAIMS,
    best_by="val_mse",
    stackable=frozenset(  # what reaches the loss through tensors, or makes only data and learning rates
        (
            *("amplitude", "topography_sd", "gain_sd", "rhythm", "input_scale", "noise_sd", "cycles"),
            *("mixup_fraction", "mixup_alpha", "loss", "conv_dropout", "head_dropout"),
        )
    ),
    stacks_on_cpu=True,
    fixtures={"eeg": "mixup"},
    reads="npz of windows",
)
