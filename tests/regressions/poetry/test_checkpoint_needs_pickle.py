"""A checkpoint with numpy scalars can be read only by running what it holds: the record turned that safety off.

`torch.load(weights_only=True)`, the default since torch 2.6, refuses such a file. goldmark writes safetensors for the
tensors and JSON for the rest, and refuses a numpy scalar where it is saved, so that nobody needs pickle to read it.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.training.checkpoint_file import load_checkpoint, save_checkpoint

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3)}
SCALARS = [np.float64(0.624), np.float32(0.624), np.int64(6), np.bool_(1)]  # of which the first is a Python float, too


def save_as_in_the_record(path, tensors, metadata):
    """One pickle for all of it."""
    torch.save({**tensors, "metadata": metadata}, path)


def load_as_in_the_record(path):
    """With the safety on."""
    return torch.load(path, weights_only=True)["metadata"]


def load_as_here(path):
    """The metadata of a checkpoint."""
    return load_checkpoint(path).metadata


BROKEN, RIGHT = (save_as_in_the_record, load_as_in_the_record), (save_checkpoint, load_as_here)


def saved_but_not_to_be_read(way, path, metadata):
    """Whether a way of saving takes metadata of which its safe reader then says no, or returns something else."""
    save, load = way
    try:
        save(path, TENSORS, metadata)
    except UsageError:
        return False
    try:
        read = load(path)
    except pickle.UnpicklingError:
        return True
    return {name: type(value) for name, value in read.items()} != {n: type(value) for n, value in metadata.items()}


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: type(scalar).__name__)
def test_nothing_is_saved_that_needs_pickle_to_be_read(tmp_path, scalar):
    """The record's way takes a numpy scalar and cannot give it back; here it is refused while it can be converted."""
    metadata = {"best": scalar}
    assert saved_but_not_to_be_read(BROKEN, tmp_path / "record.pt", metadata)
    assert not saved_but_not_to_be_read(RIGHT, tmp_path / "here.safetensors", metadata), (
        f"checkpoint needs pickle: a {type(scalar).__name__} in the metadata was saved and cannot be read as it was"
    )
    for way, name in ((BROKEN, "record.pt"), (RIGHT, "here.safetensors")):
        assert not saved_but_not_to_be_read(way, tmp_path / name, {"best": scalar.item()})


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: type(scalar).__name__)
def test_refusal_says_where_and_what_to_write(tmp_path, scalar):
    """The place, the type, and the plain type to convert to; no file is left."""
    plain = type(scalar.item()).__name__
    message = rf"metadata\['epochs'\]\[1\]\['best'\] is a numpy\.\w+, .* write {plain}\(value\)"
    with pytest.raises(UsageError, match=message):
        save_checkpoint(tmp_path / "x.safetensors", TENSORS, {"epochs": [{}, {"best": scalar}]})
    assert [] == list(tmp_path.iterdir())
