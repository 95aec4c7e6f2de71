"""On a GPU: every shape of the full matrices trains, and what is trained is what the other ways of training it give."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases import CASES, case_at
from goldmark.runs import Job, plan_jobs, stored_runs
from goldmark.training import _graph as graph
from goldmark.training import _stacked as stacked
from goldmark.training import _tasks as tasks
from goldmark.training import draws
from goldmark.training._matrix import train_matrix
from goldmark.training._plan import group_jobs, miniature
from goldmark.training._single import train_single
from goldmark.training.attention import causal_attention

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")]


def shapes():
    """Two jobs of every shape in miniature; none where there is no GPU, for it takes a second to list them."""
    names = CASES if torch.cuda.is_available() else ()
    return [
        task for name in names for task in miniature(group_jobs(plan_jobs(case_at(name, "smoke"), None, None, "cuda")))
    ]


@pytest.fixture
def beside_eager(monkeypatch):
    """Record steps, and keep the state after the first one beside what the same step left when it was not recorded."""
    pairs = []

    def replayed(step, state):
        before = [tensor.detach().clone() for tensor in state]
        step()
        eager = [tensor.detach().clone() for tensor in state]
        graph._restore(state, before)  # noqa: SLF001
        replay, recorded = graph.replayed(step, state), []

        def take_step():
            replay()
            if not recorded:
                recorded.append(True)
                pairs.extend(zip(eager, [tensor.detach().clone() for tensor in state], strict=True))

        return take_step

    monkeypatch.setattr(stacked, "replayed", replayed)
    return pairs


@pytest.mark.parametrize("task", shapes(), ids=lambda task: f"{task[0].case.name}-{task[0].variant}")
def test_every_shape_trains_and_its_recording_is_the_step(task, beside_eager):
    """Finite losses, no warning (those are errors here), and after a step the state that the step itself leaves.

    To a thousandth of each tensor's largest entry: sums by atomic operations differ in order from one launch to the
    next, and the first step of Adam divides small gradients by themselves.
    """
    runs = stacked.train_stacked(task)
    assert all(torch.tensor([row["train_loss"] for row in run.history]).isfinite().all() for run in runs)
    assert beside_eager
    for eager, recorded in beside_eager:
        scale = float(eager.double().abs().max())
        assert float((eager.double() - recorded.double()).abs().max()) <= 1e-3 * scale


def shortened(name, device, dtype="float64", seeds=3):
    """The fixed variant of a case at fast scale, cut to six steps."""
    case = CASES[name]
    case = replace(case, variants=tuple(replace(v, changes={**v.changes, "steps": 6}) for v in case.variants))
    fixed = next(variant.name for variant in case.variants if variant.role == "fixed")
    return [Job(case, fixed, seed, device, dtype) for seed in range(seeds)]


def largest_difference(run, other):
    """The largest relative difference between two histories; below .1 absolute, for skills are differences near 0."""
    pairs = [(row[name], its[name]) for row, its in zip(run.history, other.history, strict=True) for name in row | its]
    return max(0.0 if a == b else abs(a - b) / max(abs(a), 0.1) for a, b in pairs)


@pytest.mark.parametrize("name", CASES)
def test_stack_is_the_plain_loop(name):
    """In float64: equal streams and recipes, histories to 1e-9, as on a CPU."""
    jobs = shortened(name, "cuda")
    for run, alone in zip(stacked.train_stacked(jobs), map(train_single, jobs), strict=True):
        assert (alone.stream, alone.exact) == (run.stream, run.exact)
        assert largest_difference(alone, run) < 1e-9


@pytest.mark.parametrize("name", CASES)
def test_gpu_is_the_cpu(name):
    """In float64: equal streams; histories to 1e-7, for normal draws differ by an ulp, which six steps make more of."""
    [there], [here] = (stacked.train_stacked(shortened(name, device, seeds=1)) for device in ("cuda", "cpu"))
    assert (here.stream, here.exact) == (there.stream, there.exact)
    assert largest_difference(here, there) < 1e-7


def test_draws_are_the_same_bits():
    """Integers, uniforms, orders and what dropout keeps, alone and in a stack; normals to rounding."""
    keys, share = draws.step_key(torch.arange(3), 5), torch.tensor(0.3, dtype=torch.float64)
    for draw in (
        lambda k: draws.bits(k, 1000),
        lambda k: draws.uniform(k, (7, 11)),
        lambda k: draws.permutation(k, 1000),
        lambda k: torch.func.vmap(lambda one: draws.Draws(one).kept("site", (5, 13), share.to(k.device)))(k),
    ):
        assert torch.equal(draw(keys), draw(keys.cuda()).cpu())
    here, there = draws.normal(keys, (1000,)), draws.normal(keys.cuda(), (1000,)).cpu()
    torch.testing.assert_close(here, there, rtol=1e-12, atol=1e-12)


def test_dropout_of_a_stack_is_that_of_the_cpu():
    """By a kernel on the GPU, by torch's operations on the CPU: the same bits, forward and backward."""
    keys, shares = draws.step_key(torch.arange(3), 5), torch.tensor([0.1, 0.3, 0.75], dtype=torch.float64)
    x = torch.randn(3, 5, 13)
    sides = []
    for device in ("cpu", "cuda"):
        own = x.to(device).requires_grad_()
        kept = torch.func.vmap(lambda k, one, p: draws.Draws(k).dropped("site", one, p))(
            keys.to(device), own, shares.to(device)
        )
        sides.append([t.cpu() for t in (kept, *torch.autograd.grad(kept.square().sum(), [own]))])
    for here, there in zip(*sides, strict=True):
        assert torch.equal(here, there)


