"""What of the libraries behind some code can change its numbers: versions, switches of torch, choices of kernels."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from goldmark.fingerprint import distributions, installed_version, normalized
from goldmark.fingerprint._imports import modules_named

# By which libraries choose among their kernels, which sum in different orders. How many threads they take is not here:
# a run sets that itself.
_KERNEL_VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"),
    *("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
)


def versions_behind(files: Iterable[Path], own: str | None = None) -> dict[str, str]:
    """Return {distribution: version} of those that files of code import and those that these require.

    The files' own distribution is left out: its code is looked at itself.
    """
    names: set[str] = set()
    waiting = [name for module in modules_named(files) - sys.stdlib_module_names for name in _installers(module)]
    while waiting:
        name = waiting.pop()
        if name not in names and installed_version(name) != "not installed":
            names.add(name)
            waiting += _required(name)
    return {name: installed_version(name) for name in sorted(names - {own, "goldmark"})}


def _installers(module: str) -> list[str]:
    """Return the distributions that install a module; most have its name, and then the map of all is not made."""
    if installed_version(normalized(module)) != "not installed":
        return [normalized(module)]
    return [normalized(name) for name in distributions().get(module, ())]


@cache
def _required(distribution: str) -> tuple[str, ...]:
    lines = [line for line in metadata.requires(distribution) or () if "extra ==" not in line]
    return tuple(normalized(match[0]) for line in lines if (match := re.match(r"[\w.-]+", line)))


def switches() -> dict[str, str]:
    """Return the switches of torch that the fingerprint does not tell, and the variables by which kernels are chosen.

    torch is asked only where it is loaded already.
    """
    chosen = {name: os.environ[name] for name in _KERNEL_VARIABLES if name in os.environ}
    torch = sys.modules.get("torch")
    if torch is None:
        return chosen
    return chosen | {
        "default dtype": str(torch.get_default_dtype()),
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "mkldnn": str(torch.backends.mkldnn.enabled),
        "cudnn": str(torch.backends.cudnn.enabled),
        "cudnn.benchmark": str(torch.backends.cudnn.benchmark),
        "cudnn.deterministic": str(torch.backends.cudnn.deterministic),
    }
