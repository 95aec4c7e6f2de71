"""The file format: what is written comes back, and nothing that cannot be trusted is read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldmark.case import UsageError
from goldmark.fingerprint import sha256
from goldmark.golden._files.entries import BadGolden, Close, Golden, Provenance, Result, Statistical
from goldmark.golden._files.folder import golden_path
from goldmark.golden._files.format import dump, from_bytes, read, to_bytes
from goldmark.golden._record.entry import golden_from


def entry(**changes):
    """Return a guarded metric over five seeds."""
    values = {str(seed): 1.0 + seed / 7 for seed in range(5)}
    guard_values = {seed: value + 3 for seed, value in values.items()}
    guarded = Statistical(
        values=values,
        scale="log",
        margin=0.02,
        alpha=1e-3,
        test="t",
        better="lower",
        guard="raw",
        guard_values=guard_values,
        first_values=None,
        sd=0.1,
        detectable=0.3,
        effect=1.2,
    )
    return replace(guarded, **changes)


def shown(**changes):
    """Return a metric that is only shown."""
    return entry(margin=None, guard=None, guard_values=None, effect=None, **changes)


@pytest.fixture
def golden():
    """A golden that uses every field."""
    provenance = Provenance(
        date="2026-01-02",
        reason="first",
        commit=None,
        versions={"torch": "2.13.0"},
        fingerprint={"device": "cpu"},
        sources={"a.py": "12"},
    )
    return Golden(
        name="roast/normalized",
        exact={"n": 3, "recipe": {"lr": 0.1, "clip": None, "amsgrad": False}, "shapes": [[1, 2], []]},
        close={"shares": Close([0.1, 1e-300, 1 / 3]), "trace": Close({"a": 1.0, "b": [2.0]}, rel=1e-6)},
        statistical={"rmse": entry(), "loss": shown(values={"0": 1.0, "1": math.nan})},
        stream={"0": "abc", "1": "def"},
        provenance=(provenance, replace(provenance, commit="1234", reason="second")),
    )


def resealed(document):
    """Return a document as a file whose seal is right, so that what lies behind the seal is looked at."""
    entries = {key: value for key, value in document.items() if key != "seal"}
    canonical = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return json.dumps({**entries, "seal": sha256(canonical.encode())}).encode()


def test_what_is_written_is_read_back(golden):
    """Every field survives, floats to the last bit, NaN of a metric that is only shown as NaN."""
    stored = from_bytes(to_bytes(golden), "x.json")
    assert math.isnan(stored.statistical["loss"].values["1"])
    assert to_bytes(golden) == to_bytes(stored)
    assert (golden.exact, golden.close, golden.provenance) == (stored.exact, stored.close, stored.provenance)
    assert golden.statistical["rmse"] == stored.statistical["rmse"]


@settings(max_examples=40)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5), st.integers(), st.text())
def test_any_finite_number_and_any_text_come_back(numbers, integer, text):
    """Full precision for all of float64, integers of any size, and text with any character."""
    golden = Golden(name="a", exact={"integer": integer, "text": text}, close={"numbers": Close(numbers)})
    assert golden == from_bytes(to_bytes(golden), "x.json")


def test_a_file_reads_well_in_a_diff(golden):
    """Keys are sorted, an entry has its own line, a list of numbers stays on one, and the last line ends."""
    lines = to_bytes(golden).decode().split("\n")
    assert '      "value": [0.1, 1e-300, 0.3333333333333333]' in lines
    assert '        "0": 1.0,' in lines
    assert [line for line in lines if line.startswith('  "')] == sorted(
        line for line in lines if line.startswith('  "')
    )
    assert lines[-1] == ""


def test_the_order_of_entries_does_not_change_the_bytes(golden):
    """Two dicts with the same entries are one golden."""
    backwards = replace(golden, exact=dict(reversed(golden.exact.items())))
    assert to_bytes(golden) == to_bytes(backwards)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_not_written(golden, number):
    """In no tier; the message names the entry."""
    with pytest.raises(UsageError, match=r"roast/normalized\.exact\.recipe\.lr"):
        to_bytes(replace(golden, exact={"recipe": {"lr": number}}))
    with pytest.raises(UsageError, match=r"close\.shares\.value\[1\]"):
        to_bytes(replace(golden, close={"shares": Close([0.1, number])}))
    with pytest.raises(UsageError, match=r"statistical\.rmse\.values\.3"):
        to_bytes(replace(golden, statistical={"rmse": entry(values={"3": number})}))


def mutations():
    """Yield (what is wrong, how to make it so, what the message says)."""
    yield "truncated", lambda b: b[: len(b) // 2], "not JSON, or cut off"
    yield "empty", lambda b: b"", "not JSON, or cut off"
    yield "not UTF-8", lambda b: b"\xff" + b, "decode"
    yield "edited", lambda b: b.replace(b"1.0,", b"1.5,", 1), "seal is broken"
    yield "other schema", lambda b: b.replace(b'"schema": 2', b'"schema": 3'), "its schema is 3, this version reads 2"
    yield "NaN", lambda b: b.replace(b'"n": 3', b'"n": NaN'), "holds NaN"
    yield "infinity", lambda b: b.replace(b'"n": 3', b'"n": -Infinity'), "holds -Infinity"
    yield "too large", lambda b: b.replace(b'"n": 3', b'"n": 1e999'), "Out of range"
    yield "duplicate key", lambda b: b.replace(b'"n": 3', b'"n": 3, "n": 3'), "the key 'n' comes twice"
    yield "a list", lambda b: b"[]", "not a JSON object"
    yield "too deep", lambda b: b"[" * 100_000, "nested too deep"
    yield "half a conflict of a merge", lambda b: b"<<<<<<< HEAD\n" + b, "not JSON"


@pytest.mark.parametrize(("damage", "reason"), [pytest.param(*rest, id=name) for name, *rest in mutations()])
def test_a_damaged_file_is_refused_with_its_name_and_the_way_out(golden, damage, reason):
    """The message says which file, what is wrong, and how to restore or re-record it."""
    with pytest.raises(BadGolden) as refused:
        from_bytes(damage(to_bytes(golden)), "golden/x.json")
    text = str(refused.value)
    assert text.startswith("golden/x.json is not a golden")
    assert reason in text
    assert "`git checkout -- golden/x.json`" in text
    assert "--golden-update --golden-reason" in text


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_conflict_of_a_merge_names_both_sides_and_the_ways_out(golden, end):
    """The marks that git leaves are told from damage, whatever lies between them and however lines end."""
    seals = b'<<<<<<< HEAD\n  "seal": "1",\n||||||| 12ab\n  "seal": "0",\n=======\n  "seal": "2",\n>>>>>>> bob/lr\n'
    with pytest.raises(BadGolden) as refused:
        from_bytes((to_bytes(golden) + seals).replace(b"\n", end), "golden/x.json")
    text = str(refused.value)
    assert text.startswith("golden/x.json holds a conflict of a merge: 'HEAD' and 'bob/lr' both changed it.")
    for way in (
        "git checkout --ours -- golden/x.json` for 'HEAD'",
        "git checkout --theirs -- golden/x.json` for 'bob/lr'",
    ):
        assert way in text
    assert "--golden-reason" in text


def places(value, path=()):
    """Yield the path of every entry of a document."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in entries:
        yield from places(below, (*path, key))


