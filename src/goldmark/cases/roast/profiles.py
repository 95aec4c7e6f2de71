"""Measured roast profiles from a JSON Lines file: read strictly, put on the grid, split by product."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from goldmark.case import Case, Data, UsageError
from goldmark.cases.roast.curves import halves, padded, scales
from goldmark.fingerprint import sha256
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

CATEGORIES = ("origin", "process", "roast_level", "variety")
FEWEST_PROFILES = 10
SHORTEST_S = 30  # a profile is longer: it has three steps of the grid
VALIDATION_SHARE = 0.2  # of the profiles, reached by whole products


@dataclass(frozen=True)
class Profile:
    """One measured roast: the product it belongs to, its bean, and its temperature once a second."""

    product: str
    categories: tuple[str, ...]
    finish_f: float
    temp_f: tuple[float, ...]


def on_measured(case: Case, path: Path) -> Case:
    """Return the case on a user's file of profiles; raise `UsageError` where the file is not fit for it."""
    profiles = read_profiles(path)
    return replace(case, make_data=partial(split_profiles, profiles), data_source=sha256(path.read_bytes()))


def read_profiles(path: Path) -> tuple[Profile, ...]:
    """Read a JSON Lines file, a profile a line; raise `UsageError` with file and line number where one is bad."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason}); give a JSON Lines file of roast profiles") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    profiles = tuple(_profile(line, f"{path}:{number}") for number, line in numbered)
    if len(profiles) < FEWEST_PROFILES:
        raise UsageError(
            f"{path}: {len(profiles)} profiles; at least {FEWEST_PROFILES} are needed to train and validate"
        )
    if len({profile.product for profile in profiles}) < 2:
        raise UsageError(f"{path}: one product only ('{profiles[0].product}'); a split by product needs two or more")
    if len({profile.temp_f for profile in profiles}) == 1:
        raise UsageError(
            f"{path}: all {len(profiles)} profiles have the same temperatures; there is nothing to predict"
        )
    return profiles


def _profile(line: str, where: str) -> Profile:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:  # text that is no JSON, a number too long, brackets too deep
        raise UsageError(f"{where}: not JSON that can be read ({error}); one profile a line is expected") from None
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: a {type(entry).__name__}; a JSON object with the keys of a profile is expected")
    for key in ("id", "bean_temp_f", *CATEGORIES, "target_finish_temp_f"):
        if key not in entry:
            raise UsageError(f"{where}: key '{key}' is missing; it has: {', '.join(entry) or 'none'}")
    return Profile(
        product=_text(entry["id"], "id", where).rpartition("-")[0] or entry["id"],
        categories=tuple(_text(entry[key], key, where) for key in CATEGORIES),
        finish_f=_number(entry["target_finish_temp_f"], "target_finish_temp_f", where),
        temp_f=_temperatures(entry["bean_temp_f"], where),
    )


def _temperatures(value: Any, where: str) -> tuple[float, ...]:
    """Return a curve that is long enough and varies."""
    if not isinstance(value, list):
        raise UsageError(
            f"{where}: bean_temp_f is {value!r:.40}; a list of degrees Fahrenheit, one a second, is expected"
        )
    temp_f = tuple(_number(item, f"bean_temp_f[{second}]", where) for second, item in enumerate(value))
    if len(temp_f) <= SHORTEST_S:
        raise UsageError(f"{where}: bean_temp_f has {len(temp_f)} values; more than {SHORTEST_S} seconds are needed")
    if min(temp_f) == max(temp_f):
        raise UsageError(f"{where}: bean_temp_f does not vary: all {len(temp_f)} values are {temp_f[0]}")
    return temp_f


def _number(value: Any, key: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"{where}: {key} is {value!r:.40}; a finite number is expected")
    return number


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}: {key} is {value!r:.40}; a text is expected")
    return value


def split_profiles(profiles: tuple[Profile, ...], settings: RoastSettings, seed: int) -> Data:
    """Return both halves of measured profiles on the grid of the settings, as `curves.halves` names them.

    Whole products go to one half, so that none is in both. Vocabularies come from the training half; slot 0 of each
    is the unknown category. The target finish temperature is divided by 425 F, as in the record.
    """
    in_train = _in_train(profiles, seed)
    curves = [torch.tensor(profile.temp_f[:: settings.grid_s], dtype=torch.float64) for profile in profiles]
    temp_f = torch.nn.utils.rnn.pad_sequence(curves, batch_first=True)
    steps = torch.tensor([len(curve) for curve in curves])
    columns, vocabulary = zip(*(_encode([p.categories[i] for p in profiles], in_train) for i in range(4)), strict=True)
    finish = torch.tensor([[profile.finish_f / 425] for profile in profiles], dtype=torch.float64)
    no_flavors = torch.zeros(len(profiles), 0, dtype=torch.float64)
    categories = torch.stack(columns, dim=1)
    data = halves(padded(temp_f, steps), steps, categories, no_flavors, finish, in_train)
    return data | scales(data, settings) | {"vocabulary": torch.tensor(vocabulary)}


def _in_train(profiles: tuple[Profile, ...], seed: int) -> Tensor:
    """Return a bool per profile: products in the seed's order fill the validation half, the rest trains."""
    products = sorted({profile.product for profile in profiles})
    order = draws.permutation(draws.key(seed, 0, "roast split"), len(products)).tolist()
    held_out: set[str] = set()
    for product in (products[i] for i in order[:-1]):
        if sum(profile.product in held_out for profile in profiles) >= VALIDATION_SHARE * len(profiles):
            break
        held_out.add(product)
    return torch.tensor([profile.product not in held_out for profile in profiles])


def _encode(values: list[str], in_train: Tensor) -> tuple[Tensor, int]:
    """Return the category numbers of all profiles and the size of the vocabulary, the unknown slot 0 included."""
    known = sorted({value for value, trains in zip(values, in_train.tolist(), strict=True) if trains})
    numbers = {value: number for number, value in enumerate(known, start=1)}
    return torch.tensor([numbers.get(value, 0) for value in values]), len(known) + 1
