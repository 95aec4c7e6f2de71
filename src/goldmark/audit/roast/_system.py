"""Statements about profiles and architectures: what the data are like, and how many parameters a model has."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch

from goldmark.audit._statement import Statement, computed
from goldmark.case import MatrixScale, ModelCase
from goldmark.cases.roast import CASE
from goldmark.cases.roast.full import FULL
from goldmark.cases.roast.model import DecoderLayer, RoastFormer
from goldmark.checks import parameter_count

_NEEDS_FILE = (
    "needs the record's profiles, which are not part of this package; goldmark run roast --data FILE reads them"
)
_N_TRAIN = 123  # profiles


@cache
def model_of(variant: str, scale: MatrixScale = "full") -> RoastFormer:
    """Return the model of a variant on the meta device: shapes and no numbers."""
    case: ModelCase[Any] = FULL if scale == "full" else CASE
    settings = case.settings_of(variant)
    sizes = {"train_flavors": (1, settings.n_flavors), "train_continuous": (1, 3), "train_temp_f": (1, settings.length)}
    data = {name: torch.empty(size) for name, size in sizes.items()} | {"vocabulary": torch.tensor(settings.vocabulary)}
    with torch.device("meta"):
        return cast("RoastFormer", case.make_model(settings, data))


def n_parameters(variant: str, scale: MatrixScale = "full") -> int:
    """Return the number of parameters of a variant's model."""
    return parameter_count(model_of(variant, scale))


def _first_layer(variant: str) -> DecoderLayer:
    return cast("DecoderLayer", model_of(variant).layers[0])


def _profiles(name: str, says: str, documented: float) -> Statement:
    return Statement(name=name, source="RoastFormer record, data", says=says, why=_NEEDS_FILE, documented=documented)


_PROFILES = (
    _profiles("profiles", "144 profiles, 123 to train on and 21 to validate, of 561 to 879 s", 144),
    _profiles("profile_mean", "the mean temperature of the profiles is 299.9 F", 299.9),
    _profiles("profile_sd", "the sd of their temperatures is 77.9 F", 77.9),
    _profiles("profile_range", "temperatures lie between 130.4 and 449.8 F", 130.4),
    _profiles("profile_turning_point", "curves turn at 130 to 174 F after 37 to 101 s", 174),
    _profiles("profile_ends", "curves start near 420 F and end near 405 F", 420),
    _profiles("categories", "the beans have 19 origins, 13 processes, 7 roast levels, 25 varieties and 98 flavors", 19),
    Statement(
        name="condition_width",
        source="RoastFormer record, architecture",
        says="four embeddings of 32, Linear(98, 32) and Linear(3, 32) make conditions of width 192",
        why="six parts of 32 entries are put side by side before the condition layer",
        documented=192,
        parts=(
            computed(
                "inputs of the condition layer",
                lambda: model_of("later_tiny_normalized").condition.in_features,
                low=192,
                high=192,
            ),
        ),
    ),
)


# name -> (variant, d, heads, layers, feed-forward, documented parameters)
ARCHITECTURES = {
    "micro": ("later_micro_normalized", 32, 2, 2, 128, 45_665),
    "tiny": ("later_tiny_normalized", 64, 4, 3, 256, 218_273),
    "tiny with learned positions": ("later_learned_normalized", 64, 4, 3, 256, 269_473),
    "medium": ("later_medium_normalized", 128, 4, 4, 512, 1_088_993),
    "low_lr": ("recovery_low_lr_raw", 128, 4, 4, 512, 1_088_993),
    "high_dropout": ("recovery_high_dropout_raw", 128, 4, 4, 512, 1_088_993),
    "small": ("first_small_raw", 128, 8, 4, 1024, 1_615_329),
    "original": ("later_original_normalized", 256, 8, 6, 1024, 6_376_673),
    "original with learned positions": ("first_learned_raw", 256, 8, 6, 1024, 6_581_473),
}


def _architecture(name: str) -> Statement:
    variant, width, heads, layers, feedforward, documented = ARCHITECTURES[name]
    return Statement(
        name=f"parameters_{name.replace(' ', '_')}",
        source="RoastFormer record, architectures",
        says=f"{name}: d {width}, {heads} heads, {layers} layers, ff {feedforward}: {documented:,} parameters",
        why="the model is built as documented and its parameters are counted",
        documented=documented,
        parts=(
            computed("parameters", lambda: n_parameters(variant), low=documented, high=documented),
            computed("width", lambda: model_of(variant).norm.normalized_shape[0], low=width, high=width),
            computed("heads", lambda: _first_layer(variant).self_attention.heads, low=heads, high=heads),
            computed("layers", lambda: len(model_of(variant).layers), low=layers, high=layers),
            computed(
                "feed-forward", lambda: _first_layer(variant).expand.out_features, low=feedforward, high=feedforward
            ),
        ),
    )


def _per_sample(name: str, documented: int) -> Statement:
    variant = f"later_{name}_normalized"
    return Statement(
        name=f"parameters_per_sample_{name}",
        source="RoastFormer record, diagnosis 'model too large'",
        says=f"{name} has {documented:,} parameters for every training profile",
        why="parameters over the 123 training profiles, rounded",
        documented=documented,
        parts=(
            computed(
                "parameters per profile",
                lambda: n_parameters(variant) / _N_TRAIN,
                low=documented - 0.5,
                high=documented + 0.5,
            ),
        ),
    )


def _estimate(name: str, documented: int) -> Statement:
    return Statement(
        name=f"estimate_{name}",
        source="RoastFormer record, plan of the recovery",
        says=f"{name} has about {documented // 1000}K parameters",
        why="the estimate is held to a quarter of itself; a model that is built has a number",
        documented=documented,
        parts=(computed("parameters", lambda: n_parameters(f"later_{name}_normalized"), near=documented, rel=0.25),),
    )


STATEMENTS = (
    *_PROFILES,
    *map(_architecture, ARCHITECTURES),
    *(_per_sample(*row) for row in (("micro", 371), ("tiny", 1_775), ("medium", 8_854), ("original", 51_843))),
    *(_estimate(*row) for row in (("tiny", 400_000), ("micro", 100_000))),
    Statement(
        name="parameters_fast",
        source="project, trials",
        says="width 16, 2 heads, 2 layers, feed-forward 32 and embeddings of 8 make 7,769 parameters",
        why="the model of the fast scale is built and counted",
        documented=7_769,
        parts=(computed("parameters", lambda: n_parameters("normalized", "fast"), low=7_769, high=7_769),),
    ),
)
