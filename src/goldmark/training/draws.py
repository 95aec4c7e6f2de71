"""Random numbers from integer counters (seed, step, site): the same on CPU and GPU, alone or beside other runs.

A counter-based generator has no state to share or lose: the key of a draw is a hash of the run's seed, the step and
the name of the site, and element i of the draw is a hash of key and i. The hash is the finaliser of SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), in wrapping int64 arithmetic.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import is_fake

G = TypeVar("G", int, str)

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - 2**64  # as the signed integers that torch has
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_LARGEST_KEPT = 2**20  # counters of larger draws would hold hundreds of MB
_MIX_2 = 0x94D049BB133111EB - 2**64


def _xor_shifted(x: Tensor, n: int) -> Tensor:
    """Return x ^ (x >> n) with zeros shifted in: torch's own shift of int64 repeats the sign."""
    shifted = x >> n
    shifted &= (1 << (64 - n)) - 1
    return shifted.bitwise_xor_(x)


def _mix(x: Tensor) -> Tensor:
    x = _xor_shifted(x, 30).mul_(_MIX_1)
    x = _xor_shifted(x, 27).mul_(_MIX_2)
    return _xor_shifted(x, 31)


@cache
def site_number(site: str) -> int:
    """Return the 63-bit integer that stands for a site's name."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big") >> 1


def step_key(seed: int | Tensor, step: int | Tensor) -> Tensor:
    """Return the int64 key of a step of a run; tensors of seeds or steps give a tensor of keys."""
    hashed = _mix(torch.as_tensor(seed, dtype=torch.int64) + _GOLDEN_GAMMA)
    return _mix(hashed ^ (torch.as_tensor(step, dtype=torch.int64) + 1))


def key(seed: int | Tensor, step: int | Tensor, site: str) -> Tensor:
    """Return the int64 key of a draw at a site in a step of a run, or a tensor of keys as `step_key` does."""
    return _mix(step_key(seed, step) ^ site_number(site))


@cache
def _kernels() -> ModuleType | None:
    """Return the kernels that draw on a GPU, after a trial; None where there is none, or no Triton that works."""
    if not torch.cuda.is_available() or find_spec("triton") is None:
        return None
    from goldmark.training import _kernels as kernels

    try:
        kernels.bits(torch.zeros(1, dtype=torch.int64, device="cuda"), 1)
    except Exception as error:  # noqa: BLE001 - no compiler, an old driver: torch draws the same bits
        warnings.warn(f"draws take more passes over memory: Triton fails ({error})", RuntimeWarning, stacklevel=2)
        return None
    return kernels


def kernels_of(tensor: Tensor) -> ModuleType | None:
    """Return the kernels for a tensor on a GPU; None for others, and for one that only says so, as in a dry run."""
    return _kernels() if tensor.is_cuda and not is_fake(tensor) else None


def bits(keys: Tensor, n: int) -> Tensor:
    """Return n int64 of random bits for every key: shape (*keys.shape, n)."""
    if (kernels := kernels_of(keys)) is not None:
        return kernels.bits(keys, n)  # type: ignore[no-any-return]
    counters = _kept_counters if n <= _LARGEST_KEPT else _counters
    return _mix(keys[..., None] + counters(n, keys.device))


def _counters(n: int, device: torch.device) -> Tensor:
    """Return the counters of a draw's elements."""
    return torch.arange(1, n + 1, dtype=torch.int64, device=device) * _GOLDEN_GAMMA


_kept_counters = lru_cache(maxsize=256)(_counters)  # the sites of a run draw the same shapes in every step


