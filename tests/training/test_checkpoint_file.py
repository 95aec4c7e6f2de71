"""The file of a checkpoint: what is written is what is read, and what is not whole is never read."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from goldmark.case import UsageError
from goldmark.training.checkpoint_file import load_checkpoint, save_checkpoint

METADATA = {
    "": None,
    "rates": [[1e-3, 0.1 + 0.2], [5e-324, -0.0], []],
    "epochs": {"best": {"epoch": 2**70, "kept": True}, "umlaut \u00fc": "line\nbreak"},
    "diverged": [math.inf, -math.inf],
}


def test_metadata_are_read_as_they_were_written(tmp_path):
    """Values and types of nested lists and dicts, infinities included, to the last bit."""
    save_checkpoint(tmp_path / "x.safetensors", {}, METADATA)
    assert repr(METADATA) == repr(load_checkpoint(tmp_path / "x.safetensors").metadata)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_are_read_as_they_were_written(tmp_path, dtype):
    """Any shape, views of one memory and transposed ones included; parameters come back without a gradient."""
    whole = (torch.arange(12.0).reshape(3, 4) % 5).to(dtype)
    tensors = {"whole": whole, "row": whole[1], "turned": whole.T, "scalar": whole[0, 1], "none": whole[:0]}
    save_checkpoint(tmp_path / "x.safetensors", tensors, {})
    read = load_checkpoint(tmp_path / "x.safetensors").tensors
    assert tensors.keys() == read.keys()
    for name, tensor in tensors.items():
        assert (tensor.dtype, tensor.shape) == (read[name].dtype, read[name].shape)
        assert torch.equal(tensor, read[name])
    save_checkpoint(tmp_path / "y.safetensors", {"p": torch.nn.Parameter(torch.ones(2))}, {"nan": math.nan})
    assert not load_checkpoint(tmp_path / "y.safetensors").tensors["p"].requires_grad
    assert math.isnan(load_checkpoint(tmp_path / "y.safetensors").metadata["nan"])


def test_others_can_read_it(tmp_path):
    """It is an ordinary safetensors file, and its header holds the metadata as JSON."""
    save_checkpoint(tmp_path / "x.safetensors", {"w": torch.ones(2)}, {"epoch": 3})
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert [1.0, 1.0] == file.get_tensor("w").tolist()
        assert {"epoch": 3} == json.loads(file.metadata()["metadata"])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": [{"b": np.float64(1)}]}, r"metadata\['a'\]\[0\]\['b'\] is a numpy\.float64, .* write float\(value\)"),
        ({"a": np.arange(2)}, r"metadata\['a'\] is a numpy\.ndarray, .* torch\.from_numpy\(value\), and put it among"),
        ({"a": torch.ones(())}, r"metadata\['a'\] is a torch\.Tensor, .* write value\.item\(\)"),
        ({"a": (1, 2)}, r"metadata\['a'\] is a tuple, .* write list\(value\)"),
        ({1: 2}, r"metadata has the key 1, a int; write str\(key\)"),
        (
            {"a": SimpleNamespace()},
            r"metadata\['a'\] is a types\.SimpleNamespace, .* numbers, strings, lists and dicts",
        ),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(tmp_path, metadata, message):
    """Where it is, what it is, and what to write instead; nothing is written."""
    with pytest.raises(UsageError, match=message):
        save_checkpoint(tmp_path / "x.safetensors", {}, metadata)
    with pytest.raises(UsageError, match=r"tensors\['w'\] is a float; a number goes into the metadata"):
        save_checkpoint(tmp_path / "x.safetensors", {"w": 1.0}, {})
    assert [] == list(tmp_path.iterdir())


def test_damaged_file_is_told_in_one_line(tmp_path):
    """Cut off at, or changed in, one byte of three of the whole file: never read."""
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"w": torch.ones(3)}, {"epoch": 3})
    whole = path.read_bytes()
    damaged = [whole[:end] for end in range(0, len(whole), 3)]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(0, len(whole), 3)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"^[^\n]*$") as refused:
            load_checkpoint(path)
        assert str(path) in str(refused.value)


def test_missing_and_foreign_files_are_told(tmp_path):
    """No file, one of another kind, and the safetensors of another program."""
    with pytest.raises(UsageError, match="there is no checkpoint '.*x.safetensors'"):
        load_checkpoint(tmp_path / "x.safetensors")
    (tmp_path / "text").write_text("no tensors here")
    with pytest.raises(UsageError, match="is damaged, or no checkpoint at all"):
        load_checkpoint(tmp_path / "text")
    save_file({"w": torch.ones(2)}, tmp_path / "foreign")
    with pytest.raises(UsageError, match="is not of goldmark: its format is None, not 'goldmark checkpoint 1'"):
        load_checkpoint(tmp_path / "foreign")
