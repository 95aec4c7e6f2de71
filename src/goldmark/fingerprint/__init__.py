"""What can change numbers without changing code (the fingerprint), and what can change them with it (source hashes)."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from goldmark.fingerprint._code import code_hash


def fingerprint(device: str = "cpu", dtype: str = "float32") -> dict[str, str]:
    """Describe the environment of a run on a device: versions, CPU and its vector capability, GPU, threads, flags.

    torch is asked only where it is loaded already, so that tests without it do not pay for it.
    """
    environment = {
        "python": platform.python_version(),
        "numpy": installed_version("numpy"),
        "device": device.partition(":")[0],
        "dtype": dtype,
        "cpu": _cpu_model(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        environment |= {
            "torch": torch.__version__.split("+")[0],
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": str(torch.get_num_threads()),
            "deterministic": str(torch.are_deterministic_algorithms_enabled()),
        }
        if device.startswith("cuda") and torch.cuda.is_available():
            environment |= {
                "gpu": torch.cuda.get_device_name(),
                "cuda": str(torch.version.cuda),
                "tf32": str(torch.backends.cuda.matmul.allow_tf32),
            }
    return environment


@cache
def _cpu_model() -> str:
    """Return name, family, model and stepping where Linux tells them: a virtual machine's name alone says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    entries = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wanted = ("model name", "cpu family", "model", "stepping")
    return " ".join(entries[name] for name in wanted if name in entries) or platform.machine()


def imported_versions(named: Iterable[str] = ()) -> dict[str, str]:
    """Return {distribution: version} of everything that this process has imported, and of distributions that are named.

    Local parts of a version (`2.13.0+cpu`) are left out: they say where a file came from. One that is named and not
    installed has the version "not installed".
    """
    modules = {name.partition(".")[0] for name in list(sys.modules)}
    imported = {normalized(name) for module in modules for name in distributions().get(module, ())}
    return {name: installed_version(name) for name in sorted(imported.union(named))}


@cache
def distributions() -> dict[str, list[str]]:
    """Return {top-level module: names of the distributions that install it}, as they are when first asked."""
    return dict(metadata.packages_distributions())


def normalized(name: str) -> str:
    """Return the name of a distribution as indexes compare it: lower case, runs of `-`, `_` and `.` as one `-`."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def installed_version(name: str) -> str:
    """Return the version of a distribution without its local part, or "not installed"."""
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "not installed"


def source_hashes(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Return {path relative to root: hash} of source files."""
    return {path.relative_to(root).as_posix(): hash_of(path) for path in sorted(paths)}


def sha256(content: bytes) -> str:
    """Return the hexadecimal sha256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def hash_of(file: Path) -> str:
    """Return the hash of a file, read again only after it has changed: of Python's code, and else of its bytes."""
    return _hash_of(file, *_state_of(file))


def bytes_hash_of(file: Path) -> str:
    """Return the hash of a file's bytes, whatever they are, read again only after it has changed."""
    return _bytes_hash_of(file, *_state_of(file))


def _state_of(file: Path) -> tuple[int, int, int, int]:
    """Return what tells two states of a file apart: the last two also where its time was set back."""
    state = file.stat()
    return state.st_mtime_ns, state.st_size, state.st_ctime_ns, state.st_ino


@cache
def _hash_of(file: Path, *state: int) -> str:  # which is a part of the key
    return code_hash(file.read_bytes()) if file.suffix == ".py" else _bytes_hash_of(file, *state)


@cache
def _bytes_hash_of(file: Path, *state: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
