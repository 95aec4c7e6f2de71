"""Triton's kernels, in its interpreter on the CPU: bit for bit what torch's own operations draw."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

pytest.importorskip("triton")
pytestmark = pytest.mark.slow  # the interpreter takes its time


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory, testrun_uid):
    """What a process that interprets the kernels says: Triton chooses as it is imported; once for all of xdist's."""
    told = tmp_path_factory.getbasetemp().parent / f"kernels-{testrun_uid}"
    with FileLock(f"{told}.lock"):
        if not told.exists():
            told.write_text(interpret())
    return told.read_text().splitlines()


def interpret():
    """What the script prints."""
    script = Path(__file__).with_name("interpreted_kernels.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, env=environment)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.mark.parametrize("draw", ["bits", "uniform", "uniform of a stack"])
def test_draws_are_those_of_torch(interpreted, draw):
    """One number, a few, and some blocks of them that are not full."""
    for n in (1, 7, 4099):
        assert f"{draw} {n}: equal" in interpreted


@pytest.mark.parametrize("what", ["outputs", "gradients", "outputs of a run alone"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_that_of_torch(interpreted, what, dtype):
    """With shares of a tenth, three tenths and three quarters."""
    for shape in ("(5, 13)", "(1030,)"):
        assert f"{what} {dtype} {shape}: equal" in interpreted


@pytest.mark.parametrize("length", ["7 by 4", "5 by 8"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_causal_attention_is_that_of_torch(interpreted, length, dtype):
    """Outputs and gradients, of a stack and of a run alone, in blocks of queries of which the last is smaller."""
    assert f"attention {dtype} {length}: close" in interpreted


def test_dropout_drops(interpreted):
    """Its share, or the equality above would be one of nothing; 16 bits of 1030 numbers are within .05 of it."""
    shares = [float(share) for share in interpreted[-1].split()]
    assert [pytest.approx(p, abs=0.05) for p in (0.1, 0.3, 0.75)] == shares
