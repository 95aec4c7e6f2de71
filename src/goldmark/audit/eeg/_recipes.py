"""The system and the recipes on record, cell by cell, beside what `goldmark matrix eeg` builds and trains."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import nn

from goldmark.audit._statement import Computed, Statement, computed
from goldmark.cases.eeg import CASE
from goldmark.cases.eeg.data import WINDOW_S, generate
from goldmark.cases.eeg.full import FULL, N_TRAIN
from goldmark.cases.eeg.model import members_of
from goldmark.checks import check_placeholder_labels, parameter_count
from goldmark.training.draws import initial_weights

SYSTEM, RECIPES = "EEG record, system", "EEG record, recipes"
AS_TRAINED = "what the case trains at its documented size; the record's own scripts are not here"

# variant, setting, the record's value or values, as it says it
CELLS: tuple[tuple[str, str, float | str | tuple[float, ...], str], ...] = (
    ("v8", "loss", "smooth_l1", "loss SmoothL1"),
    ("v8", "lr", 1e-3, "AdamW, learning rate 1e-3"),
    ("v8", "weight_decay", 0.05, "weight decay 0.05"),
    ("v8", "batch", 64, "batch 64"),
    ("v8", "epochs", 15, "15 epochs"),
    ("v8", "cycles", 1, "one cosine"),
    ("v8", "conv_dropout", (0.5, 0.6, 0.7), "dropout of the convolutions .5 .6 .7"),
    ("v8", "head_dropout", (0.6, 0.5), "dropout of the head .6 .5"),
    ("v8", "roll_p", 0.5, "roll with p .5"),
    ("v8", "scale_p", 0.5, "scale with p .5"),
    ("v8", "noise_sd", 0.01, "noise of sd .01"),
    ("v8", "noise_p", 0.3, "noise with p .3"),
    ("v8", "mixup_alpha", 0.2, "mixup of alpha .2"),
    ("v8", "mixup_fraction", 1.0, "mixup in every batch"),
    ("ensemble_v3", "loss", "mse", "loss MSE"),
    ("ensemble_v3", "lr", 1e-3, "AdamW, learning rate 1e-3"),
    ("ensemble_v3", "weight_decay", 0.05, "weight decay 0.05"),
    ("ensemble_v3", "batch", 64, "batch 64"),
    ("ensemble_v3", "clip", 1.0, "gradients clipped at 1.0"),
    ("ensemble_v3", "epochs", 25, "25 epochs"),
    ("ensemble_v3", "conv_dropout", (0.3, 0.4, 0.5), "dropout of the convolutions .3 .4 .5"),
    ("ensemble_v3", "head_dropout", (0.5, 0.4), "dropout of the head .5 .4"),
    ("ensemble_v3", "roll_p", 1.0, "roll always on"),
    ("ensemble_v3", "scale_p", 1.0, "scale always on"),
    ("ensemble_v3", "noise_p", 1.0, "noise always on"),
    ("ensemble_v3", "mixup_alpha", 0.2, "mixup of alpha .2"),
    ("ensemble_v3", "mixup_fraction", 0.5, "mixup in 50 % of the batches, in v3"),
    ("ensemble_v2", "mixup_fraction", 0.0, "no mixup, in v2"),
    ("ensemble_v1", "mixup_fraction", 0.1, "mixup of 10 % of the windows, in v1"),
    ("ensemble_v1", "mixup_of", "windows", "mixup by window, in v1"),
    ("aggressive", "loss", "smooth_l1", "loss SmoothL1"),
    ("aggressive", "lr", 1e-3, "AdamW, learning rate 1e-3"),
    ("aggressive", "weight_decay", 0.1, "weight decay 0.1"),
    ("aggressive", "batch", 32, "batch 32"),
    ("aggressive", "epochs", 50, "50 epochs"),
    ("aggressive", "conv_dropout", (0.6, 0.7, 0.75), "dropout of the convolutions .6 .7 .75"),
    ("aggressive", "head_dropout", (0.7, 0.6), "dropout of the head .7 .6"),
    ("aggressive", "noise_sd", 0.02, "noise of sd .02"),
    ("aggressive", "mixup_alpha", 0.4, "mixup of alpha .4"),
    ("aggressive", "mixup_fraction", 0.5, "mixup in 50 % of the batches"),
)


def setting(variant: str, name: str, place: int = 0) -> float:
    """Return a number of a variant's recipe at the documented size, one of several by its place."""
    settings = FULL.settings_of(variant)
    if name == "epochs":
        return settings.steps * settings.batch / N_TRAIN
    value = getattr(settings, name)
    return float(value[place] if isinstance(value, tuple) else value)


