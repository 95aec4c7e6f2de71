"""A user's bars and spans: what is read, what is refused, and the case on them."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from goldmark.case import UsageError
from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.bars import LABEL_GAP, window_starts
from goldmark.cases.expansion.data import countdown_bars
from goldmark.cases.expansion.market import read_market
from goldmark.cases.expansion.terms import huber
from goldmark.checks import check_target_scale
from goldmark.cli import program
from goldmark.fingerprint import sha256
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training.draws import initial_weights

REAL = os.environ.get("GOLDMARK_MARKET_BARS")  # a file of measured bars, where one is at hand


@pytest.fixture
def bars_file(bar_lines, write):
    """A file of the made market."""
    return write("bars.csv", bar_lines)


@pytest.fixture
def spans_file(span_lines, write):
    """A file of the spans planted in it."""
    return write("spans.csv", span_lines)


@pytest.fixture
def measured(bars_file):
    """Measured bars where there are some, else those of the made market."""
    return Path(REAL) if REAL else bars_file


def test_bars_are_read_as_written_and_labelled_by_the_rule(bars_file, made_market):
    """Every price of every bar, and the planted spans without a file that names them."""
    market = read_market(bars_file)
    # files have six digits after the point
    torch.testing.assert_close(torch.tensor(market.bars, dtype=torch.float64), made_market.bars, rtol=0, atol=1e-6)
    assert made_market.spans == market.spans


def test_spans_of_a_file_take_the_place_of_the_rule(bars_file, span_lines, times, write, made_market):
    """In any order, with their own types; a span may have one bar, and the last one may end the file."""
    further = [f"{times[30]},{times[30]},gap", f"{times[-2]},{times[-1]},up"]
    spans = read_market(bars_file, write("spans.csv", [span_lines[0], *reversed(span_lines[1:]), *further])).spans
    assert (30, 30, "gap") == (spans[0].first, spans[0].last, spans[0].kind)
    assert made_market.spans == spans[1:-1]
    assert (len(times) - 2, len(times) - 1, "up") == (spans[-1].first, spans[-1].last, spans[-1].kind)


def test_columns_stand_in_any_order_beside_others(bar_lines, write):
    """Names in any case, quotes, spaces, zones, a byte order mark and empty lines change nothing."""
    rows = [line.split(",") for line in bar_lines]
    moved = [f'7,"{close}", {low},{high},{opened},{time}+00:00' for time, opened, high, low, close in rows[1:]]
    path = write("moved.csv", ["\ufeffVolume,Close,Low,High,Open,Time", *moved[:9], "", *moved[9:]])
    assert read_market(write("bars.csv", bar_lines)) == read_market(path)


def cell(number, column, text):
    """What puts a text into the cell of a column, by place, in a line by its number in the file."""

    def spoil(lines):
        cells = lines[number - 1].split(",")
        cells[column] = text
        return [*lines[: number - 1], ",".join(cells), *lines[number:]]

    return spoil


BAD_BARS = [
    ("no column", lambda lines: ["time,open,top,low,close", *lines[1:]], ":1: column 'high' is missing; the"),
    ("no header", lambda lines: lines[1:], ":1: column 'time' is missing; the header has: 2024"),
    ("column twice", lambda lines: ["time,open,high,low,low,close", *lines[1:]], ":1: column 'low' stands more"),
    ("word", cell(5, 2, "high"), ":5: column 'high' is 'high'; a finite price is expected"),
    ("NaN", cell(6, 4, "NaN"), ":6: column 'close' is 'NaN'; a finite"),
    ("infinite", cell(6, 2, "inf"), ":6: column 'high' is 'inf'; a finite"),
    ("huge", cell(6, 2, "1e300"), ":6: column 'high' is '1e300'; a finite"),
    ("empty cell", cell(7, 1, ""), ":7: column 'open' is ''; a finite"),
    ("high below low", cell(8, 2, "1.5"), r":8: high 1\.5 is below low "),
    ("open outside", cell(9, 1, "1.5"), r":9: open 1\.5 is outside its bar, from low "),
    ("close outside", cell(9, 4, "1e6"), r":9: close 1000000\.0 is outside its bar, from low "),
    ("earlier", cell(9, 0, "2023-12-31"), ":9: time 2023-12-31 is earlier than the bar before, 2024-01-01 06"),
    ("twice", cell(9, 0, "2024-01-01T06:00Z"), ":9: time 2024-01-01T06:00Z is that of the bar before, 2024-01-01 06"),
    ("no time", cell(4, 0, "noon"), ":4: column 'time' is 'noon'; a time such as 2024-01-31 09:00:00 is expected"),
    ("end of time", cell(4, 0, "9999-12-31T23:59-23:00"), ":4: column 'time' is '9999"),
    ("short row", lambda lines: [*lines[:3], "2024-01-01", *lines[4:]], ":4: 1 cells in a row; the header has 5"),
    ("open quote", lambda lines: [*lines[:-1], '"2024'], r":1241: not CSV that can be read \(unexpected end of data\)"),
    ("few", lambda lines: lines[:21], ": 20 bars; features look 20 bars back, more than that are needed"),
    ("few for a window", lambda lines: lines[:80], ": 79 bars; a window of 72 with 20 before it needs 92"),
    ("few spans", lambda lines: lines[:500], ": 6 of 6 spans stand alone in a window of 72 bars"),
    ("empty", lambda lines: [], ": empty; a CSV of market bars: time, open, high, low, close is expected"),
]


@pytest.mark.parametrize(("kind", "spoil", "message"), BAD_BARS, ids=[kind for kind, *_ in BAD_BARS])
def test_bad_bars_are_answered_with_file_and_line(bar_lines, write, kind, spoil, message):
    """One clear line: the file, the line's number, the value, what would be right."""
    path = write("bars.csv", spoil(bar_lines))
    with pytest.raises(UsageError, match=message) as error:
        CASE.on_file(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


BAD_SPANS = [
    ("no column", lambda lines: ["start,end,direction", *lines[1:]], ":1: column 'type' is missing; the"),
    ("no bar", cell(3, 0, "2024-01-05 00:30:00"), ":3: start 2024-01-05 00:30:00 is the time of no bar in .*bars.csv"),
    ("after the bars", cell(3, 1, "2034-01-05"), ":3: end 2034-01-05 is the time of no bar in .*bars.csv"),
    ("no time", cell(3, 1, "12"), ":3: column 'end' is '12'; a time such as"),
    ("backwards", cell(4, 1, "2024-01-02"), ":4: end 2024-01-02 is before start 2024-01-09"),
    (
        "overlap",
        lambda lines: [*lines, ",".join([lines[3].split(",")[1]] * 2 + ["up"])],
        r":17: this span overlaps that of .*spans.csv:4; each bar is in one",
    ),
    ("no type", cell(5, 2, ""), ":5: column 'type' is empty; a word is expected"),
    ("four types", lambda lines: cell(9, 2, "x")(cell(5, 2, "y")(lines)), ":9: type 'x' is one too many; 3 are told"),
    ("no CSV", lambda lines: [*lines, '"a" b,c,d'], r":17: not CSV that can be read"),
]


@pytest.mark.parametrize(("kind", "spoil", "message"), BAD_SPANS, ids=[kind for kind, *_ in BAD_SPANS])
def test_bad_spans_are_answered_with_file_and_line(bars_file, span_lines, write, kind, spoil, message):
    """One clear line: the file of spans, the line's number, the value, what would be right."""
    path = write("spans.csv", spoil(span_lines))
    with pytest.raises(UsageError, match=message) as error:
        CASE.on_file(bars_file, {"spans": path})
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_few_spans_and_unknown_files_are_refused(bars_file, span_lines, write, tmp_path):
    """A file of too few spans is named with the bars; so are a missing one, one of bytes, and one of no known name."""
    with pytest.raises(UsageError, match=r"bars.csv: 0 of 0 spans stand alone"):
        CASE.on_file(bars_file, {"spans": write("none.csv", span_lines[:1])})
    with pytest.raises(UsageError, match=r"spans.csv: cannot be read \(No such file or directory\); give a CSV of exp"):
        CASE.on_file(bars_file, {"spans": tmp_path / "spans.csv"})
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"bytes.csv: cannot be read \(it is not UTF-8 text\); give a CSV of market"):
        CASE.on_file(tmp_path / "bytes.csv")
    with pytest.raises(UsageError, match="case 'expansion' takes no further file 'labels'; it takes: spans"):
        CASE.on_file(bars_file, {"labels": bars_file})


