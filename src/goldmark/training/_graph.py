"""CUDA graphs: a whole optimiser step recorded once and replayed, without a launch from the host for each kernel."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

_WARM_UPS = 3  # steps before a capture, as torch's notes on CUDA graphs ask for


def replayed(step: Callable[[], None], state: Sequence[Tensor]) -> Callable[[], None]:
    """Return a function that does what `step` does: on a CPU `step` itself, on a GPU its recording where it has one.

    `state` is all that a step changes, so that the steps of the warm-up can be undone. Raises
    `torch.cuda.OutOfMemoryError` where the recording does not fit; any other failure is a warning, and `step` remains.
    """
    if not state[0].is_cuda:
        return step
    before = [tensor.detach().clone() for tensor in state]
    _warm_up(step, state, before)
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    try:
        # the outer context brings the stream back where the end of a capture raises
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, pool=pool):
            step()
    except RuntimeError as error:
        graph.reset()
        torch.cuda.synchronize()
        _close(pool)
        if lacks_memory(error):
            raise torch.cuda.OutOfMemoryError(str(error)) from error
        warnings.warn(f"the step runs without a CUDA graph, and slower: {error}", RuntimeWarning, stacklevel=2)
        _restore(state, before)
        return step
    return graph.replay


def lacks_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that was being handled as it was raised, is a lack of memory.

    Whatever stops a capture, its end raises "cudaErrorStreamCaptureInvalidated", with the reason as its context.
    """
    reasons: list[BaseException] = []
    reason: BaseException | None = error
    while reason is not None and reason not in reasons:
        reasons.append(reason)
        reason = reason.__cause__ or reason.__context__
    return any(isinstance(reason, torch.cuda.OutOfMemoryError) for reason in reasons)


def _close(pool: tuple[int, int]) -> None:
    """Have the allocator leave the pool of a capture that broke off, and give its memory back.

    The end of a broken capture raises before it does so, and then every later `empty_cache` is an internal error. torch
    has no public way; where the capture did come to its end, the allocator has left and says so.
    """
    names = ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool")  # the second in torch before 2.7
    end = next(getattr(torch._C, name) for name in names if hasattr(torch._C, name))  # noqa: SLF001
    with contextlib.suppress(RuntimeError):
        end(torch.cuda.current_device(), pool)
        torch._C._cuda_releasePool(torch.cuda.current_device(), pool)  # noqa: SLF001


def _warm_up(step: Callable[[], None], state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    """Take some steps on a side stream and undo them, the counter too: so they stay within the tables of the steps."""
    side = _side_stream(torch.cuda.current_device())
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            step()
            _restore(state, before)
    torch.cuda.current_stream().wait_stream(side)


@cache
def _side_stream(device: int) -> torch.cuda.Stream:
    """Return the stream of all warm-ups: cuBLAS keeps a workspace for each stream that it has seen, 32 MiB a stack."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _restore(state: Sequence[Tensor], before: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
