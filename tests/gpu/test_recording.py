"""On a GPU: a step is recorded and replayed, and what a recording that fails leaves behind is a device that works."""

from __future__ import annotations

import pytest
import torch

from goldmark.training import _graph as graph

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")]


def counting(at_capture):
    """A step that counts itself and, in its fourth call, the captured one, does something more."""
    state, made = torch.zeros(4, device="cuda"), []

    def step():
        made.append(None)
        state.add_(1)
        if len(made) == 4:
            at_capture(state)

    return step, state


def works():
    """Memory is given back, and the next step is recorded."""
    torch.cuda.empty_cache()
    step, state = counting(lambda state: None)
    replay = graph.replayed(step, [state])
    for _ in range(3):
        replay()
    assert 3.0 == float(state[0])
    assert isinstance(replay.__self__, torch.cuda.CUDAGraph)


def test_step_is_recorded():
    """Three replays after a warm-up that leaves no trace."""
    works()


def test_failed_recording_is_said_and_the_step_goes_on():
    """A value asked for in the capture: a warning with the reason, the state as before, a device that works."""
    step, state = counting(lambda state: state.sum().item())
    with pytest.warns(RuntimeWarning, match="runs without a CUDA graph"):
        take_step = graph.replayed(step, [state])
    assert 0.0 == float(state[0])
    take_step()
    assert 1.0 == float(state[0])
    works()


def test_recording_without_memory_is_a_lack_of_memory():
    """More than the whole device asked for in the capture; the memory that it had taken until then is free again."""
    works()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    whole = torch.cuda.get_device_properties(0).total_memory

    def too_much(state):
        kept = torch.empty(2**28, dtype=torch.uint8, device="cuda")
        torch.empty(whole, dtype=torch.uint8, device="cuda").copy_(kept[:1])

    step, state = counting(too_much)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        graph.replayed(step, [state])
    works()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < before + 2**28