def with_value(document, path, value):
    """Return a copy of a document with one entry replaced."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


WRONG = [None, True, -1.5, "x", [], {}, [1], {"x": 1}]


@pytest.mark.parametrize("path", [("name",), ("exact",), ("close", "shares"), ("provenance",), ("statistical", "rmse")])
@pytest.mark.parametrize("wrong", [None, 3, [3]])
def test_a_wrong_type_behind_a_right_seal_is_refused(golden, path, wrong):
    """The seal guards against accidents; the reader trusts no type."""
    document = with_value(json.loads(to_bytes(golden)), path, wrong)
    with pytest.raises(BadGolden):
        from_bytes(resealed(document), "x.json")


def test_a_tolerance_and_the_form_of_arrays_come_back():
    """With NaN, which is null in the file, where it equals itself."""
    odd = Close([1.0, math.nan, 2.0], rel=0.0, abs=1e-12, norm="l2", equal_nan=True)
    golden = Golden(name="a", close={"odd": odd}, arrays={"close odd": "float32 (3,)"})
    content = to_bytes(golden)
    stored = from_bytes(content, "x.json")
    assert b"null" in content
    assert b"NaN" not in content
    assert content == to_bytes(stored)
    assert odd.same_rule(stored.close["odd"])
    assert [1.0, 2.0] == [x for x in stored.close["odd"].value if not math.isnan(x)]
    assert golden.arrays == stored.arrays


def test_what_says_nothing_is_not_written(golden):
    """A golden without a new kind of tolerance or an array is the file that earlier versions wrote and read."""
    document = json.loads(to_bytes(golden))
    assert "arrays" not in document
    assert [{"value", "rel"}] * 2 == [set(entry) for entry in document["close"].values()]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("abs", -1.0), ("abs", "0"), ("abs", True), ("norm", "l1"), ("norm", 2), ("equal_nan", 1), ("later", 1.0)],
)
def test_a_tolerance_that_is_none_is_refused(golden, name, wrong):
    """Behind a right seal too."""
    document = json.loads(to_bytes(golden))
    document["close"]["shares"][name] = wrong
    with pytest.raises(BadGolden, match=name):
        from_bytes(resealed(document), "x.json")


@pytest.mark.parametrize("wrong", [None, [], {"close x": 1}])
def test_forms_of_arrays_are_text(golden, wrong):
    """By tier and key."""
    with pytest.raises(BadGolden, match="'arrays' is not text by entry"):
        from_bytes(resealed({**json.loads(to_bytes(golden)), "arrays": wrong}), "x.json")


@pytest.mark.parametrize("tier", ["exact", "close"])
def test_nan_in_a_large_array_is_not_written_where_it_equals_nothing(tier):
    """Though the statistics of its summary leave NaN out."""
    array = np.arange(20_000.0)
    array[77] = math.nan
    value = {"deep": [array, {"w": array}]}
    of = {"exact": {"exact": {"x": value}}, "close": {"close": {"x": Close(value)}}}[tier]
    with pytest.raises(UsageError, match="holds 1 NaN; a golden holds finite numbers only"):
        to_bytes(golden_from(Result(name="a", **of), ()))
    to_bytes(golden_from(Result(name="a", close={"x": Close(value, equal_nan=True)}), ()))


@pytest.mark.parametrize("gone", ["exact", "stream", "provenance", "name"])
def test_a_missing_or_unknown_key_is_refused(golden, gone):
    """Half a file and a file of a later version are not read as if nothing were there."""
    document = json.loads(to_bytes(golden))
    with pytest.raises(BadGolden, match="unknown later"):
        from_bytes(resealed({**document, "later": 1}), "x.json")
    del document[gone]
    with pytest.raises(BadGolden, match=f"lacks {gone}"):
        from_bytes(resealed(document), "x.json")


@pytest.mark.parametrize("wrong", [0, 6, 2.0, True, "5"])
def test_a_check_needs_some_of_the_seeds_that_are_stored(golden, wrong):
    """A count of the stored seeds, or null for all of them."""
    document = json.loads(to_bytes(golden))
    for right in (1, 5, None):
        stored = from_bytes(resealed(with_value(document, ("statistical", "rmse", "check_seeds"), right)), "x.json")
        assert right == stored.statistical["rmse"].check_seeds
    with pytest.raises(BadGolden, match=r"'rmse\.check_seeds' is .*, not a number of its seeds"):
        from_bytes(resealed(with_value(document, ("statistical", "rmse", "check_seeds"), wrong)), "x.json")


@pytest.mark.parametrize("wrong", [0, 1, "yes"])
def test_a_metric_repeats_or_not_or_nobody_knows(golden, wrong):
    """True, false or null, and no other value."""
    document = json.loads(to_bytes(golden))
    for right in (True, False, None):
        stored = from_bytes(resealed(with_value(document, ("statistical", "rmse", "repeats"), right)), "x.json")
        assert right is stored.statistical["rmse"].repeats
    with pytest.raises(BadGolden, match=r"'rmse\.repeats' is .*, not true, false or null"):
        from_bytes(resealed(with_value(document, ("statistical", "rmse", "repeats"), wrong)), "x.json")


@pytest.mark.parametrize("guard", ["raw", None])
def test_a_metric_that_gates_holds_no_null(golden, guard):
    """NaN in a metric with a margin would compare as nothing at all, whether a guard proves it or not."""
    rmse = entry() if guard else entry(guard=None, guard_values=None, effect=None)
    document = json.loads(to_bytes(replace(golden, statistical={"rmse": rmse})))
    damaged = with_value(document, ("statistical", "rmse", "values", "0"), None)
    with pytest.raises(BadGolden, match=r"rmse\.values\.0' is None, not a number"):
        from_bytes(resealed(damaged), "x.json")


def test_a_guard_may_diverge(golden):
    """A bug that ends in NaN is a bug: its guard's values come back as they were."""
    diverged = entry(guard_values={str(seed): math.nan for seed in range(5)}, effect=math.inf)
    with pytest.raises(UsageError, match=r"rmse\.effect"):
        to_bytes(replace(golden, statistical={"rmse": diverged}))
    stored = from_bytes(to_bytes(replace(golden, statistical={"rmse": replace(diverged, effect=None)})), "x.json")
    assert all(math.isnan(value) for value in stored.statistical["rmse"].guard_values.values())


