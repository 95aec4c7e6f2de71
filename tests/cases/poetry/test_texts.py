"""Poems and vectors of a user: what is read, how windows are made and split, padding, and what bad files are told."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.objective import loss
from goldmark.cases.poetry.texts import hashed_vector, read_poems, read_texts, read_vectors, window_starts
from goldmark.runs import Job, by_variant
from goldmark.training import draws
from goldmark.training._single import train_single

# --- reading


def test_poems_are_texts_or_objects_with_text_or_content(poems_file, poems):
    """All three ways give the same words, in lower case and without punctuation."""
    assert [poem.lower().replace(",", "").split() for poem in poems] == read_poems(poems_file)


def test_words_are_letters_with_apostrophes_within(tmp_path):
    """Digits, dashes and quotation marks part words; letters of any script make them."""
    path = tmp_path / "poems.json"
    path.write_text(json.dumps(["'Tis o\u2019er\u2014Été 1821; don't_stop\n夜"]), encoding="utf-8")
    assert [["tis", "o\u2019er", "été", "don't", "stop", "夜"]] == read_poems(path)


@pytest.mark.parametrize("spoil", [lambda lines: lines, lambda lines: [f"{len(lines)} 6", *(f"{x} " for x in lines)]])
def test_vectors_are_those_of_glove_and_word2vec(tmp_path, vector_lines, spoil):
    """With the line "count D" and blanks at the ends, as word2vec writes, and without; only what is wanted is kept."""
    path = tmp_path / "v.txt"
    path.write_text("\n".join(spoil(vector_lines)))
    expected = {word: list(map(float, numbers)) for word, *numbers in map(str.split, vector_lines)}
    vectors = read_vectors(path, ["moon", "river", "unknown"])
    assert {word: expected[word] for word in ("moon", "river")} == {w: v.tolist() for w, v in vectors.items()}


def test_lower_case_goes_before_other_spellings_and_zeros_are_no_vector(tmp_path):
    """'Moon' stands in for 'moon' until that comes; a word may have spaces, as some of GloVe's; a zero has no angle."""
    path = tmp_path / "v.txt"
    path.write_text("Moon 1 2\nmoon 3 4\nMOON 5 6\nRiver 7 8\n. . . 1 1\nsun 0 0\n")
    vectors = read_vectors(path, ["moon", "river", "sun"])
    assert {"moon": [3, 4], "river": [7, 8]} == {word: vector.tolist() for word, vector in vectors.items()}


def test_hashed_vectors_are_fixed_and_of_their_own(measured, poems_file):
    """A word's numbers are those of any run, standard normal, unlike another's; the case says that it hashes."""
    torch.testing.assert_close(hashed_vector("moon", 4), hashed_vector("moon", 8)[:4], rtol=0, atol=0)
    assert abs(torch.nn.functional.cosine_similarity(*(hashed_vector(w, 1000) for w in ("sun", "moon")), dim=0)) < 0.15
    assert 1 == pytest.approx(float(hashed_vector("moon", 1000).std()), abs=0.1)  # 4 standard errors
    hashed = CASE.on_file(poems_file)
    assert "hashed to fixed vectors of 48 numbers" in hashed.says
    assert (48, 6) == (hashed.settings.embedding, measured.settings.embedding)
    assert "vectors of 6 numbers in vectors.txt" in measured.says


def test_poems_with_the_same_words_count_once(tmp_path, poems):
    """A copy, be it in capitals, could stand in the other half."""
    path = tmp_path / "poems.json"
    path.write_text(json.dumps([*poems[:12], *(poem.upper() for poem in poems[:12])]))
    assert 12 == len(read_texts(path, None, 4).poems)


def test_source_is_the_hash_of_one_file_or_of_both(measured, poems_file, vectors_file):
    """Each file counts: poems alone have their own hash, with vectors that of both hashes."""
    one, other = (sha256(path.read_bytes()).hexdigest() for path in (poems_file, vectors_file))
    assert one == CASE.on_file(poems_file).data_source
    assert sha256((one + other).encode()).hexdigest() == measured.data_source


# --- windows


@pytest.mark.parametrize(
    ("n_words", "expected"), [(1, [0]), (50, [0]), (51, [0, 40]), (90, [0, 40]), (91, [0, 40, 80]), (130, [0, 40, 80])]
)
def test_windows_cover_a_poem_with_the_strides_of_the_record(n_words, expected):
    """Windows of 50 words every 40; the last one reaches the end, and none starts after that."""
    assert expected == list(window_starts(n_words, 50))