def test_bad_file_exits_2_with_one_line_and_writes_nothing(bar_lines, write, tmp_path):
    """On the command line, too."""
    path = write("bars.csv", cell(5, 2, "high")(bar_lines))
    done = CliRunner().invoke(program, ["run", "expansion", "--data", str(path), "--json", str(tmp_path / "out.json")])
    assert 2 == done.exit_code
    assert f"{path}:5: column 'high' is 'high'; a finite price is expected" in " ".join(done.output.split())
    assert [path] == list(tmp_path.iterdir())


def test_measured_case_is_the_case_on_other_data(bars_file, spans_file):
    """A file changes the data, their hash and the features of a bar alone, and the case can be sent elsewhere."""
    case, spanned = CASE.on_file(bars_file), CASE.on_file(bars_file, {"spans": spans_file})
    assert (replace(CASE.settings, features=12), CASE.variants) == (case.settings, case.variants)
    content = [sha256(path.read_bytes()) for path in (bars_file, spans_file)]
    assert (content[0], sha256("".join(content).encode())) == (case.data_source, spanned.data_source)
    sent = pickle.loads(pickle.dumps(replace(case, claims=())))  # noqa: S301 - our own bytes
    here, there, other_seed = (each.make_data(each.settings, seed) for each, seed in ((case, 0), (sent, 0), (case, 1)))
    for name in here:
        assert torch.equal(here[name], there[name]), name
        assert torch.equal(here[name], other_seed[name]), name


