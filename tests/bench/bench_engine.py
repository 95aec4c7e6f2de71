"""The speed of training: stacks beside the plain loop, one process beside two.

One thread a process. CPU at fast scale with groups of 16; a GPU, where there is one, at full scale.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases import CASES, case_at
from goldmark.runs import Job, plan_jobs
from goldmark.training import train
from goldmark.training._plan import group_jobs
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked

GROUP = 16  # runs
ENGINES = {"single": lambda jobs: [train_single(job) for job in jobs], "stacked": train_stacked}
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")


def fixed_jobs(case, device):
    """Sixteen seeds of the case's fixed variant."""
    fixed = next(variant.name for variant in case.variants if variant.role == "fixed")
    return [Job(case, fixed, seed, device) for seed in range(GROUP)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_sixteen_runs_at_fast_scale(benchmark, name, engine):
    """The fixed variant: what `Case.stacks_on_cpu` is set by."""
    benchmark.group = f"{name}, {GROUP} runs at fast scale, CPU"
    jobs = fixed_jobs(CASES[name], "cpu")
    train_stacked(jobs[:2])
    benchmark.pedantic(ENGINES[engine], (jobs,), rounds=3)


@on_gpu
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_largest_group_at_full_scale(benchmark, name, engine):
    """Sixteen runs of the shape that most runs of the full matrix have."""
    benchmark.group = f"{name}, {GROUP} runs at full scale, GPU"
    jobs = max(group_jobs(plan_jobs(case_at(name, "full"), None, range(GROUP), "cuda")), key=len)[:GROUP]
    train_stacked(jobs[:2])
    benchmark.pedantic(ENGINES[engine], (jobs,), rounds=1)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes(benchmark, processes):
    """Sixty-four runs of the expansion case, one by one in each process: two cores should give 1.7 times one."""
    benchmark.group = "64 runs, processes"
    case = replace(CASES["expansion"], stacks_on_cpu=False)
    train(case, ["normalized_countdown"], range(2), jobs=2)  # starts the fork server
    benchmark.pedantic(train, (case, ["normalized_countdown"], range(64)), {"jobs": processes}, rounds=3)