def equals(variant: str, name: str, value: str) -> float:
    """Return 1 where a setting of a variant is a word, else 0."""
    return float(getattr(FULL.settings_of(variant), name) == value)


def _cell(variant: str, name: str, value: float | str | tuple[float, ...], says: str) -> Statement:
    """Return the statement of a cell of the record's table of recipes."""
    numbers = () if isinstance(value, str) else value if isinstance(value, tuple) else (value,)
    if isinstance(value, str):
        whether = partial(equals, variant, name, value)
        parts = [computed(f"1 where {name} of '{variant}' is {value}", whether, near=1.0, rel=0.0)]
    else:
        parts = [
            computed(f"{name} of '{variant}', {place}", partial(setting, variant, name, place), near=number, rel=1e-12)
            for place, number in enumerate(numbers)
        ]
    return Statement(
        name=f"{variant}_{name}",
        source=RECIPES,
        says=f"{variant}: {says}",
        documented=float(numbers[0]) if numbers else None,
        why=AS_TRAINED,
        parts=tuple(parts),
    )


def net(variant: str) -> nn.Module:
    """Return the net that a variant trains at the documented size, without memory for its weights."""
    with torch.device("meta"):
        model = FULL.make_model(FULL.settings_of(variant), {"train_response_s": torch.ones(2, device="cpu")})
    return members_of(model)[0]


def layer(variant: str, name: str) -> float:
    """Return the number of parameters of a layer of a variant's net."""
    return float(parameter_count(net(variant).get_submodule(name)))


def accepted(samples: int) -> float:
    """Return how many answers CompactRT gives to three windows of a number of samples."""
    with initial_weights(0):
        model = FULL.make_model(FULL.settings_of("v8"), {"train_response_s": torch.ones(2)}).eval()
    return float(len(model(torch.zeros(3, 129, samples))))


def placeholders(value: float, n_missing: int) -> float:
    """Return the share of labels that `check_placeholder_labels` finds to be one number, of 100 with some missing."""
    brief = replace(CASE.settings, n_train=100, channels=2, samples=10)
    labels = generate(brief, 0)["train_response_s"].clone()
    labels[:n_missing] = value
    return check_placeholder_labels(labels).numbers["share"]


def _layers(variant: str, counts: dict[str, int]) -> tuple[Computed, ...]:
    """Return a part for each layer of a net: its parameters, counted, beside weights + biases by hand."""
    return tuple(
        computed(f"parameters of {name}", partial(layer, variant, name), near=count, rel=0.0)
        for name, count in counts.items()
    )