def words_of(case, tokens, valid):
    """The words of windows as numbers, found by their vectors."""
    known = {tuple(vector.tolist()): number for number, vector in enumerate(case.texts.vectors)}
    return [[known[tuple(token.tolist())] for token in row[ok]] for row, ok in zip(tokens, valid, strict=True)]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_poem_is_in_both_halves(measured, seed):
    """A fifth of the poems, rounded, validates; the windows of both halves are those of all poems, each once."""
    data = measured.make_data(measured.settings, seed)
    cut = {poem: [list(poem[at : at + 12]) for at in window_starts(len(poem), 12)] for poem in measured.texts.poems}
    held_out = words_of(measured, data["val_tokens"], data["val_valid"])
    trained = words_of(measured, data["train_tokens"], data["train_valid"])
    validating = [poem for poem, windows in cut.items() if all(window in held_out for window in windows)]
    assert 10 == len(validating) == round(0.2 * len(cut))
    assert sorted(held_out) == sorted(window for poem in validating for window in cut[poem])
    assert sorted(trained) == sorted(window for poem in cut if poem not in validating for window in cut[poem])


def test_seeds_split_differently(measured):
    """The held-out poems follow from the seed."""
    first, second = (measured.make_data(measured.settings, seed)["val_tokens"] for seed in (0, 1))
    assert first.shape != second.shape or not torch.equal(first, second)


def test_independent_words_are_the_words_of_a_half_in_another_order(measured):
    """The control on a user's poems: as many windows, as long, of the same words, which tell nothing of each other."""
    iid = measured.make_data(measured.settings_of("iid_wide"), 0)
    data = measured.make_data(measured.settings, 0)
    for half in ("train", "val"):
        assert torch.equal(data[f"{half}_valid"], iid[f"{half}_valid"])
        before, after = (x[f"{half}_tokens"][x[f"{half}_valid"]] for x in (data, iid))
        assert sorted(before.tolist()) == sorted(after.tolist())
        assert (before == after).all(dim=1).double().mean() < 0.5  # what a random order leaves is far less


# --- padding


def with_other_padding(data, value):
    """The same data with another vector wherever no word is."""
    changed = dict(data)
    for half in ("train", "val"):
        tokens = data[f"{half}_tokens"].clone()
        tokens[~data[f"{half}_valid"]] = value
        changed[f"{half}_tokens"] = tokens
    return changed


@pytest.fixture(scope="module")
def padded(measured):
    """Data with padding, and a fresh model in float64."""
    data = measured.make_data(measured.settings, 0)
    with draws.initial_weights(0):
        return data, measured.make_model(measured.settings, data).double().eval()


@pytest.mark.parametrize("shape", [{}, {"cell": "lstm", "layers": 2, "bidirectional": True}])
def test_padding_counts_nowhere(measured, padded, shape):
    """Loss, scores, baselines, ceilings and findings stay as they are, bit for bit, whatever stands in the padding."""
    data, _ = padded
    settings = replace(measured.settings, **shape)
    with draws.initial_weights(0):
        model = measured.make_model(settings, data).double().eval()
    assert not data["val_valid"].all()

    def all_of(data):
        return (
            measured.evaluate(model, data, settings),
            measured.evaluate_trained(model, data, settings),
            measured.baselines(data, settings),
            measured.close(data, settings),
            measured.examine(model, model, data, settings),
            measured.evaluations(model, data, settings),
            float(loss(model, data, torch.arange(40), draws.Draws.at(0, 0))),
        )

    with torch.no_grad():
        assert repr(all_of(data)) == repr(all_of(with_other_padding(data, 7.0)))


def test_a_window_alone_has_the_code_that_it_has_in_a_batch(padded):
    """A short window cut to its words, without a mask, gives the code and the outputs of the padded one."""
    data, model = padded
    row = int(data["val_valid"].sum(dim=1).argmin())
    n = int(data["val_valid"][row].sum())
    assert n < 12
    with torch.no_grad():
        together = model(data["val_tokens"], valid=data["val_valid"])[row, :n]
        alone = model(data["val_tokens"][row : row + 1, :n])[0]
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)  # float64 rounding


def test_loss_is_the_mean_over_words(padded):
    """A second time with numpy: 1 - mean cosine and mean squared error of all valid tokens, whatever their window."""
    data, model = padded
    rows = torch.arange(40)
    tokens, valid = data["train_tokens"][rows], data["train_valid"][rows]
    with torch.no_grad():
        outputs = model(tokens, draws.Draws.at(0, 0), valid=valid)[valid].numpy()
        ours = float(loss(model, data, rows, draws.Draws.at(0, 0)))
    targets = tokens[valid].numpy()
    cosines = (outputs * targets).sum(1) / np.linalg.norm(outputs, axis=1) / np.linalg.norm(targets, axis=1)
    assert 1 - cosines.mean() + ((outputs - targets) ** 2).mean() == pytest.approx(ours, rel=1e-9)  # rounding


def test_mean_window_has_the_mean_token_where_no_window_is_so_long(measured, padded):
    """A place that no training window reaches says nothing of words there."""
    data = dict(padded[0])
    data["train_valid"] = data["train_valid"] & (torch.arange(12) < 5)
    by_name = {each.name: each.metrics for each in measured.baselines(data, measured.settings)}
    scored = data | {"val_valid": data["val_valid"] & (torch.arange(12) >= 5)}
    scored |= {name: scored[name][scored["val_valid"].any(dim=1)] for name in ("val_tokens", "val_valid")}
    late = {each.name: each.metrics["token_cosine"] for each in measured.baselines(scored, measured.settings)}
    assert late["constant"] == pytest.approx(late["mean_window"], rel=1e-12)
    assert by_name["constant"]["token_cosine"] != pytest.approx(by_name["mean_window"]["token_cosine"], rel=1e-6)


