"""Texts and the frames that they are read from."""

import pytest
import torch
from torch.nn import functional

from goldmark.checks import check_too_few_frames

LENGTHS = [3] * 8
TEXTS = torch.tensor([[1, 2, 3, 0]] * 4 + [[1, 1, 2, 2]] * 4)  # of which the first three characters count


def finding_of(frames, texts=TEXTS, of=list, *, zero_infinity=True):
    """The finding for a loss of the examples' numbers of frames."""
    logits = torch.zeros(12, len(frames), 4, requires_grad=True)
    lengths = of(frames), of(LENGTHS[: len(frames)])
    logs = logits.log_softmax(2)
    return check_too_few_frames(functional.ctc_loss(logs, texts, *lengths, zero_infinity=zero_infinity))


@pytest.mark.parametrize("of", [list, torch.tensor], ids=["list", "tensor"])
@pytest.mark.parametrize("zero_infinity", [True, False])
def test_half_of_the_texts_have_more_characters_than_frames(of, zero_infinity):
    """Four of eight do, whether the loss is 0 or infinite for them; three are left to the data."""
    short = finding_of([2] * 4 + [12] * 4, of=of, zero_infinity=zero_infinity)
    assert short.trouble
    assert {"examples": 8.0, "too_short": 4.0} == short.numbers
    assert not finding_of([2] * 3 + [12] * 5, of=of, zero_infinity=zero_infinity).trouble


@pytest.mark.parametrize("joined", [False, True])
def test_two_alike_need_a_frame_between_them(joined):
    """Three frames are enough for three characters that differ, and four for two and a third."""
    texts = TEXTS[:, :3].flatten() if joined else TEXTS
    assert 4 == finding_of([3] * 8, texts).numbers["too_short"]
    assert 0 == finding_of([3] * 4 + [4] * 4, texts).numbers["too_short"]


def test_few_examples_and_other_losses_say_nothing():
    """Seven examples that are all too short, and a loss without an alignment."""
    assert not finding_of([2] * 7, TEXTS[:7]).trouble
    assert not check_too_few_frames(torch.zeros(8, requires_grad=True).square().mean()).trouble
