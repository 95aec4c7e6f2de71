"""What commands print, line by line."""

from __future__ import annotations


def only_line(output, text):
    """The one line of an output that holds a text."""
    lines = [line for line in output.splitlines() if text in line]
    assert len(lines) == 1, f"{len(lines)} lines hold {text!r}:\n{output}"
    return lines[0]
