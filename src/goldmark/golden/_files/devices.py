"""Goldens of one test on several kinds of device: NAME for the CPU, NAME@cuda and NAME@mps beside it."""

from __future__ import annotations

from pathlib import Path

from goldmark.case import UsageError
from goldmark.golden._files.entries import Golden
from goldmark.golden._files.folder import find_golden

DEVICES = ("cpu", "cuda", "mps")


def need_device(device: object) -> str:
    """Return a kind of device; raise `UsageError`, with the kinds, for anything else."""
    if not (isinstance(device, str) and device in DEVICES):
        kinds = ", ".join(map(repr, DEVICES))
        raise UsageError(f"device is {str(device)[:40]!r}; give the kind of device that trained: {kinds}")
    return device


def without_device(name: str) -> str:
    """Return the name that the goldens of one test share: NAME of NAME@cuda."""
    shared, at, device = name.rpartition("@")
    return shared if at and device in DEVICES else name


def golden_on(folder: Path, name: str, device: str) -> Golden | None:
    """Return the golden to hold to on a device: NAME@cuda where it was recorded per device, else NAME, else None.

    Whether NAME was made on the device is the comparison's to say. Raise `BadGolden` for a file that cannot be trusted.
    """
    return find_golden(folder, f"{name}@{device}") or find_golden(folder, name)


def none_recorded(folder: Path, name: str, device: str | None) -> str:
    """Say that there is no golden of a name, and where something was trained, for which devices there are some."""
    shared = find_golden(folder, name)
    others = [device_of(shared) or "?"] if shared else []
    others += [kind for kind in DEVICES if find_golden(folder, f"{name}@{kind}")]
    if not (device and others):
        return "does not exist"
    return f"does not exist: none recorded for {device}, only for {', '.join(others)}"


def name_to_record(folder: Path, name: str, device: str) -> str:
    """Return the name under which a result of a device is recorded: that of the golden that it would be held to.

    Where none was made on the device, the CPU's is NAME and another's is NAME@cuda; NAME is never taken from a device.
    """
    golden = golden_on(folder, name, device)
    if golden is None:
        return name if device == "cpu" else f"{name}@{device}"
    return golden.name if device_of(golden) in (device, None) else f"{name}@{device}"


def device_of(golden: Golden) -> str | None:
    """Return the kind of device that made a golden, or None where its origin is not known."""
    return golden.origin.fingerprint.get("device") if golden.origin else None
