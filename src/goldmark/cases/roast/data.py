"""Roast profiles: synthetic ones in the shape of measured curves, and those that a user's file holds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from goldmark.case import Data, UsageError
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

Side = Literal["input", "target"]

RANGE_F = (100.0, 500.0)  # what the documented fix maps to [0, 1]
_SPANS = (3, 2, 2, 3)  # what lies between the first and the last category of each kind, in the units of the curve
_FLAVORS_OF_A_BEAN = 2.4  # on average
_FINISH_UNIT_F = 425  # by which the record divides the target finish temperature
CATEGORIES = ("origin", "process", "roast_level", "variety")
FEWEST_PROFILES = 10
FEWEST_SLOTS = 32  # of a vocabulary
SHORTEST_S = 30  # a profile is longer: it has three steps of the grid
RISES_F_PER_MIN = (5.0, 100.0)  # from the turning point to the end; measured roasts rise by 20 to 31 F/min
VALIDATION_SHARE = 0.2  # of the profiles, reached by whole products


def generate(settings: RoastSettings, seed: int) -> Data:
    """Return the training and validation halves of one seed's profiles; see `halves` for names and shapes.

    Origin moves the rate k, process the bean's temperature T0, roast level the finish, variety tau; flavors move
    nothing. The constants give curves in the range of the record's: charged near 420 F, turning at 130-174 F, ending
    near 405 F, read to a tenth of a degree.
    """
    n = settings.n_train + settings.n_val

    def draw(site: str, *shape: int) -> Tensor:
        return draws.uniform(draws.key(seed, 0, f"roast {site}"), (n, *shape))

    categories = (draw("categories", 4) * torch.tensor(settings.vocabulary)).long()
    shares = [span / (size - 1) for span, size in zip(_SPANS, settings.vocabulary, strict=True)]
    origin, process, level, variety = (categories * torch.tensor(shares)).unbind(dim=1)
    finish_f = 395 + 10 * level + 3 * (draw("finish") - 0.5)
    altitude_m = 1200 + 300 * origin + 200 * draw("altitude")
    density = 0.68 + 0.03 * variety + 0.02 * draw("density")
    rate = 0.00295 + 0.00018 * origin + 0.0001 * (draw("rate") - 0.5)
    bean_f = 62 + 10 * process + 6 * (draw("bean") - 0.5)
    charge_f = 420 + 16 * (draw("charge") - 0.5)
    tau_s = 18 + 2.5 * variety + 2 * (draw("tau") - 0.5)
    time_s = 21 * draw("lag")[:, None] + settings.grid_s * torch.arange(settings.length, dtype=torch.float64)
    noise = 0.6 * draws.normal(draws.key(seed, 0, "roast noise"), (n, settings.length))
    temp_f = ((_curves(time_s, finish_f + 45, bean_f, charge_f, rate, tau_s) + noise) * 10).round() / 10
    steps = settings.shortest + (draw("steps") * (settings.length - settings.shortest + 1)).long()
    flavors = (draw("flavors", settings.n_flavors) < _FLAVORS_OF_A_BEAN / settings.n_flavors).double()
    continuous = torch.stack([finish_f / _FINISH_UNIT_F, altitude_m / 2500, density / 0.80], dim=1)
    in_train = torch.arange(n) < settings.n_train
    data = halves(padded(temp_f, steps), steps, categories, flavors, continuous, in_train)
    return data | scales(data, settings) | {"vocabulary": torch.tensor(settings.vocabulary)}


def _curves(time_s: Tensor, top_f: Tensor, bean_f: Tensor, charge_f: Tensor, rate: Tensor, tau_s: Tensor) -> Tensor:
    """Return A - (A - T0) exp(-k t) + (charge - T0) exp(-t / tau) in degrees Fahrenheit, (N, T) for times (N, T).

    Beans of T0 warm towards A, the top of the drum, while the probe falls from the charge temperature to theirs.
    """
    bean = top_f[:, None] - (top_f - bean_f)[:, None] * torch.exp(-rate[:, None] * time_s)
    probe = (charge_f - bean_f)[:, None] * torch.exp(-time_s / tau_s[:, None])
    return bean + probe


def padded(temp_f: Tensor, steps: Tensor) -> Tensor:
    """Return curves (N, T) with everything after each profile's last step set to its last temperature."""
    places = torch.minimum(torch.arange(temp_f.shape[1])[None], steps[:, None] - 1)
    return temp_f.gather(1, places)


def halves(
    temp_f: Tensor, steps: Tensor, categories: Tensor, flavors: Tensor, continuous: Tensor, in_train: Tensor
) -> dict[str, Tensor]:
    """Split profiles into `train_` and `val_` tensors, and add the training half's mean and sd of valid temperatures.

    Each half holds temp_f (N, T) float64 in degrees Fahrenheit, valid (N, T) bool, categories (N, 4) int64,
    flavors (N, F) and continuous (N, C) float64.
    """
    valid = torch.arange(temp_f.shape[1])[None] < steps[:, None]
    whole = {
        "temp_f": temp_f,
        "valid": valid,
        "categories": categories,
        "flavors": flavors,
        "continuous": continuous,
    }
    data = {f"train_{name}": tensor[in_train] for name, tensor in whole.items()}
    data |= {f"val_{name}": tensor[~in_train] for name, tensor in whole.items()}
    train_cells = temp_f[in_train][valid[in_train]]
    return data | {"temp_mean_f": train_cells.mean(), "temp_sd_f": train_cells.std()}