def uniform(keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return float64 in (0, 1), shape (*keys.shape, *shape): the middles of 2^52 equal cells."""
    if (kernels := kernels_of(keys)) is not None:
        return kernels.uniform(keys, shape)  # type: ignore[no-any-return]
    cells = (bits(keys, math.prod(shape)) >> 12) & (2**52 - 1)
    return ((cells.double() + 0.5) * 2.0**-52).reshape((*keys.shape, *shape))


def normal(keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal float64, shape (*keys.shape, *shape), by the inverse distribution function."""
    quantiles: Tensor = torch.special.ndtri(uniform(keys, shape))
    return quantiles


def permutation(keys: Tensor, n: int) -> Tensor:
    """Return a permutation of 0 ... n - 1 for every key: shape (*keys.shape, n), int64."""
    return bits(keys, n).argsort(dim=-1)


@dataclass(frozen=True)
class Draws:
    """The random draws of one step of a run, one site per purpose; `used` collects (site, shape) for the stream.

    The key may be one of many under `torch.func.vmap`: every run of a stack draws what it would draw alone.
    """

    key: Tensor  # of the step, int64, on the device of the draws
    used: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)

    @classmethod
    def at(cls, seed: int, step: int, device: torch.device | str = "cpu") -> Draws:
        """Return the draws of a step of the run with a seed."""
        return cls(step_key(seed, step).to(device))

    def _key(self, site: str, shape: tuple[int, ...]) -> Tensor:
        self.used.add((site, shape))
        return _mix(self.key ^ site_number(site))

    def uniform(self, site: str, *shape: int) -> Tensor:
        """Draw float64 in (0, 1)."""
        return uniform(self._key(site, shape), shape)

    def normal(self, site: str, *shape: int) -> Tensor:
        """Draw standard normal float64."""
        return normal(self._key(site, shape), shape)

    def permutation(self, site: str, n: int) -> Tensor:
        """Draw a permutation of 0 ... n - 1."""
        return permutation(self._key(site, (n,)), n)

    def kept(self, site: str, shape: tuple[int, ...], p: Tensor) -> Tensor:
        """Draw bools of which a share p, a float64 scalar taken to 2^-16, is False.

        Each 64 random bits make four of them: dropout of attention draws more numbers than all else together.
        """
        n = math.prod(shape)
        words = bits(self._key(site, shape), (n + 3) // 4)
        quarters: Tensor = _Quarters.apply(words)  # type: ignore[no-untyped-call]
        return quarters[..., :n].reshape(shape) >= _lowest_kept(p)

    def dropped(self, site: str, x: Tensor, p: Tensor) -> Tensor:
        """Return x with a share p of its entries, a float64 scalar, set to 0 and the rest scaled by 1 / (1 - p)."""
        shape = tuple(x.shape)
        if (kernels := kernels_of(x)) is not None:
            return kernels.dropped(x, *self.of_dropout(site, shape, p, x.dtype))  # type: ignore[no-any-return]
        # a product: `where` costs a CPU 4 times as much, as it branches on random bools; those are what backward keeps
        return x * self.kept(site, shape, p) * _scale(p, x.dtype)

    def of_dropout(
        self, site: str, shape: tuple[int, ...], p: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what a kernel drops by: the key of the draw, the lowest 16 bits that are kept, and the scale."""
        return self._key(site, shape), _lowest_kept(p), _scale(p, dtype)


def _lowest_kept(p: Tensor) -> Tensor:
    """Return the int16 below which a share p of all int16 lies."""
    return (p * 2.0**16 - 2.0**15).round().short()


def _scale(p: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what the kept entries are multiplied by."""
    return (1 / (1 - p)).to(dtype)


class _Quarters(torch.autograd.Function):
    """int64 (..., n) seen as int16 (..., 4 n), for a stack too: torch before 2.13 has no rule for that under `vmap`."""

    @staticmethod
    def forward(words: Tensor) -> Tensor:
        """Return a view of the words."""
        return words.view(torch.int16)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        """Keep nothing: integers have no gradient."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], words: Tensor) -> tuple[Tensor, int]:  # noqa: ARG004
        """View the words of all runs at once, with their axis in front, so that the last one stays whole."""
        return _Quarters.apply(words.movedim(in_dims[0] or 0, 0).contiguous()), 0  # type: ignore[no-untyped-call]


class Dropout(nn.Module):
    """Inverted dropout from keyed draws at a site: zero a share p of the input and scale the rest by 1 / (1 - p).

    The share is a buffer, so that models with different shares stack; p = 0 draws nothing.
    """

    def __init__(self, p: float, site: str) -> None:
        super().__init__()
        if not 0 <= p <= 1 - 2**-15:
            raise ValueError(f"a dropout share of {p} at '{site}'; it lies between 0 and 1 - 2^-15")
        self.site, self.drops = site, p > 0
        self.register_buffer("p", torch.tensor(p, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Return x with a share of its entries dropped; without draws, in evaluation, x itself."""
        if draws is None or not self.drops:
            return x
        return draws.dropped(self.site, x, self.get_buffer("p"))

    def numbers(self, draws: Draws, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Return the key, the lowest kept bits and the scale of a dropout of a shape, for a kernel that drops."""
        return draws.of_dropout(self.site, shape, self.get_buffer("p"), dtype)


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator for the weights of a new model, and put its state back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(key(seed, 0, "initial weights")) & (2**63 - 1))
        yield


def held_out(groups: Sequence[G], share: float, key: Tensor) -> Tensor:
    """Return a bool per example (N,): whole groups, in an order that the key draws, make up a share or a little more.

    Groups that are not needed for the share are put back, so that small ones let the count hit it, and halves of equal
    sizes stack. One group at least is left. Raises `ValueError` for a single group, of which nothing can be held out.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise ValueError(f"{len(sizes)} group cannot be split; pass two or more")
    names, fewest = sorted(sizes), math.ceil(share * len(groups) - 1e-9)  # 0.2 * 35 is a little more than 7
    held: dict[G, int] = {}
    for place in permutation(key, len(names)).tolist()[:-1]:
        if sum(held.values()) < fewest:
            held[names[place]] = sizes[names[place]]
    for name, size in list(held.items()):
        if sum(held.values()) - size >= fewest:
            del held[name]
    return torch.tensor([group in held for group in groups])
