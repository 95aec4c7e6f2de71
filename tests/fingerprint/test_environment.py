"""The fingerprint: what can change numbers without changing code, and hashes of the code itself."""

from __future__ import annotations

import platform
import subprocess
import sys

import torch

from goldmark.fingerprint import code_hash, fingerprint, source_hashes


def test_fingerprint_names_versions_device_and_flags():
    """Every part that design and attribution speak of is there, as text."""
    found = fingerprint("cpu")
    assert platform.python_version() == found["python"]
    assert torch.__version__.split("+")[0] == found["torch"]
    assert str(torch.get_num_threads()) == found["threads"]
    assert {"numpy", "cpu", "cpu_capability", "device", "dtype", "deterministic"} <= set(found)
    assert all(isinstance(value, str) for value in found.values())
    assert "cpu" == fingerprint("cpu:0")["device"]


def test_a_device_that_is_not_there_can_be_named():
    """A golden of another machine's device is looked for, and not found, on a machine without one."""
    found = fingerprint("cuda:1")
    assert "cuda" == found["device"]
    assert torch.cuda.is_available() == ("gpu" in found)


def test_fingerprint_does_not_load_torch():
    """A test session without torch stays without it."""
    code = (
        "import sys; from goldmark.fingerprint import fingerprint; found = fingerprint(); "
        "print('torch' in sys.modules, 'torch' in found)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False False" == done.stdout.strip()


def test_source_hashes_follow_the_content(tmp_path):
    """Paths are relative and with slashes; one changed value changes one hash."""
    (tmp_path / "a").mkdir()
    one, two = tmp_path / "a" / "one.py", tmp_path / "two.py"
    one.write_bytes(b"x = 1\n")
    two.write_bytes(b"y = 2\n")
    before = source_hashes([two, one], tmp_path)
    assert {"a/one.py": code_hash(b"x = 1"), "two.py": code_hash(b"y = 2")} == before
    one.write_bytes(b"x = 3\n")
    after = source_hashes([two, one], tmp_path)
    assert ["a/one.py"] == [path for path in before if before[path] != after[path]]


def test_a_gpu_that_is_not_there_is_only_named():
    """Values that a GPU trained can be held on a machine without one."""
    if torch.cuda.is_available():
        assert fingerprint("cuda")["gpu"]
    else:
        assert ("cuda", None) == (fingerprint("cuda")["device"], fingerprint("cuda").get("gpu"))
