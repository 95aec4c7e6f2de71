"""Frozen data: seed 0 of every generator as npz files, with a manifest of hashes; nothing is ever unpickled."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from goldmark.case import UsageError
from goldmark.cases import CASES
from goldmark.fingerprint import sha256

MANIFEST = "manifest.json"
SEED = 0

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


def generated() -> dict[str, tuple[str, dict[str, np.ndarray[Any, Any]]]]:
    """Return {fixture: (generator's import path, {name: array})} as the generators make seed 0 now."""
    made = {}
    for case in CASES.values():
        generator = f"{type(case).__module__}.{type(case).__name__}.make_data"
        for fixture, variant in case.fixtures.items():
            data = case.make_data(case.settings_of(variant), SEED)
            made[fixture] = (generator, {name: tensor.numpy() for name, tensor in data.items()})
    return made


def freeze(folder: Path) -> list[Path]:
    """Write every fixture and the manifest into a folder and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for fixture, (generator, arrays) in generated().items():
        np.savez_compressed(folder / f"{fixture}.npz", **arrays)  # type: ignore[arg-type]  # numpy types its one keyword only
        manifest[fixture] = {
            "generator": generator,
            "seed": SEED,
            "sha256": {name: _hash(array) for name, array in sorted(arrays.items())},
        }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return sorted(folder / f"{fixture}.npz" for fixture in manifest)


def load(folder: Path, fixture: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a fixture; raise `UsageError` where one is not what the manifest says."""
    way_out = "restore it with git, or freeze anew with: nox -s fixtures"
    path = folder / f"{fixture}.npz"
    try:
        expected = json.loads((folder / MANIFEST).read_text())[fixture]["sha256"]
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read with its manifest ({error}); {way_out}") from error
    if sorted(arrays) != sorted(expected):
        raise UsageError(f"{path}: holds {sorted(arrays)}, the manifest says {sorted(expected)}; {way_out}")
    for name, array in arrays.items():
        if _hash(array) != expected[name]:
            raise UsageError(f"{path}: the sha256 of '{name}' is not the manifest's; {way_out}")
    return arrays


def _hash(array: np.ndarray[Any, Any]) -> str:
    """Hash dtype, shape and content in little-endian order."""
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return sha256(f"{array.dtype.name} {array.shape} ".encode() + plain.tobytes())


if __name__ == "__main__":
    for written in freeze(Path(sys.argv[1])):
        sys.stdout.write(f"{written}\n")
