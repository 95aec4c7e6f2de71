"""Poems and word vectors of a user's files, and their windows in two halves, no poem in both."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from goldmark.case import Data, UsageError
from goldmark.fingerprint import sha256
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

FEWEST_POEMS = 10
VALIDATION_SHARE = 0.2  # of the poems, as in the record
_KEYS = ("text", "content")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Poems as word numbers, no two alike, and the vector of each word."""

    poems: tuple[tuple[int, ...], ...]
    vectors: Tensor  # (V, D), float64, none of them zero
    says: str  # what was read

    @property
    def n_words(self) -> int:
        """The words of all poems, however often they occur."""
        return sum(map(len, self.poems))


def read_texts(path: Path, embeddings: Path | None, dimension: int) -> Texts:
    """Read poems, and word vectors where a file of them is given; else hash words to vectors of `dimension` numbers.

    A word that has no vector is left out, and of poems with the same words one is kept: its copy in the other half
    would be a leak. Raises `UsageError` with file and place where a file is bad, or too few poems are left to split.
    """
    poems = read_poems(path)
    wanted = dict.fromkeys(word for poem in poems for word in poem)
    if embeddings is None:
        vectors = {word: hashed_vector(word, dimension) for word in wanted}
        source = f"hashed to fixed vectors of {dimension} numbers, which say nothing of meaning"
    else:
        vectors = read_vectors(embeddings, wanted)
        source = f"of {len(wanted)} with vectors of {len(next(iter(vectors.values())))} numbers in {embeddings.name}"
    numbers = {word: number for number, word in enumerate(vectors)}
    known = (tuple(numbers[word] for word in poem if word in numbers) for poem in poems)
    different = tuple(dict.fromkeys(poem for poem in known if poem))
    if len(different) < FEWEST_POEMS:
        raise UsageError(
            f"{path}: {len(different)} different poems with words that have vectors; at least {FEWEST_POEMS} are "
            "needed to train and validate"
        )
    says = f"{len(different)} different poems of {len(poems)} in {path.name}, {len(vectors)} words {source}"
    return Texts(poems=different, vectors=torch.stack(list(vectors.values())), says=says)


def source_of(files: Sequence[Path]) -> str:
    """Return the sha256 of a file, of several files that of their hashes; none is held in memory."""
    hashes = []
    for path in files:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else sha256("".join(hashes).encode())


# --- poems


def read_poems(path: Path) -> list[list[str]]:
    """Return the words of each poem, in lower case; raise `UsageError` with file and place where one is bad."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a JSON file with a list of poems") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: it is not UTF-8 text; give a JSON file with a list of poems") from None
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}:{error.lineno}:{error.colno}: not JSON that can be read ({error.msg}); a list of poems is expected"
        ) from None
    except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
        raise UsageError(f"{path}: not JSON that can be read ({error}); a list of poems is expected") from None
    if not isinstance(entries, list):
        raise UsageError(f"{path}: a {type(entries).__name__}; a list of texts, or of objects with 'text', is expected")
    return [_words(entry, f"{path}: poem {place} of {len(entries)}") for place, entry in enumerate(entries, start=1)]


def _words(entry: Any, where: str) -> list[str]:
    if isinstance(entry, dict):
        key = next((key for key in _KEYS if key in entry), None)
        if key is None:
            raise UsageError(f"{where}: neither 'text' nor 'content'; it has: {', '.join(entry) or 'none'}")
        entry, where = entry[key], f"{where}, '{key}'"
    if not isinstance(entry, str):
        raise UsageError(f"{where}: {entry!r:.40}; a text is expected")
    words = _WORD.findall(entry.lower())
    if not words:
        raise UsageError(f"{where}: {entry!r:.40} has no word in it; a poem is expected")
    return words


# --- vectors


def hashed_vector(word: str, dimension: int) -> Tensor:
    """Return the fixed vector (D,) of a word, the same in every run: standard normal numbers from a hash of it."""
    return draws.normal(draws.key(0, 0, f"poetry word {word}").cpu(), (dimension,))


def read_vectors(path: Path, wanted: Iterable[str]) -> dict[str, Tensor]:
    """Return the vectors (D,) of wanted words in a text file of word2vec, which begins with "count D", or of GloVe.

    Only what is wanted is kept, so that a file may be larger than memory; a word in lower case goes before its other
    spellings, and a zero vector counts as none, for it has no direction. Raises `UsageError` with file and line.
    """
    wanted, announced, dimension, n_lines = set(wanted), None, 0, 0
    vectors: dict[str, Tensor] = {}
    for number, fields in _rows(path):
        if number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
            announced, dimension = int(fields[0]), int(fields[1])
            continue
        dimension, n_lines = dimension or len(fields) - 1, n_lines + 1
        word = _word_of(fields, dimension, f"{path}:{number}")
        key = word.lower()
        if key in wanted and (key not in vectors or word == key):
            vectors[key] = _vector(fields[-dimension:], f"{path}:{number}")
    if announced not in (None, n_lines):
        raise UsageError(f"{path}:1: {announced} words are announced, and {n_lines} follow; give the whole file")
    vectors = {word: vectors[word] for word in sorted(vectors) if vectors[word].any()}
    if not vectors:
        raise UsageError(
            f"{path}: none of the {len(wanted)} words of the poems is among its {n_lines}; give vectors of that "
            "language, or leave --embeddings out"
        )
    return vectors


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of every line that is not empty."""
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.rstrip().split(" ")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give word vectors as text") from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{path}: it is not UTF-8 text; give word2vec's or GloVe's text format, not a binary"
        ) from None


