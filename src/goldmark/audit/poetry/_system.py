"""The system: its parameters, presets and curriculum."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from goldmark.audit._statement import Statement, computed
from goldmark.audit.poetry._numbers import full_size_ceiling, mean_forced_share, n_parameters, nearest_wiring
from goldmark.cases.poetry.scores import WANTED

MODEL = "Poetry record, model"


class Wiring(NamedTuple):
    """A model whose parameters the record's code gives."""

    name: str
    says: str
    documented: int
    built: Callable[[], int]


WIRINGS = (
    Wiring("baseline", "64 units, codes of 16", 68_808, lambda: n_parameters(64)),
    Wiring("scaled", "512 units, codes of 16", 1_004_680, lambda: n_parameters(512)),
    Wiring("lstm", "LSTM of 512 units, codes of 16", 3_513_992, lambda: n_parameters(512, cell="lstm")),
    Wiring("gru", "GRU of 512 units, codes of 16", 2_671_752, lambda: n_parameters(512, cell="gru")),
    Wiring(
        "attention",
        "two LSTM layers of 512, codes of 128, attention",
        10_182_616,
        lambda: n_parameters(512, 128, cell="lstm", layers=2, attention_heads=4),
    ),
)
PRESETS = {"tiny": 32, "standard": 128, "large": 256, "xlarge": 512, "huge": 768, "research": 1024}  # hidden units

SYSTEM = (
    *(
        Statement(
            name=f"{wiring.name}_parameters",
            source=MODEL,
            says=f"{wiring.says}: {wiring.documented:,} parameters",
            documented=wiring.documented,
            why="built on the meta device and counted",
            parts=(computed("parameters", wiring.built, near=wiring.documented, rel=0.0),),
        )
        for wiring in WIRINGS
    ),
    Statement(
        name="baseline_parameters_of_the_record",
        source="Poetry record, architecture table",
        says="the 64-unit model has 150,085 parameters",
        documented=150_085,
        why="no cell, depth, direction or attention gives that count: the nearest one stands here",
        parts=(computed("parameters of the nearest wiring", lambda: nearest_wiring(64, 150_085), near=150_085, rel=0),),
    ),
    Statement(
        name="scaled_parameters_of_the_record",
        source="Poetry record, architecture table",
        says="the 512-unit model has 1.4M parameters",
        documented=1.4e6,
        why="the model that the record describes has one direction; an encoder of two comes nearest to the count",
        parts=(
            computed("parameters as described", lambda: n_parameters(512), low=1.35e6, high=1.45e6),
            computed("parameters of the nearest wiring", lambda: nearest_wiring(512, 1.4e6), low=1.35e6, high=1.45e6),
        ),
    ),
    Statement(
        name="presets_can_write_the_words",
        source="Poetry record, presets tiny 32 to research 1024",
        says="the presets are offered as sizes of one model that reconstructs poems",
        why="outputs affine in h units span h + 1 dimensions; on synthetic words of 300 numbers",
        parts=tuple(
            computed(f"token ceiling of '{name}', {width} units", partial(full_size_ceiling, width), low=WANTED)
            for name, width in PRESETS.items()
            if width < 300  # from there on the ceiling is 1, whatever the words
        ),
    ),
    Statement(
        name="curriculum_forces_half",
        source="Poetry record, curriculum: .9, .7, .3, .1 up to epochs 7, 15, 23, 30",
        says="teacher forcing of .9 / .7 / .3 / .1 in epochs 1-7, 8-15, 16-23, 24-30: (6.3 + 5.6 + 2.4 + .7) / 30",
        documented=0.5,
        why="epochs times ratios; drawn once a batch, it is half of the batches instead of half of the steps",
        parts=(computed("share of forced steps", mean_forced_share, near=0.5),),
    ),
)