STATEMENTS = (
    Statement(
        name="windows_are_129_channels_of_200_samples",
        source=SYSTEM,
        says="inputs: 2 s of 129 channels, 200 samples at 100 Hz",
        documented=100.0,
        why="samples over seconds; the case generates windows of that shape",
        parts=(
            computed("samples / 2 s", lambda: setting("v8", "samples") / WINDOW_S, near=100.0, rel=0.0),
            computed("channels", lambda: setting("v8", "channels"), near=129.0, rel=0.0),
        ),
    ),
    Statement(
        name="sizes_of_the_releases",
        source=SYSTEM,
        says="24,467 training windows of three releases, 16,604 validation windows of a fourth",
        why="the competition's recordings are not part of this project; the case trains on 2,048 generated windows",
    ),
    Statement(
        name="range_and_mean_of_the_targets",
        source=SYSTEM,
        says="response times have a mean of 1.56 s and lie between 0 and 2.498 s",
        why="the competition's recordings are not part of this project; generated times have that mean by design",
    ),
    Statement(
        name="compact_rt_parameters",
        source=SYSTEM,
        says="CompactRT has 74,753 parameters: 129-32 k7, 32-64 k5, 64-128 k3, each BatchNorm; 128-64-32-1",
        documented=74_753,
        why="the net is built and counted, whole and layer by layer",
        parts=(
            computed("parameters", lambda: float(parameter_count(net("v8"))), near=74_753, rel=0.0),
            *_layers(
                "v8",
                {
                    "convolutions.0": 129 * 32 * 7 + 32,
                    "convolutions.1": 32 * 64 * 5 + 64,
                    "convolutions.2": 64 * 128 * 3 + 128,
                    "norms": 2 * (32 + 64 + 128),
                    "hidden.0": 128 * 64 + 64,
                    "hidden.1": 64 * 32 + 32,
                    "output": 32 + 1,
                },
            ),
        ),
    ),
    Statement(
        name="wrong_architecture_parameters",
        source=SYSTEM,
        says="the ensemble's v1 has 53,025: kernels 5, 5, 3, max-pool, a last width of 96, head 96-32-1",
        documented=53_025,
        why="the net is built and counted, whole and layer by layer",
        parts=(
            computed("parameters", lambda: float(parameter_count(net("ensemble_v1"))), near=53_025, rel=0.0),
            *_layers(
                "ensemble_v1",
                {
                    "convolutions.0": 129 * 32 * 5 + 32,
                    "convolutions.1": 32 * 64 * 5 + 64,
                    "convolutions.2": 64 * 96 * 3 + 96,
                    "norms": 2 * (32 + 64 + 96),
                    "hidden.0": 96 * 32 + 32,
                    "output": 32 + 1,
                },
            ),
        ),
    ),
    Statement(
        name="v1_trained_v8s_net",
        source="EEG record, ensemble",
        says="the ensemble repeats V8's net",
        documented=1.0,
        why="nobody counted the parameters of what was built",
        parts=(
            computed(
                "parameters of v1's net over V8's",
                lambda: parameter_count(net("ensemble_v1")) / parameter_count(net("v8")),
                near=1.0,
                rel=0.0,
            ),
        ),
    ),
    Statement(
        name="aggressive_parameters",
        source=SYSTEM,
        says="'aggressive' is another net, of 95,441 parameters",
        why="its layers are not on record, so that it cannot be built; its recipe trains CompactRT here",
    ),
    *(_cell(*cell) for cell in CELLS),
    *(
        Statement(
            name=f"{variant}_cycles",
            source=RECIPES,
            says=f"{variant}: cosine with warm restarts",
            why="how often it restarts is not on record; every five epochs here",
            parts=(computed(f"cosines of '{variant}'", partial(setting, variant, "cycles"), low=2.0),),
        )
        for variant in ("ensemble_v3", "aggressive")
    ),
    Statement(
        name="aggressive_damages_windows",
        source=RECIPES,
        says="aggressive: channel dropout and cutout too",
        why="with which probability is not on record",
        parts=(
            computed("channel_drop_p", lambda: setting("aggressive", "channel_drop_p"), low=1e-9),
            computed("cutout_p", lambda: setting("aggressive", "cutout_p"), low=1e-9),
        ),
    ),
    Statement(
        name="a_wrong_length_is_noticed",
        source="EEG record, further bugs",
        says="windows of (129, 400) in the place of (129, 200) make an error",
        documented=0.0,
        why="global average pooling takes windows of any length",
        parts=(computed("answers to three windows of 400 samples", lambda: accepted(400), near=0.0),),
    ),
    Statement(
        name="labels_of_the_second_challenge",
        source="EEG record, further bugs",
        says="labels that are all -1 were trained on",
        documented=1.0,
        why="one number that all labels share is no measurement; a user's file with it is refused",
        parts=(computed("share of labels that are one number", lambda: placeholders(-1.0, 100), near=1.0, rel=0.0),),
    ),
    Statement(
        name="missing_labels_are_seen",
        source="EEG record, further bugs",
        says="zeros in the place of missing labels cannot be told from measured ones",
        documented=0.0,
        why="measured response times seldom repeat, a default does",
        parts=(computed("share of labels that are found, of a tenth", lambda: placeholders(0.0, 10), near=0.0),),
    ),
    *(
        Statement(name=name, source="EEG record, further bugs", says=says, why=why)
        for name, says, why in (
            (
                "keys_differ_four_times",
                "keys `eeg` and `labels` met files of `data` and `targets` four times",
                "the record's files are not here; the case's reader refuses a file without its keys, by name",
            ),
            (
                "dropout_list_is_v8s",
                "a list of dropout shares is called V8's",
                "the record's notes contradict each other, and V8's script is not here",
            ),
            (
                "snippet_is_v8s",
                "a snippet is quoted as V8's code",
                "V8's script is not here to look it up in",
            ),
        )
    ),
)
