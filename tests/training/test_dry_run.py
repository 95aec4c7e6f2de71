"""What a CPU can say of steps on a GPU: none waits for the host, mixes devices or goes model by model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch

from goldmark.cases import CASES, case_at
from goldmark.cases.roast import RoastCase
from goldmark.runs import plan_jobs
from goldmark.training import _dry_run as dry_run
from goldmark.training._plan import group_jobs


def shapes(name, scale):
    """Two jobs of every shape of a case."""
    groups = group_jobs(plan_jobs(case_at(name, scale), None, [0, 1], "cpu"))
    return [(group[0], group[-1]) for group in groups]


@pytest.mark.parametrize("name", CASES)
def test_step_of_every_case_can_be_recorded(name):
    """A whole step of the first shape at fast scale, without numbers and with them."""
    dry_run.dry_step(shapes(name, "fast")[0], "meta", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [task for name in CASES for task in shapes(name, "smoke")], ids=lambda task: f"{task[0].variant}"
)
def test_step_of_every_shape_can_be_recorded(task):
    """The same for all shapes of the full matrices."""
    dry_run.dry_step(task, "meta", "cpu")


CHILD = """
import json, sys, torch
from dataclasses import fields
from goldmark.cases import CASES, case_at
from goldmark.training._dry_run import dry_step
from goldmark.runs import plan_jobs
from goldmark.training._plan import group_jobs

def plant(whole, offence):
    class Planted(type(whole)):
        def loss(self, model, data, rows, draws, settings):
            return super().loss(model, data, rows, draws, settings) + offence(data["train_temp_f"])
    return Planted(**{field.name: getattr(whole, field.name) for field in fields(whole)})

def raised(task):
    try:
        dry_step((task[0], task[-1]), "fake gpu")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""

def shapes(case):
    return group_jobs(plan_jobs(case, None, [0, 1], "cpu"))

offences = sys.argv[1:]
if offences:
    roast = case_at("roast", "fast")
    print(json.dumps([raised(shapes(plant(roast, eval(offence)))[0]) for offence in offences]))
else:
    tasks = [(name, task) for name in CASES for task in shapes(case_at(name, "smoke"))]
    print(json.dumps([(name, task[0].variant, raised(task)) for name, task in tasks]))
"""


def on_fake_gpu(*offences):
    """What each shape of every case raises on a fake GPU, or roast with each offence in its loss: in one process."""
    done = subprocess.run([sys.executable, "-c", CHILD, *offences], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


fakes_a_gpu = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11), reason="older torch asks for a driver, or has no place"
)


@pytest.mark.slow
@fakes_a_gpu
def test_losses_of_every_shape_stay_on_the_device():
    """On a fake GPU, where a tensor of the CPU in an operation raises, and so does a copy."""
    whole = [[name, task[0].variant, ""] for name in CASES for task in shapes(name, "smoke")]
    assert whole == on_fake_gpu()


@pytest.mark.slow
@fakes_a_gpu
def test_mixed_devices_are_found():
    """A tensor made on the CPU, one brought over from there, and one brought back."""
    made, brought, back = on_fake_gpu(
        "lambda x: x.mean() * torch.ones(3).mean() * 0 + (x[0] + torch.ones(x.shape[-1])).mean()",
        "lambda x: torch.tensor(1.0, device='cpu').to(x.device)",
        "lambda x: torch.ones((), device=x.device).cpu()",
    )
    assert "devices" in made
    assert "copies between cpu and" in brought
    assert "copies between cpu and" in back


def planted(offence):
    """Two jobs of the roast case, small, with something added to its loss."""

    class Planted(RoastCase):
        def loss(self, model, data, rows, draws, settings):
            return super().loss(model, data, rows, draws, settings) + offence(data["train_temp_f"])

    roast = CASES["roast"]
    small = replace(roast, settings=replace(roast.settings, steps=2, n_train=4, n_val=2, length=12))
    case = Planted(**{field.name: getattr(small, field.name) for field in fields(small)})
    return plan_jobs(case, ["normalized"], [0, 1], "cpu")


def flag(x):
    """Bools that do not depend on the run, so that `vmap` has nothing to say to them."""
    return torch.ones(3) > torch.arange(3)


OFFENCES = {  # what is planted into a loss -> what is said of it
    "a value": (lambda x: torch.ones(()).item(), "_local_scalar_dense.default makes the host wait"),
    "a branch": (lambda x: 1.0 if flag(x).any() else 0.0, "makes the host wait"),
    "nonzero": (lambda x: torch.nonzero(flag(x)).sum(), "nonzero.default makes the host wait"),
    "masked_select": (lambda x: torch.ones(3).masked_select(flag(x)).sum(), "masked_select.default makes the host"),
    "bool index": (lambda x: torch.ones(3)[flag(x)].sum(), "indexes by bools"),
    "bool assignment": (lambda x: assigned(torch.ones(3), flag(x)), "indexes by bools"),
    "copy": (lambda x: len(torch.ones(3).to("meta")), "copies between cpu and meta"),
    "no rule": (lambda x: x.take(torch.tensor([0])).sum() * 0, "aten::take hit the vmap fallback"),
}


def assigned(x, index):
    """Write where an index of bools says."""
    x[index] = torch.zeros(1)
    return x.sum()


@pytest.mark.parametrize("offence", OFFENCES)
def test_planted_offences_are_found(offence):
    """Each is named as what it is; the same loss with nothing planted passes."""
    plant, message = OFFENCES[offence]
    with pytest.raises(RuntimeError, match=message):
        dry_run.dry_step(planted(plant), "cpu")


def test_nothing_planted_is_nothing_found():
    """Where, and indexing by rows, are as they should be."""
    dry_run.dry_step(planted(lambda x: torch.where(flag(x), x[0, :3], 0.0).sum() * 0), "cpu")
    assert torch._C._functorch._is_vmap_fallback_enabled()  # noqa: SLF001 - as it was
