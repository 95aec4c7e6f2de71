"""Recording a step: what a capture that breaks off is taken for, and what is put back; a stand-in plays the GPU."""

from __future__ import annotations

import contextlib
import functools

import pytest
import torch

from goldmark.training import _graph as graph

NO_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory")
BROKEN = "CUDA error: operation failed due to a previous error during capture (cudaErrorStreamCaptureInvalidated)"


def broken_by(reason):
    """The error that the end of a capture raises while the reason for its failure is on its way."""
    try:
        try:
            raise reason
        finally:
            raise RuntimeError(BROKEN)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NO_MEMORY, True),
        (broken_by(NO_MEMORY), True),
        (broken_by(broken_by(NO_MEMORY)), True),
        (broken_by(TypeError("a number is missing")), False),
        (RuntimeError(f"out of memory, says a text; {BROKEN}"), False),
    ],
)
def test_lack_of_memory_is_told_by_type(error, expected):
    """The error itself, or one behind it, is torch's own; words are not asked, for torch adds some to every error."""
    assert expected == graph.lacks_memory(error)


def test_errors_that_name_each_other_come_to_an_end():
    """A chain of errors that closes on itself is looked at once."""
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert not graph.lacks_memory(first)


class OnDevice(torch.Tensor):
    """A tensor of the CPU that says it is on a GPU."""

    is_cuda = True


class Stream:
    """A stream on which nothing runs."""

    def wait_stream(self, other):
        """Wait for nothing."""


class Recording:
    """A graph that replays nothing."""

    def __init__(self, calls):
        self.calls = calls

    def reset(self):
        """Note that the recording was given up."""
        self.calls.append("reset")

    def replay(self):
        """Note a replayed step."""
        self.calls.append("replay")


@pytest.fixture
def calls(monkeypatch):
    """What the stand-in for a GPU was asked for, in order; the end of a capture raises whatever stopped it."""
    seen = []

    @contextlib.contextmanager
    def capture(recording, pool):
        try:
            yield
        except (TypeError, RuntimeError):
            raise RuntimeError(BROKEN)  # noqa: B904 - torch's own has its reason as its context
        seen.append(f"captured into {pool}")

    for name, answer in {
        "CUDAGraph": lambda: Recording(seen),
        "graph_pool_handle": lambda: (0, 7),
        "current_stream": Stream,
        "Stream": lambda device: seen.append("stream") or Stream(),
        "stream": lambda stream: contextlib.nullcontext(),
        "current_device": lambda: 0,
        "synchronize": lambda: seen.append("synchronize"),
        "graph": capture,
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        left = functools.partial(lambda name, device, pool: seen.append(f"{name} {pool}"), name)
        monkeypatch.setattr(f"torch._C.{name}", left, raising=False)
    graph._side_stream.cache_clear()  # noqa: SLF001
    yield seen
    graph._side_stream.cache_clear()  # noqa: SLF001


GIVEN_UP = ["stream", "reset", "synchronize", "_cuda_endAllocateToPool (0, 7)", "_cuda_releasePool (0, 7)"]


def failing_at(call, error):
    """A step that counts itself in its state, and raises an error at a call of all its calls."""
    state, made = torch.zeros(1).as_subclass(OnDevice), []

    def step():
        made.append(None)
        state.add_(1)
        if len(made) == call:
            raise error

    return step, state


def test_recording_is_replayed_and_the_warm_up_undone(calls):
    """The state is as before the warm-up but for the step that was captured; calls replay."""
    step, state = failing_at(0, None)
    graph.replayed(step, [state])()
    assert (["stream", "captured into (0, 7)", "replay"], 1.0) == (calls, float(state))


def test_all_recordings_are_warmed_up_on_one_stream(calls):
    """For a stream of its own each stack would leave a workspace of cuBLAS behind."""
    for _ in range(3):
        step, state = failing_at(0, None)
        graph.replayed(step, [state])
    assert 1 == calls.count("stream")


def test_capture_without_memory_raises_that_and_leaves_the_pool(calls):
    """The fourth call is the captured one: out of memory there is out of memory, for the stack to be halved."""
    step, state = failing_at(4, NO_MEMORY)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="StreamCapture"):
        graph.replayed(step, [state])
    assert GIVEN_UP == calls


def test_capture_that_fails_otherwise_warns_and_the_step_goes_on(calls):
    """Said with its reason; the state is as before, and the step itself is what is called from then on."""
    step, state = failing_at(4, TypeError("no such operation"))
    with pytest.warns(RuntimeWarning, match="runs without a CUDA graph, and slower: .*StreamCapture"):
        take_step = graph.replayed(step, [state])
    assert (GIVEN_UP, 0.0) == (calls, float(state))
    take_step()
    assert 1.0 == float(state)


def test_pool_that_was_left_already_is_not_released_twice(calls, monkeypatch):
    """Where the capture came to its end and failed later, the allocator raises, and nothing more is asked of it."""

    def raises(device, pool):
        raise RuntimeError("not recording into this pool")

    monkeypatch.setattr("torch._C._cuda_endAllocateToPool", raises, raising=False)
    step, state = failing_at(4, TypeError("no such operation"))
    with pytest.warns(RuntimeWarning):
        graph.replayed(step, [state])
    assert ["stream", "reset", "synchronize"] == calls


def test_on_a_cpu_the_step_is_its_own_recording():
    """Nothing is called, nothing copied."""
    step, _ = failing_at(1, AssertionError("called"))
    assert step is graph.replayed(step, [torch.zeros(1)])