def test_attention_is_refused_on_windows_with_padding(measured, padded):
    """It would read what is no word."""
    with pytest.raises(UsageError, match="attention_heads is 2: attention would read the padding"):
        measured.make_model(replace(measured.settings, attention_heads=2), padded[0])


# --- the case on a user's poems


def test_measured_case_trains_and_is_judged_by_what_holds_on_any_data(measured):
    """A few steps of each narrow decoder: finite metrics below the ceiling of the data, no other claim is judged."""
    case = replace(measured, settings=replace(measured.settings, steps=4))
    sent = pickle.loads(pickle.dumps(replace(case, claims=())))  # noqa: S301 - our own bytes
    runs = [train_single(Job(sent, name, 0)) for name in ("narrow", "encoder_only_wide", "iid_narrow")]
    assert all(np.isfinite(list(run.metrics.values())).all() for run in runs)
    assert {case.data_source} == {run.data for run in runs}
    ((claim, verdict),) = case.judge(by_variant(runs))
    assert "no_run_exceeds_its_ceiling" == claim.name
    assert verdict


# --- bad files

POEM = json.dumps("a silent moon")
BAD_POEMS = [
    ("not JSON", '["a",\n  oops]', r"poems.json:2:3: not JSON that can be read \(Expecting value\)"),
    ("deep", "[" * 100_000, r"poems.json: not JSON that can be read \(maximum recursion"),
    ("no list", '{"poems": []}', r"poems.json: a dict; a list of texts"),
    ("no text", f'[{POEM}, {{"title": "T", "author": "A"}}]', r"poem 2 of 2: neither 'text' nor 'content'; it has: ti"),
    ("number", f"[{POEM}, 7]", r"poem 2 of 2: 7; a text is expected"),
    ("null", '[{"text": null}]', r"poem 1 of 1, 'text': None; a text is expected"),
    ("empty", f'[{POEM}, {{"content": " 12! "}}]', r"poem 2 of 2, 'content': ' 12! ' has no word in it"),
    ("few", json.dumps(["one", "two", "One!"]), r"poems.json: 2 different poems with words that have vec.*at least 10"),
    ("binary", b"\xff\xfe\x00", r"poems.json: it is not UTF-8 text"),
    ("missing", None, r"poems.json: cannot be read \(No such file or directory\)"),
]


def refused(read, path, content, message):
    """Write a file, and see it refused in one line that begins with its path."""
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "message"), [row[1:] for row in BAD_POEMS], ids=[row[0] for row in BAD_POEMS])
def test_bad_poems_are_answered_with_file_and_place(tmp_path, content, message):
    """One clear line: the file, the line and column or the number of the poem, the value, what would be right."""
    refused(CASE.on_file, tmp_path / "poems.json", content, message)


BAD_VECTORS = [
    ("short", "moon 1 2 3\nriver 1 2\n", r"v.txt:2: 2 numbers after 'river'; a word and 3 numbers"),
    ("long", "moon 1 2 3\nriver 1 2 3 4\n", r"v.txt:2: 4 numbers after 'river'; a word and 3 numbers"),
    ("not announced", "2 4\nmoon 1 2 3\nriver 1 2 3\n", r"v.txt:2: 3 numbers after 'moon'; a word and 4 numbers"),
    ("no number", "sun 1 2 3\nmoon 1 2,5 3\n", r"v.txt:2: number 2 is '2,5'; a finite number"),
    ("NaN", "moon 1 2 nan\n", r"v.txt:1: number 3 is 'nan'; a finite number"),
    ("cut", "3 2\nmoon 1 2\nriver 1 2\n", r"v.txt:1: 3 words are announced, and 2 follow"),
    ("foreign", "Mond 1 2\nFluss 1 2\n", r"v.txt: none of the 2 words of the poems is among its 2"),
    ("words alone", "moon\nriver\n", r"v.txt:1: 0 numbers after 'moon'; a word and 1 numbers"),
    ("empty", "", r"v.txt: none of the 2 words of the poems is among its 0"),
    ("binary", b"2 3\nmoon \xff\xfe\x00\n", r"v.txt: it is not UTF-8 text; .* not a binary"),
    ("missing", None, r"v.txt: cannot be read \(No such file or directory\)"),
]


@pytest.mark.parametrize(("content", "message"), [row[1:] for row in BAD_VECTORS], ids=[row[0] for row in BAD_VECTORS])
def test_bad_vectors_are_answered_with_file_and_line(tmp_path, content, message):
    """One clear line: the file, the line, the value, what would be right."""
    refused(lambda path: read_vectors(path, ["moon", "river"]), tmp_path / "v.txt", content, message)