def _word_of(fields: Sequence[str], dimension: int, where: str) -> str:
    """Return what stands before the vector of a line: some of GloVe's words have spaces in them."""
    rest = fields[1 : len(fields) - dimension]
    if dimension < 1 or len(fields) <= dimension or any(map(_is_number, rest)):
        raise UsageError(
            f"{where}: {len(fields) - 1} numbers after '{fields[0]:.40}'; a word and {max(dimension, 1)} numbers, with "
            "one space between, are expected"
        )
    return " ".join([fields[0], *rest])


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _vector(fields: Sequence[str], where: str) -> Tensor:
    for place, field in enumerate(fields, start=1):
        if not _is_number(field) or not math.isfinite(float(field)):
            raise UsageError(f"{where}: number {place} is '{field:.40}'; a finite number is expected")
    return torch.tensor([float(field) for field in fields], dtype=torch.float64, device="cpu")


# --- windows


def stride_of(length: int) -> int:
    """Return by how many words windows of a length are apart: the record's windows of 50 start every 40 words."""
    return max(1, length * 4 // 5)


def window_starts(n_words: int, length: int) -> range:
    """Return where the windows of a poem start: the last one reaches its end, and no earlier one does."""
    stride = stride_of(length)
    return range(0, max(n_words - length, 0) + stride, stride)


def split_texts(texts: Texts, settings: PoetrySettings, seed: int) -> Data:
    """Return `train_tokens` (N, T, D), `train_valid` (N, T), `val_tokens` and `val_valid`, no poem in both halves.

    Windows that a poem does not fill repeat its last word, where `valid` is False. With `text="iid"` the words of each
    half change places at random: the same words, independent of each other.
    """
    order = draws.permutation(draws.key(seed, 0, "poetry split").cpu(), len(texts.poems)).tolist()
    n_val = max(2, round(VALIDATION_SHARE * len(texts.poems)))
    halves: dict[str, Tensor] = {}
    for half, chosen in (("train", order[n_val:]), ("val", order[:n_val])):
        words, valid = _windows([texts.poems[i] for i in chosen], settings.length)
        if settings.text == "iid":
            words[valid] = words[valid][draws.permutation(draws.key(seed, 0, f"poetry {half} words"), int(valid.sum()))]
        halves |= {f"{half}_tokens": texts.vectors.to(words.device)[words], f"{half}_valid": valid}
    return halves


def _windows(poems: Sequence[Sequence[int]], length: int) -> tuple[Tensor, Tensor]:
    """Return the word numbers (N, T) of all windows of some poems, and which of them are the poems' own."""
    windows = [poem[at : at + length] for poem in poems for at in window_starts(len(poem), length)]
    words = torch.tensor([[*window, *[window[-1]] * (length - len(window))] for window in windows])
    n_valid = torch.tensor([len(window) for window in windows])
    return words, torch.arange(length) < n_valid[:, None]


def n_windows(texts: Texts, length: int) -> int:
    """Return how many windows of a length all poems make."""
    return sum(len(window_starts(len(poem), length)) for poem in texts.poems)
