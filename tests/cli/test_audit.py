"""`goldmark audit`: a table, JSON and Markdown of the same rows, the same on every call."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from goldmark.audit import Statement, computed
from goldmark.cli import program

ROWS = (
    Statement(
        name="ratio",
        source="record, results",
        says="the ratio is | 2",
        documented=2.0,
        why="halves",
        parts=(computed("ratio", lambda: 2.005, near=2.0),),
    ),
    Statement(name="later", source="record, plans", says="attention gains", why="no such run"),
)


@pytest.fixture
def roast_says(monkeypatch):
    """The record of roast has two statements that need no training."""
    monkeypatch.setattr("goldmark.audit.roast.STATEMENTS", ROWS)


@pytest.fixture
def audited(roast_says, tmp_path):
    """What the command printed and wrote for these two statements."""
    files = tmp_path / "audit.json", tmp_path / "audit.md"
    done = CliRunner().invoke(program, ["audit", "roast", "--json", str(files[0]), "--markdown", str(files[1])])
    assert (0, None) == (done.exit_code, done.exception), done.output
    return done.output, *(file.read_text() for file in files)


def test_rows_are_written_with_number_verdict_and_reason(audited):
    """The JSON file holds the seven fields of every statement."""
    first, second = json.loads(audited[1])["statements"]
    assert first == {
        "case": "roast",
        "source": "record, results",
        "statement": "the ratio is | 2",
        "documented": 2.0,
        "measured": 2.005,
        "verdict": "confirmed",
        "why": "ratio: 2.005, asked for 1.98 to 2.02 (computed): halves",
    }
    assert (None, None, "not testable here") == tuple(second[key] for key in ("documented", "measured", "verdict"))


def test_counts_stand_at_the_foot(audited):
    """Terminal and Markdown end with how many statements have which verdict."""
    foot = "2 statements: 1 confirmed, 0 refuted, 0 partly, 1 not testable here"
    assert [foot, foot] == [audited[0].splitlines()[-1], audited[2].splitlines()[-1]]


def test_markdown_has_a_row_a_statement(audited):
    """A bar within a cell is escaped, so that every row has seven cells."""
    assert audited[2].splitlines()[2].startswith("| roast | record, results | the ratio is \\| 2 | 2 | 2 | confirmed |")


def test_same_bytes_on_every_call(roast_says, tmp_path):
    """No time, no order of a set: two calls write equal files."""
    files = [tmp_path / name for name in ("a.json", "b.json")]
    for file in files:
        CliRunner().invoke(program, ["audit", "roast", "--json", str(file)])
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "the catalogue has no case 'nope'; it has: roast, eeg, expansion, poetry"),
        (["roast", "--markdown", "none/a.md"], "--markdown none/a.md: there is no folder"),
    ],
)
def test_wrong_use_is_one_line(arguments, message):
    """An unknown case and a folder that is not there are told before anything is trained."""
    done = CliRunner().invoke(program, ["audit", *arguments])
    assert (2, True) == (done.exit_code, message in done.output), done.output