def scales(data: Data, settings: RoastSettings) -> dict[str, Tensor]:
    """Return what the temperatures of inputs and targets are shifted and divided by, float64 scalars.

    `raw` leaves them in degrees Fahrenheit, `range` maps [100, 500] F to [0, 1], `zscore` makes the mean of the
    training half 0 and its sd 1.
    """
    low, high = RANGE_F
    known = {
        "raw": (torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)),
        "range": (torch.tensor(low, dtype=torch.float64), torch.tensor(high - low, dtype=torch.float64)),
        "zscore": (data["temp_mean_f"], data["temp_sd_f"]),
    }
    input_offset, input_unit = known[settings.input_scale]
    target_offset, target_unit = known[settings.target_scale]
    return {
        "input_offset": input_offset,
        "input_unit": input_unit,
        "target_offset": target_offset,
        "target_unit": target_unit,
    }


def scaled(temp_f: Tensor, data: Data, side: Side) -> Tensor:
    """Return degrees Fahrenheit on the scale of the inputs or of the targets."""
    return (temp_f - data[f"{side}_offset"]) / data[f"{side}_unit"]


def fahrenheit(temp: Tensor, data: Data) -> Tensor:
    """Return temperatures on the scale of the targets in degrees Fahrenheit."""
    return temp * data["target_unit"] + data["target_offset"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One measured roast: the product it belongs to, its bean, and its temperature once a second."""

    product: str
    categories: tuple[str, ...]
    finish_f: float
    temp_f: tuple[float, ...]


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
    slowest, fastest = RISES_F_PER_MIN
    if not slowest <= (rise := rise_f_per_min(temp_f)) <= fastest:
        raise UsageError(
            f"{where}: bean_temp_f rises by {rise:.4g} F/min from its lowest value to its end, a roast by "
            f"{slowest:g} to {fastest:g}; degrees Fahrenheit, one a second, are expected"
        )
    return temp_f


def rise_f_per_min(temp_f: Sequence[float]) -> float:
    """Return how fast a curve, read once a second, rises on average from its lowest value to its end; 0 if it falls.

    Per minute, as roasters say it: limits in F/min reject every roast whose rise is computed in F/s.
    """
    turning_s = min(range(len(temp_f)), key=temp_f.__getitem__)
    seconds = len(temp_f) - 1 - turning_s
    return 60 * (temp_f[-1] - temp_f[turning_s]) / max(seconds, 1)


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
    """Return both halves of measured profiles on the grid of the settings, as `halves` names them.

    Whole products go to one half, so that none is in both. Vocabularies come from the training half; slot 0 of each
    is the unknown category. The target finish temperature is divided by 425 F, as in the record.
    """
    in_train = trains(profiles, seed)
    curves = [torch.tensor(profile.temp_f[:: settings.grid_s], dtype=torch.float64) for profile in profiles]
    temp_f = torch.nn.utils.rnn.pad_sequence(curves, batch_first=True)
    steps = torch.tensor([len(curve) for curve in curves])
    columns = [_encode(profiles, i, in_train) for i in range(len(CATEGORIES))]
    finish = torch.tensor([[profile.finish_f / _FINISH_UNIT_F] for profile in profiles], dtype=torch.float64)
    no_flavors = torch.zeros(len(profiles), 0, dtype=torch.float64)
    categories = torch.stack(columns, dim=1)
    data = halves(padded(temp_f, steps), steps, categories, no_flavors, finish, in_train)
    return data | scales(data, settings) | {"vocabulary": torch.tensor(vocabulary_sizes(profiles, in_train))}


def trains(profiles: tuple[Profile, ...], seed: int) -> Tensor:
    """Return a bool per profile: products in the seed's order fill the validation half, the rest trains."""
    products = [profile.product for profile in profiles]
    return ~draws.held_out(products, VALIDATION_SHARE, draws.key(seed, 0, "roast split"))


def measured_sizes(profiles: tuple[Profile, ...], seed: int) -> tuple[int, tuple[int, int, int, int]]:
    """Return how many profiles a seed trains, and the sizes of its vocabularies: what its shapes follow from."""
    in_train = trains(profiles, seed)
    return int(in_train.sum()), vocabulary_sizes(profiles, in_train)


def vocabulary_sizes(profiles: tuple[Profile, ...], in_train: Tensor) -> tuple[int, int, int, int]:
    """Return how many slots each kind of category has: a power of two above those that train, for the unknown one too.

    Rounded up, to 32 at least, so that seeds, whose training halves differ by a category or two, have models of one
    shape and stack; nothing reads the slots that are left over.
    """
    origins, processes, levels, varieties = (_slots(_known(profiles, i, in_train)) for i in range(len(CATEGORIES)))
    return origins, processes, levels, varieties


def _slots(known: Sequence[str]) -> int:
    return max(FEWEST_SLOTS, 1 << len(known).bit_length())


def _known(profiles: tuple[Profile, ...], kind: int, in_train: Tensor) -> list[str]:
    """Return the categories of a kind that the training half has, in their order."""
    return sorted({p.categories[kind] for p, trained in zip(profiles, in_train.tolist(), strict=True) if trained})


def _encode(profiles: tuple[Profile, ...], kind: int, in_train: Tensor) -> Tensor:
    """Return the category numbers (N,) of a kind, from 1 for those that train and 0 for the others."""
    numbers = {value: number for number, value in enumerate(_known(profiles, kind, in_train), start=1)}
    return torch.tensor([numbers.get(profile.categories[kind], 0) for profile in profiles])
