"""The table of costs: complete for the catalogue, equal to what is counted now, and used for nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from goldmark.cases import CASES, case_at
from goldmark.cases.costs import first_jobs
from goldmark.cases.roast import RoastCase
from goldmark.runs import Job, plan_jobs
from goldmark.training import _cost_table as table

CHEAP = {"roast": "recovery_micro_normalized", "eeg": "aggressive", "poetry": "narrow"}  # half a second each


def full_job(name, variant=None):
    """The first run of a variant, or of the first variant, of a case's full matrix."""
    return plan_jobs(case_at(name, "full"), [variant] if variant else None, [0], "cpu")[0]


def test_every_shape_is_known():
    """Plans, stacks and the answer where there is no GPU wait for no counting; else: python -m goldmark.cases.costs."""
    unknown = [f"{job.case.scale} {job.case.name}/{job.variant}" for job in first_jobs() if not table.known_cost(job)]
    assert [] == unknown, "count them: python -m goldmark.cases.costs"


@pytest.mark.parametrize("name", CHEAP)
def test_known_cost_is_the_counted_one(name):
    """Of one shape of a case; more of them are counted again among the slow tests."""
    job = full_job(name, CHEAP[name])
    assert table.counted_cost(job) == table.known_cost(job)


@pytest.mark.slow
@pytest.mark.parametrize("job", first_jobs()[::5], ids=lambda job: f"{job.case.scale}-{job.case.name}-{job.variant}")
def test_known_costs_of_all_scales_are_the_counted_ones(job):
    """One shape in five."""
    assert table.counted_cost(job) == table.known_cost(job)


class OtherRoast(RoastCase):
    """The case with some other loss, say."""


def test_changed_settings_class_and_code_are_not_known(monkeypatch):
    """Another width, another class or another file beside the case's: the old cost is not found."""
    job = full_job("roast")
    assert table.known_cost(job)
    wider = replace(job.case, settings=replace(job.case.settings, width=512))
    assert not table.known_cost(replace(job, case=wider))
    other = OtherRoast(**{field.name: getattr(job.case, field.name) for field in fields(job.case)})
    assert not table.known_cost(replace(job, case=other))
    monkeypatch.setattr(table, "_hash_of", lambda files: "of other files")
    assert not table.known_cost(job)


def test_seeds_devices_and_variants_of_one_shape_share_a_cost():
    """What a stack holds costs the same run by run."""
    job = full_job("roast")
    alike = [replace(job, seed=3), replace(job, device="cuda"), full_job("roast", "first_sinusoidal_raw")]
    assert {table.known_cost(job)} == {table.known_cost(other) for other in alike}


def test_table_is_written_as_it_is_read(tmp_path, monkeypatch):
    """What is known is kept, what is not is counted, and what nobody asks for is left out."""
    known, new = full_job("roast"), Job(replace(CASES["eeg"], name="new"), "mixup", 0)
    expected = table.known_cost(known), table.counted_cost(new)
    monkeypatch.setattr(table, "TABLE", tmp_path / "costs.json")
    monkeypatch.setattr(table, "counted_cost", lambda job: expected[job.case.name == "new"])
    table.write_table([known, new])
    monkeypatch.setattr(table, "counted_cost", None)
    assert expected == (table.known_cost(known), table.known_cost(new))
    table.write_table([known])
    assert (expected[0], None) == (table.known_cost(known), table.known_cost(new))