def test_a_metric_without_a_margin_is_only_shown(golden):
    """No margin is null in the file and None in the entry; a guard without a margin could prove nothing."""
    document = json.loads(to_bytes(golden))
    assert document["statistical"]["loss"]["margin"] is None
    assert from_bytes(to_bytes(golden), "x.json").statistical["loss"].margin is None
    with pytest.raises(BadGolden, match="'rmse' has a guard and no margin"):
        from_bytes(resealed(with_value(document, ("statistical", "rmse", "margin"), None)), "x.json")


@given(st.binary())
def test_any_bytes_are_a_golden_or_a_bad_golden(content):
    """Nothing else comes out of the reader, whatever goes in."""
    with pytest.raises(BadGolden):
        from_bytes(content, "x.json")


GOLDEN = Golden(
    name="a",
    exact={"n": [1, {"x": None}]},
    close={"c": Close([0.5])},
    statistical={"m": entry(), "u": shown()},
    stream={"0": "s"},
    provenance=(Provenance(date="d", reason="r", commit=None, versions={"v": "1"}, fingerprint={}, sources={}),),
)
DOCUMENT = json.loads(to_bytes(GOLDEN))


@given(st.integers(0, len(to_bytes(GOLDEN)) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_mutated_file_is_refused_or_equal(place, inserted, dropped):
    """Bytes changed anywhere break the seal, unless the meaning is the same."""
    content = to_bytes(GOLDEN)
    try:
        stored = from_bytes(content[:place] + inserted + content[place + dropped :], "x.json")
    except BadGolden:
        return
    assert GOLDEN == stored


@given(st.sampled_from(list(places(DOCUMENT))), st.sampled_from(WRONG) | st.integers() | st.text(max_size=3))
def test_a_resealed_mutation_is_refused_or_written_again(path, value):
    """A file that was edited and sealed with care either reads as a golden that can be written, or is bad."""
    try:
        stored = from_bytes(resealed(with_value(DOCUMENT, path, value)), "x.json")
    except BadGolden:
        return
    assert stored == from_bytes(to_bytes(stored), "x.json")


def test_a_file_is_read_by_its_path(golden, tmp_path):
    """A golden lies under its name, and a copy under another name is no golden of that name."""
    path = golden_path(tmp_path, golden.name)
    path.parent.mkdir()
    path.write_bytes(to_bytes(golden))
    assert golden.exact == read(path, golden.name).exact
    copy = path.with_name("zscore.json")
    copy.write_bytes(to_bytes(golden))
    with pytest.raises(
        BadGolden, match=r"zscore\.json holds .* 'roast/normalized'; .* mv roast/normalized roast/zscore`"
    ):
        read(copy, "roast/zscore")


def test_a_file_that_is_not_there_is_no_bad_golden(tmp_path):
    """A missing golden is the caller's question; a folder in its place is a bad one."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.json", "a")
    (tmp_path / "a.json").mkdir()
    with pytest.raises(BadGolden, match="cannot be read"):
        read(tmp_path / "a.json", "a")


def test_what_a_metric_does_not_say_is_not_written(golden):
    """Files of metrics without dead seeds and innocent changes are what they were before either could be said."""
    said = {"dead_below": 0.1, "null_values": {"two threads": {"0": 1.0}}}
    silent, telling = (
        json.loads(to_bytes(replace(golden, statistical={"rmse": metric})))["statistical"]["rmse"]
        for metric in (entry(), entry(**said))
    )
    assert set(said) == set(telling) - set(silent)
    assert said == {name: telling[name] for name in said}
    read = from_bytes(to_bytes(replace(golden, statistical={"rmse": entry(**said)})), "a.json")
    assert entry(**said) == read.statistical["rmse"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"dead_below": "low"}, "'rmse.dead_below' is 'low', not a number"),
        ({"null_values": [1.0]}, "'rmse.null_values' is not numbers by change and seed"),
        ({"null_values": {"two threads": [1.0]}}, "'rmse.null_values' is not numbers by change and seed"),
        ({"null_values": {"two threads": {"0": None}}}, "'rmse.null_values.two threads.0' is None, not a number"),
    ],
)
def test_dead_seeds_and_innocent_changes_of_another_kind_are_refused(golden, wrong, reason):
    """As every other part of a file is."""
    document = json.loads(to_bytes(replace(golden, statistical={"rmse": entry()})))
    document["statistical"]["rmse"] |= wrong
    with pytest.raises(BadGolden, match=re.escape(reason)):
        from_bytes(dump(document), "a.json")
