"""The processor time of `goldmark matrix` without a GPU until it refuses, beside that of `import torch`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

TRIES = 6
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "goldmark matrix": ["-m", "goldmark.cli", "matrix"],
    "goldmark matrix --plan": ["-m", "goldmark.cli", "matrix", "--plan"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_start(name: str) -> None:
    """Print the best of some tries, user and system."""
    print(f"\n{name}: {min(cpu_s(COMMANDS[name]) for _ in range(TRIES)):.2f} s")


def cpu_s(arguments: Sequence[str]) -> float:
    """The processor time that a fresh process without a GPU takes."""
    before = os.times()
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, *arguments], env=hidden, capture_output=True, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
