"""A checkpoint as one file without pickle: tensors as safetensors, all the rest as JSON in its header, and a seal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from goldmark.case import UsageError
from goldmark.fingerprint import sha256
from goldmark.runs import write_whole

_FORMAT = "goldmark checkpoint 1"
_PLAIN = (str, int, float, bool, type(None))
_INSTEAD = {"f": "float(value)", "i": "int(value)", "u": "int(value)", "b": "bool(value)"}  # by a numpy dtype's kind


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint holds: tensors by name, on the CPU, and metadata of plain values."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    `metadata` is what JSON holds: dicts with names as keys, lists, str, int, float, bool and None; NaN and infinities
    are kept. Raises `UsageError` with the place of anything else, such as a numpy scalar, and what to write instead.
    """
    write_whole(path, encoded(tensors, metadata))


def encoded(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of a checkpoint's file; raises as `save_checkpoint` does."""
    _need_plain(metadata, "metadata")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise UsageError(f"tensors['{name}'] is a {_type_of(tensor)}; a number goes into the metadata")
    # copies, so that tensors which share memory are stored each by itself
    own = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    text = json.dumps(metadata)
    return save(own, {"format": _FORMAT, "metadata": text, "sha256": _seal(own, text)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, on the CPU; raise `UsageError` where there is none, and where it is damaged or foreign."""
    try:
        content = path.read_bytes()
        tensors, header = load(content), _header(content)
    except FileNotFoundError:
        raise UsageError(f"there is no checkpoint '{path}'") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"checkpoint '{path}' is damaged, or no checkpoint at all: {error}") from None
    if header.get("format") != _FORMAT:
        raise UsageError(f"'{path}' is not of goldmark: its format is {header.get('format')!r}, not '{_FORMAT}'")
    text = header.get("metadata", "")
    if header.get("sha256") != _seal(tensors, text):
        raise UsageError(f"checkpoint '{path}' is damaged: its content has not the sha256 that it was written with")
    return Checkpoint(tensors=tensors, metadata=json.loads(text))


def _header(content: bytes) -> dict[str, str]:
    """Return the strings in a file's header: after 8 bytes that say how long it is, JSON."""
    size = int.from_bytes(content[:8], "little")
    strings: dict[str, str] = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    return strings


def _seal(tensors: Mapping[str, Tensor], text: str) -> str:
    return sha256(save(dict(tensors)) + text.encode())


def _need_plain(value: Any, place: str) -> None:
    """Raise `UsageError` where a value, or a part of it, would not be read as it was written."""
    if type(value) is dict:
        for key, part in value.items():
            if type(key) is not str:
                raise UsageError(f"{place} has the key {key!r}, a {_type_of(key)}; write str(key)")
            _need_plain(part, f"{place}['{key}']")
    elif type(value) is list:
        for i, part in enumerate(value):
            _need_plain(part, f"{place}[{i}]")
    elif type(value) not in _PLAIN:
        raise UsageError(
            f"{place} is a {_type_of(value)}, which needs pickle to be read again; write {_way_out(value)}"
        )


def _type_of(value: Any) -> str:
    module, name = type(value).__module__, type(value).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def _way_out(value: Any) -> str:
    if isinstance(value, Tensor):
        return "value.item(), or put it among the tensors"
    if isinstance(value, tuple | set | frozenset):
        return "list(value)"
    if hasattr(value, "dtype"):  # of numpy, which is not imported for it
        scalar = _INSTEAD.get(value.dtype.kind, "str(value)")
        return scalar if value.ndim == 0 else "torch.from_numpy(value), and put it among the tensors"
    return "what it is made of: numbers, strings, lists and dicts"