def test_causal_attention_of_a_stack_is_that_of_the_cpu():
    """By kernels in blocks of queries on the GPU, whole on the CPU: the same weights dropped, forward and backward."""
    keys, shares = draws.step_key(torch.arange(3), 5), torch.tensor([0.1, 0.3, 0.75], dtype=torch.float64)
    tensors = [torch.randn(3, 1, 2, 799, 16, dtype=torch.float64) for _ in range(3)]
    sides = []
    for device in ("cpu", "cuda"):
        own = [tensor.to(device).requires_grad_() for tensor in tensors]
        mask = torch.full((799, 799), -torch.inf, dtype=torch.float64, device=device).triu(1)
        dropout = draws.Dropout(0.5, "site")

        def attend(key, p, *of_run, mask=mask, dropout=dropout):
            dropout.p = p
            return causal_attention(*of_run, mask, dropout, draws.Draws(key))

        attended = torch.func.vmap(attend)(keys.to(device), shares.to(device), *own)
        sides.append([t.cpu() for t in (attended, *torch.autograd.grad(attended.square().sum(), own))])
    for here, there in zip(*sides, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-9, atol=1e-9)


@pytest.fixture
def limited():
    """Set how much memory this process may take, until the end of the test."""
    total = torch.cuda.get_device_properties(0).total_memory

    def limit(n_bytes):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, n_bytes / total))

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)


def peak_of(jobs):
    """The memory that a stack takes at most."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    stacked.train_stacked(jobs)
    return torch.cuda.max_memory_reserved()


def test_stack_that_does_not_fit_is_halved(limited):
    """Memory for less than sixteen runs and more than four: all sixteen are trained, in order."""
    case = case_at("roast", "smoke")
    jobs = tuple(plan_jobs(case, ["recovery_micro_normalized"], range(16), "cuda"))
    limited((peak_of(jobs[:4]) + peak_of(jobs)) / 2)
    runs = tasks.train_task(jobs)
    assert list(range(16)) == [run.seed for run in runs]


def test_matrix_goes_on_where_it_stopped(tmp_path):
    """Two runs, then two more: the first are kept, and not as those of a CPU."""
    case = case_at("roast", "smoke")
    for n, kept in ((1, 0), (2, 2), (2, 4)):
        jobs = plan_jobs(case, ["recovery_micro_normalized", "recovery_micro_raw"], range(n), "cuda")
        progress, pending = stored_runs(tmp_path, jobs)
        train_matrix(tmp_path, pending, progress, machines="here", processes=1, on_run=lambda run: None)
        assert (kept, {}, 2 * n) == (progress.kept, progress.outdated, len(progress.runs))
    progress, _ = stored_runs(tmp_path, [replace(job, device="cpu") for job in jobs])
    assert {"other device": 4} == progress.outdated