def test_windows_of_both_halves_keep_apart(measured):
    """On measured bars: names and kinds of generated data, a fifth validates, and no bar is seen from both halves."""
    case = CASE.on_file(measured)
    data = case.make_data(case.settings, 0)
    generated = CASE.make_data(CASE.settings, 0)
    assert {"feature_mean", "feature_sd"} == data.keys() - generated.keys()
    for name, tensor in generated.items():
        assert (tensor.dtype, tensor.ndim) == (data[name].dtype, data[name].ndim), name
    placed = window_starts(case.market.spans, len(case.market.bars), case.settings.bars)
    n_train, n_val = len(data["train_kind"]), len(data["val_kind"])
    assert round(0.2 * len(placed)) == n_val
    starts = sorted(start for start, _ in placed)
    assert starts[n_train - 1] + case.settings.bars + LABEL_GAP <= starts[-n_val]
    assert all(data[f"{half}_span"].sum(dim=1).min() >= 1 for half in ("train", "val"))


def test_measured_bars_train(measured):
    """The real path: a few steps, every declared metric finite, a model of as many inputs as a bar has features."""
    case = CASE.on_file(measured)
    run = train_single(Job(replace(case, settings=replace(case.settings, steps=4)), "clipped_countdown", 0))
    assert all(torch.tensor(list(run.metrics.values())).isfinite())
    assert (case.data_source, 12) == (run.data, run.exact["recipe"]["features"])
    model = case.make_model(case.settings, case.make_data(case.settings, 0))
    assert 12 == model.lstm.input_size


def test_claims_on_any_data_hold_for_any_labels():
    """Of a span that starts anywhere in 72 bars: delta 10 takes 7 times, and the labels lie 15.8 bars off zero."""
    assert {"countdown_out_of_reach", "delta_10_multiplies_the_loss"} == {c.name for c in CASE.claims if c.any_data}
    countdown = countdown_bars(torch.arange(72), 72)
    zero = torch.zeros(72, dtype=torch.float64)
    ratios = [float(huber(zero, row, 10.0) / huber(zero, row, 1.0)) for row in countdown]
    assert min(ratios) > 7
    assert countdown.square().mean(dim=1).sqrt().min() > 15.8


def test_countdown_is_out_of_reach_whatever_the_features(made_market, bars_file):
    """A fresh model answers within a few bars of 0 to features of any size: targets in bars are out of its reach."""
    case = CASE.on_file(bars_file)
    data = case.make_data(case.settings, 0)
    jumps = torch.where(torch.arange(72)[:, None] % 18 < 9, 1.0, -1.0)
    for seed in range(0, 16, 3):
        with initial_weights(seed):
            model = case.make_model(case.settings, data)
        for size in (1.0, 1e4):
            answers = model(data["train_features"].float() + size * jumps).countdown.detach()
            assert check_target_scale(answers, data["train_countdown"]).numbers["distance"] > 13
            assert answers.std() < 1
