"""Log files: rows appended to CSV, cut where a run goes on, and never half a row in between."""

from __future__ import annotations

import json

import pytest

from goldmark.runs import append_rows, has_logs, log_sizes, start_logs


def test_first_row_names_the_columns_and_later_ones_may_lack_some(tmp_path):
    """Empty where nothing was measured; a column that nobody knows of is an error, not a shifted row."""
    path = tmp_path / "epochs.csv"
    append_rows(path, [{"epoch": 1, "loss": 0.1, "f1": float("nan")}])
    append_rows(path, [{"epoch": 2, "loss": 1 / 3}, {"epoch": 3, "loss": None, "f1": 0.5}])
    assert "epoch,loss,f1\n1,0.1,nan\n2,0.3333333333333333,\n3,,0.5\n" == path.read_text()
    with pytest.raises(ValueError, match="recall"):
        append_rows(path, [{"epoch": 4, "recall": 1.0}])
    assert path.read_text().endswith("3,,0.5\n")


def test_logs_are_cut_to_where_the_run_stood(tmp_path):
    """Rows of later epochs go, half a row too, and a file that was not there yet; the rest stays to the byte."""
    append_rows(tmp_path / "epochs.csv", [{"epoch": 1}])
    sizes = log_sizes(tmp_path)
    append_rows(tmp_path / "epochs.csv", [{"epoch": 2}])
    with (tmp_path / "epochs.csv").open("a") as file:
        file.write("3")  # killed while it wrote
    append_rows(tmp_path / "gradients.csv", [{"epoch": 2}])
    assert has_logs(tmp_path, sizes)
    start_logs(tmp_path, sizes, {"case": "roast", "best": float("inf")})
    assert "epoch\n1\n" == (tmp_path / "epochs.csv").read_text()
    assert sizes == log_sizes(tmp_path)
    assert {"case": "roast", "best": None} == json.loads((tmp_path / "metadata.json").read_text())


def test_logs_that_end_too_early_are_seen(tmp_path):
    """A file that is shorter than it was, or gone."""
    append_rows(tmp_path / "epochs.csv", [{"epoch": 1}])
    sizes = log_sizes(tmp_path)
    (tmp_path / "epochs.csv").write_text("epoch\n")
    assert not has_logs(tmp_path, sizes)
    (tmp_path / "epochs.csv").unlink()
    assert not has_logs(tmp_path, sizes)
