"""What the commands say of themselves, word for word: syrupy holds the texts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from goldmark.cli import program

GROUP = program.commands["golden"]
COMMANDS = [[], *([name] for name in program.commands), *(["golden", name] for name in GROUP.commands)]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(["goldmark", *arguments]))
def test_help_of_every_command(arguments, snapshot):
    """Options, defaults, exit statuses, and examples that start with the program's name."""
    done = CliRunner(env={"COLUMNS": "100"}).invoke(program, [*arguments, "--help"], prog_name="goldmark")
    assert 0 == done.exit_code
    assert f"  goldmark {' '.join(arguments)}".rstrip() in done.output
    assert snapshot == done.output


def test_help_gives_examples():
    """Each command tells how it is used."""
    for arguments in ([], ["run"], ["list"], ["golden"], ["golden", "update"], ["golden", "confirm"]):
        done = CliRunner().invoke(program, [*arguments, "--help"])
        assert 0 == done.exit_code
        assert "goldmark " in done.output
