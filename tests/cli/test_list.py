"""`goldmark list`: what is printed of the whole catalogue."""

from __future__ import annotations

from statistics import stdev

from cli.printed import only_line
from click.testing import CliRunner

from goldmark.cases import CASES
from goldmark.cli import program
from goldmark.golden._files.folder import find_golden


def test_list_shows_every_case_variant_and_claim():
    """Names and sources of the whole catalogue."""
    done = CliRunner().invoke(program, ["list"], env={"COLUMNS": "250"}, catch_exceptions=False)
    assert 0 == done.exit_code
    for case in CASES.values():
        for name in [case.name, *(v.name for v in case.variants), *(c.name for c in case.claims)]:
            assert name in done.output


def test_list_shows_how_far_every_limit_is_from_the_worst_seed(pytestconfig, monkeypatch):
    """The worst seed of the approved runs and its distance from the limit in sd; nothing without goldens."""
    folder = pytestconfig.rootpath / "golden"
    values = list(find_golden(folder, "roast/normalized").statistical["skill_vs_mean"].values.values())
    monkeypatch.chdir(folder)  # whose project is the one around it
    done = CliRunner().invoke(program, ["list", "roast"], env={"COLUMNS": "300"}, catch_exceptions=False)
    row = only_line(done.output, "skill_vs_mean of 'normalized', every seed")
    cells = [cell.strip() for cell in row.split("│")[3:6]]
    distance = (min(values) - 0.2) / stdev(values)
    assert [">= 0.2", f"{min(values):.3g}", f"{distance:.3g}"] == cells
    done = CliRunner().invoke(program, ["list", "roast", "--golden-dir", "none"], env={"COLUMNS": "300"})
    row = only_line(done.output, "skill_vs_mean of 'normalized', every seed")
    assert [">= 0.2", "", ""] == [cell.strip() for cell in row.split("│")[3:6]]
