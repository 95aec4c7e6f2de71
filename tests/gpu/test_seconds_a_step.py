"""The table of seconds a step, on a CPU in miniature: it comes to its end, with a total."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_table_is_printed_with_its_total():
    """One shape is timed, for the budget is used up by then; the total follows from it."""
    script = Path(__file__).with_name("seconds_a_step.py")
    command = [sys.executable, str(script), "expansion", "--device", "cpu", "--scale", "smoke", "--budget", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert "recorded s" in done.stdout
    assert "100 of 160 runs, 63% of all operations" in done.stdout, done.stdout
    assert "all runs, at that speed: " in done.stdout
