"""CUDA graphs: a whole optimiser step recorded once and replayed, without a launch from the host for each kernel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_WARM_UPS = 3  # steps before a capture, as torch's notes on CUDA graphs ask for
_NO_MEMORY = ("out of memory", "StreamCapture")  # what an allocation that fails in a capture may be told as


def replayed(step: Callable[[], None], state: Sequence[Tensor]) -> Callable[[], None]:
    """Return a function that does what `step` does: on a CPU `step` itself, on a GPU its recording where it has one.

    `state` is all that a step changes, so that the steps of the warm-up can be undone.
    """
    if not state[0].is_cuda:
        return step
    before = [tensor.detach().clone() for tensor in state]
    _warm_up(step, state, before)
    graph = torch.cuda.CUDAGraph()
    try:
        # the outer context brings the stream back where the end of a capture raises
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
            step()
    except RuntimeError as error:
        graph.reset()
        torch.cuda.synchronize()
        if any(sign in str(error) for sign in _NO_MEMORY):
            raise torch.cuda.OutOfMemoryError(str(error)) from error
        warnings.warn(f"the step runs without a CUDA graph, and slower: {error}", RuntimeWarning, stacklevel=2)
        _restore(state, before)
        return step
    return graph.replay


def _warm_up(step: Callable[[], None], state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    """Take some steps on a side stream and undo them, the counter too: so they stay within the tables of the steps."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            step()
            _restore(state, before)
    torch.cuda.current_stream().wait_stream(side)


def _restore(state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
