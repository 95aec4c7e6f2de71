"""Autoencoders of six sizes for a user's poems, the record's presets, and the one line that trains such a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from goldmark.case import Run, UsageError, Variant
from goldmark.cases.poetry.texts import VALIDATION_SHARE, n_windows
from goldmark.runs import Job
from goldmark.training import resolve_device
from goldmark.training._single import OnEpoch, train_model

if TYPE_CHECKING:
    from goldmark.cases.poetry import MeasuredPoetryCase, PoetrySettings
    from goldmark.cases.poetry.model import PoetryAutoencoder
    from goldmark.cases.poetry.texts import Texts

EPOCHS = 30  # the record's
FEWEST_STEPS = 400  # with which few poems train longer


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The size of an autoencoder, and from how many words of all poems on it is the one that `auto` chooses."""

    hidden: int  # units of encoder and decoder
    code_size: int
    from_words: int


# Sizes are the record's; it does not say which is for how many poems, so that steps of about 4 are the choice here.
PRESETS: Mapping[str, Preset] = {
    "tiny": Preset(hidden=32, code_size=8, from_words=0),
    "standard": Preset(hidden=128, code_size=16, from_words=10_000),
    "large": Preset(hidden=256, code_size=20, from_words=50_000),
    "xlarge": Preset(hidden=512, code_size=24, from_words=200_000),
    "huge": Preset(hidden=768, code_size=32, from_words=1_000_000),
    "research": Preset(hidden=1024, code_size=48, from_words=4_000_000),
}


def chosen_preset(name: str, n_words: int) -> str:
    """Return the name of a preset, for `auto` the largest one that so many words allow; raise `UsageError` for none."""
    if name == "auto":
        return [preset for preset, size in PRESETS.items() if size.from_words <= n_words][-1]
    if name not in PRESETS:
        raise UsageError(f"there is no preset '{name}'; there are: auto, {', '.join(PRESETS)}")
    return name


def preset_settings(preset: Preset, settings: PoetrySettings, texts: Texts, steps: int | None = None) -> PoetrySettings:
    """Return the recipe of a preset on some texts: windows and batches of the record, annealed, by cosine and square.

    Without a number of steps it trains for as long as the record did, or longer where poems are few.
    """
    sized = replace(
        settings,
        length=50,
        encoder_hidden=preset.hidden,
        decoder_hidden=preset.hidden,
        code_size=preset.code_size,
        lr=2e-3,
        batch=16,
    )
    n_train = int((1 - VALIDATION_SHARE) * n_windows(texts, sized.length))
    return replace(sized, steps=steps or max(FEWEST_STEPS, EPOCHS * n_train // sized.batch))


def preset_variant(name: str) -> Variant:
    """Return the only variant that a case of a preset has."""
    preset = PRESETS[name]
    says = f"{preset.hidden} hidden units in encoder and decoder, codes of {preset.code_size} numbers"
    return Variant(name=name, says=says, role="option")


@dataclass(frozen=True, kw_only=True)
class TrainedAutoencoder:
    """A model of a user's poems with its metrics, between what needs no code and what its width allows."""

    model: PoetryAutoencoder
    preset: str
    metrics: Mapping[str, float]  # on the poems that were held out
    floor: float  # token cosine of the mean training token
    ceiling: float  # that no decoder of that width exceeds
    run: Run
    case: MeasuredPoetryCase


def show_epoch(epoch: int, n: int, train_loss: float) -> None:
    """Say on standard error how far training is, ten times."""
    if 10 * epoch // n > 10 * (epoch - 1) // n:
        sys.stderr.write(f"epoch {epoch} of {n}: training loss {train_loss:.4f}\n")


def train_autoencoder(
    poems: Path | str,
    preset: str = "auto",
    *,
    embeddings: Path | str | None = None,
    seed: int = 0,
    steps: int | None = None,
    device: str = "cpu",
    on_epoch: OnEpoch = show_epoch,
) -> TrainedAutoencoder:
    """Train an autoencoder on a JSON file of poems and return it with its metrics, floor and ceiling.

    Word vectors are read from `embeddings`, or hashed. `on_epoch` is told the epoch, how many there are, and the loss.
    Raises `UsageError` where a file is bad, and for an unknown preset or device.
    """
    from goldmark.cases.poetry import CASE

    companions = {} if embeddings is None else {"embeddings": Path(embeddings)}
    case = CASE.on_file(Path(poems), companions).with_preset(preset, steps)
    (variant,) = case.variants
    run, model = train_model(Job(case, variant.name, seed, resolve_device(device)), on_epoch)
    return TrainedAutoencoder(
        model=cast("PoetryAutoencoder", model),
        preset=variant.name,
        metrics=run.metrics,
        floor=run.metrics["token_floor"],
        ceiling=run.metrics["token_ceiling"],
        run=run,
        case=case,
    )
