"""The full poetry matrix: documented architectures, every shape of it in miniature, and claims that can fail."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
import torch
from runs.bare import bare_run

from goldmark.case import Variant
from goldmark.cases import case_at
from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.full import DOCUMENTED, FULL, SMOKE
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked

NAMES = [variant.name for variant in FULL.variants]
SHAPES = ("cell", "layers", "bidirectional", "attention_heads", "encoder_hidden", "decoder_hidden", "code_size")
SMALL = replace(
    CASE.settings, n_train=16, n_val=8, batch=8, steps=4, encoder_hidden=10, decoder_hidden=6, forcing="per step"
)


def shape_of(name):
    """What makes runs of another shape, teacher forcing among it."""
    settings = FULL.settings_of(name)
    return (*(getattr(settings, field) for field in SHAPES), settings.forcing is None)


def small_case(**changes):
    """Return the case with one variant a setting, on small data."""
    variants = [
        Variant(name=name, says="a variant of a test", role="option", changes=change)
        for name, change in changes.items()
    ]
    return replace(CASE, settings=SMALL, variants=tuple(variants), metrics=FULL.metrics)


# --- the matrix


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("narrow", 68_808),
        ("wide", 1_004_680),
        ("lstm", 3_513_992),
        ("gru", 2_671_752),
        ("attention", 10_182_616),
    ],
)
def test_full_size_has_the_documented_parameter_count(variant, expected):
    """The record's architectures, to the parameter."""
    with torch.device("meta"):
        model = CASE.make_model(FULL.settings_of(variant), {"train_tokens": torch.zeros(1, 50, 300)})
    assert expected == sum(parameter.numel() for parameter in model.parameters())


def test_every_variant_keeps_the_documented_sizes():
    """300 numbers a word, 50 words a window, batches of 16, 30 epochs, Adam at 1e-3 without a schedule, clip 1."""
    for name in NAMES:
        settings = FULL.settings_of(name)
        assert (300, 50, 16) == (settings.embedding, settings.length, settings.batch)
        assert (1e-3, None, 0.0, 1.0) == (settings.lr, settings.lr_min, settings.weight_decay, settings.clip)
        assert 30 == settings.steps / (settings.n_train // settings.batch)


def test_variants_change_something_and_name_what_exists():
    """No change repeats the value that was there; claims and documented numbers name variants and metrics."""
    metrics = {metric.name for metric in FULL.metrics}
    for variant in FULL.variants[1:]:
        own, of = asdict(FULL.settings_of(variant.name)), asdict(FULL.settings_of(variant.of))
        assert set(variant.changes) == {field for field in own if own[field] != of[field]}
        assert variant.seen_by in {*metrics, "contract", "none"}
    assert len(set(NAMES)) == len(NAMES)
    assert {name for claim in FULL.claims for name in claim.variants} | set(DOCUMENTED) <= set(NAMES)
    assert {metric for numbers in DOCUMENTED.values() for metric in numbers} <= metrics


CHANGES = {  # against `wide`
    "wide": {},
    "narrow": {"encoder_hidden": 64, "decoder_hidden": 64},
    "encoder_only_wide": {"decoder_hidden": 64},
    "decoder_only_wide": {"encoder_hidden": 64},
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "bidirectional": {"bidirectional": True},
    "code_8": {"code_size": 8},
    "code_12": {"code_size": 12},
    "code_20": {"code_size": 20},
    "code_24": {"code_size": 24},
    "cosine": {"objective": "cosine"},
    "hybrid": {"objective": "hybrid"},
    "forced": {"forcing": "per step"},
    "forced_per_batch": {"forcing": "per batch"},
    "forced_leak": {"forcing": "leak"},
}
IID = ("wide", "narrow", "encoder_only_wide", "decoder_only_wide", "lstm", "gru", "bidirectional", "cosine", "hybrid")
IID += ("forced", "forced_leak")
CHANGES |= {f"iid_{name}": {**CHANGES[name], "text": "iid"} for name in IID}
ATTENTION = {"cell": "lstm", "layers": 2, "code_size": 128, "attention_heads": 4}
CHANGES |= {
    "attention": ATTENTION,
    "attention_hybrid": {**ATTENTION, "objective": "hybrid"},
    "attention_code_1": {**ATTENTION, "code_size": 1},
    "iid_attention": {**ATTENTION, "text": "iid"},
    "attention_forced": {**ATTENTION, "text": "iid", "forcing": "per step"},
    "attention_forced_per_batch": {**ATTENTION, "text": "iid", "forcing": "per batch"},
    "attention_forced_leak": {**ATTENTION, "text": "iid", "forcing": "leak"},
}


def test_matrix_is_the_experiments_of_the_record():
    """Widths, cells, codes, objectives, forcing and attention, most of them on independent words too."""
    assert set(CHANGES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_full_variant_changes_what_it_says_and_nothing_else(name):
    """Its recipe differs from that of `wide`, 512 units and codes of 16, in the named settings alone."""
    own, wide = (asdict(FULL.settings_of(variant)) for variant in (name, "wide"))
    assert (512, 512, 16) == (wide["encoder_hidden"], wide["decoder_hidden"], wide["code_size"])
    assert CHANGES[name] == {field: value for field, value in own.items() if value != wide[field]}


def test_constant_scores_what_the_record_scored():
    """The mean token reaches the documented .62-.65 by token and .965-.99 by window, on both texts."""
    for name in ("wide", "iid_wide"):
        settings = FULL.settings_of(name)
        by_name = {b.name: b.metrics for b in FULL.baselines(FULL.make_data(settings, 0), settings)}
        assert 0.61 < by_name["constant"]["token_cosine"] < 0.66
        assert 0.965 < by_name["constant"]["sequence_cosine"] < 0.99


def test_miniature_keeps_widths():
    """Only data and training shrink: fewer poems, of two phrases, and two steps."""
    small = case_at("poetry", "smoke")
    for name in NAMES:
        full, smoke = (asdict(case.settings_of(name)) for case in (FULL, small))
        assert set(SMOKE) == {field for field in full if full[field] != smoke[field]}


# --- stacks


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")  # vmap says so where an operation falls back to a loop
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"cell": "gru", "bidirectional": True},
        {"cell": "lstm", "layers": 2, "attention_heads": 2, "encoder_hidden": 6},
        {"forcing": None},
        {"forcing": None, "cell": "gru"},
        {"forcing": None, "cell": "lstm"},
    ],
    ids=lambda shape: "-".join(map(str, shape.values())) or "rnn",
)
def test_stack_of_unlike_variants_gives_what_each_gives_alone(shape):
    """Text, objective and forcing reach a stack as tensors: the same stream and history, to 1e-9 in float64."""
    mixed = {
        "one": {**shape, "objective": "mse"},
        "two": {**shape, "objective": "hybrid", "text": "iid"},
        "three": {**shape, "objective": "cosine"} | ({} if "forcing" in shape else {"forcing": "leak"}),
    }
    jobs = [Job(small_case(**mixed), name, seed, dtype="float64") for seed, name in enumerate(mixed)]
    for job, stacked in zip(jobs, train_stacked(jobs), strict=True):
        alone = train_single(job)
        assert alone.stream == stacked.stream
        for row, other in zip(alone.history, stacked.history, strict=True):
            assert row.keys() == other.keys()
            for score, value in row.items():
                assert value == pytest.approx(other[score], rel=1e-9), score
        for metric, value in alone.metrics.items():
            assert value == pytest.approx(stacked.metrics[metric], rel=1e-9), metric


def test_ways_of_forcing_draw_the_same():
    """Runs of one seed pair, whatever their forcing: their streams are the same."""
    case = small_case(per_step={}, per_batch={"forcing": "per batch"}, leak={"forcing": "leak"})
    assert 1 == len({train_single(Job(case, variant.name, 0)).stream for variant in case.variants})


def test_stackable_settings_are_settings():
    """Each names a field, and none of them changes the shape of model or data."""
    names = {field.name for field in fields(CASE.settings)}
    assert CASE.stackable <= names
    assert not CASE.stackable & set(SHAPES)


# --- the record's numbers, and claims that can fail


@pytest.mark.parametrize(
    ("variant", "metric", "expected"),
    [
        ("narrow", "token_cosine", 0.593),
        ("narrow", "sequence_cosine", 0.965),
        ("narrow", "utilised_dims", 16),
        ("narrow", "code_rank", 1.007),
        ("wide", "token_cosine", 0.622),
        ("attention", "token_cosine", 0.86),
    ],
)
def test_documented_number_is_the_records(variant, metric, expected):
    """As the record and its archived results state it."""
    assert expected == DOCUMENTED[variant][metric]


def test_nothing_else_is_documented():
    """Six numbers: one that is added needs its literal above."""
    assert 6 == sum(len(numbers) for numbers in DOCUMENTED.values())


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("widening_changes_nothing", 0.622 - 0.593),
        ("independent_words_stay_on_the_plateau", 0.622),
        ("windows_look_right_where_tokens_do_not", 0.965),
        ("utilisation_cannot_fail", 16 - 1.007),
        ("leak_shows_while_forced", 0.454 - 0.118),
        ("forcing_per_batch_costs_no_score", 0.869 - 0.858),
        ("no_run_exceeds_its_ceiling", None),
        ("attention_goes_around_the_code", None),
    ],
)
def test_claim_stands_beside_the_records_number(claim, expected):
    """What the claim's measure was in the record, where the record tells."""
    assert expected == pytest.approx(FULL.claim(claim).documented, abs=1e-12)


# what the record tells of its runs; the ceiling is what such data allow 64 units, the floor what the mean token scores
RECORDED = {
    "token_cosine": 0.622,
    "sequence_cosine": 0.965,
    "token_ceiling": 0.9,
    "token_floor": 0.62,
    "code_rank": 1.007,
    "utilised_dims": 16.0,
    "shuffled_code_cosine": 0.622,
    "forced_gap": 0.118,
}
RECORDED_OF = {
    "narrow": {"token_cosine": 0.593},
    "attention": {"token_cosine": 0.86, "shuffled_code_cosine": 0.86},
    "attention_code_1": {"token_cosine": 0.86, "shuffled_code_cosine": 0.86},
    "iid_attention": {"token_cosine": 0.86, "shuffled_code_cosine": 0.86},
    "iid_forced_leak": {"forced_gap": 0.454},
    "forced": {"token_cosine": 0.858},
    "forced_per_batch": {"token_cosine": 0.869},
}
# a part of a claim -> a metric of a variant, its value at the limit, and the side on which the part fails
EDGES = {
    ("no_run_exceeds_its_ceiling", 0): ("narrow", "token_cosine", 0.9, +1),
    ("no_run_exceeds_its_ceiling", 1): ("encoder_only_wide", "token_cosine", 0.9, +1),
    ("no_run_exceeds_its_ceiling", 2): ("iid_narrow", "token_cosine", 0.9, +1),
    ("no_run_exceeds_its_ceiling", 3): ("iid_encoder_only_wide", "token_cosine", 0.9, +1),
    ("widening_changes_nothing", 0): ("wide", "token_cosine", 0.543, -1),
    ("widening_changes_nothing", 1): ("wide", "token_cosine", 0.643, +1),
    ("widening_changes_nothing", 2): ("encoder_only_wide", "token_cosine", 0.543, -1),
    ("widening_changes_nothing", 3): ("encoder_only_wide", "token_cosine", 0.643, +1),
    ("widening_changes_nothing", 4): ("decoder_only_wide", "token_cosine", 0.543, -1),
    ("widening_changes_nothing", 5): ("decoder_only_wide", "token_cosine", 0.643, +1),
    ("independent_words_stay_on_the_plateau", 0): ("iid_narrow", "token_cosine", 0.67, +1),
    ("independent_words_stay_on_the_plateau", 1): ("iid_narrow", "token_cosine", 0.57, -1),
    ("independent_words_stay_on_the_plateau", 2): ("iid_wide", "token_cosine", 0.67, +1),
    ("independent_words_stay_on_the_plateau", 3): ("iid_wide", "token_cosine", 0.57, -1),
    ("windows_look_right_where_tokens_do_not", 0): ("iid_narrow", "sequence_cosine", 0.95, -1),
    ("windows_look_right_where_tokens_do_not", 1): ("iid_narrow", "token_cosine", 0.7, +1),
    ("utilisation_cannot_fail", 0): ("iid_narrow", "code_rank", 8.0, +1),
    ("utilisation_cannot_fail", 1): ("narrow", "code_rank", 8.0, +1),
    ("attention_goes_around_the_code", 0): ("attention", "shuffled_code_cosine", 0.81, -1),
    ("attention_goes_around_the_code", 1): ("attention_code_1", "shuffled_code_cosine", 0.81, -1),
    ("attention_goes_around_the_code", 2): ("iid_attention", "shuffled_code_cosine", 0.81, -1),
    ("leak_shows_while_forced", 0): ("iid_forced_leak", "forced_gap", 0.218, -1),
    ("forcing_per_batch_costs_no_score", 0): ("forced_per_batch", "token_cosine", 0.808, -1),
    ("forcing_per_batch_costs_no_score", 1): ("forced_per_batch", "token_cosine", 0.908, +1),
}


def planted_run(variant, seed, **metrics):
    """A run as the record tells of it, with other metrics where they are given."""
    return bare_run(
        case="poetry",
        scale="full",
        variant=variant,
        seed=seed,
        metrics=RECORDED | RECORDED_OF.get(variant, {}) | metrics,
    )


def planted_runs(n_seeds=5, changed=None, **metrics):
    """Runs of all variants as the record tells of them; of a changed one, with other metrics."""
    return {
        name: [planted_run(name, seed, **(metrics if name == changed else {})) for seed in range(n_seeds)]
        for name in NAMES
    }


def test_every_claim_holds_of_the_records_numbers():
    """What the claims predict is what was recorded."""
    assert [] == [verdict for _, verdict in FULL.judge(planted_runs()) if not verdict]


def test_every_part_of_every_claim_has_its_edge():
    """A part that is added needs an entry above, one that is dropped leaves none behind."""
    assert {(claim.name, place) for claim in FULL.claims for place in range(len(claim.check.parts))} == set(EDGES)


@pytest.mark.parametrize(("claim", "place"), EDGES)
def test_part_of_a_claim_fails_beyond_its_limit_and_holds_within(claim, place):
    """Self-proof: that part alone, a millionth beyond the limit in the metric of its variant, and not within."""
    variant, metric, edge, wrong = EDGES[claim, place]
    beyond, within = (
        FULL.claim(claim).verdict(planted_runs(changed=variant, **{metric: edge + side * 1e-6}))
        for side in (wrong, -wrong)
    )
    assert within
    assert beyond.ok is False
    assert [place] == [i for i, part in enumerate(beyond.parts) if not part], beyond


@pytest.mark.parametrize(("claim", "place"), EDGES)
def test_one_seed_breaks_what_is_said_of_every_seed(claim, place):
    """Where no mean is meant a single wrong run of five is seen, and named."""
    variant, metric, edge, wrong = EDGES[claim, place]
    runs = planted_runs()
    runs[variant][3] = planted_run(variant, 3, **{metric: edge + wrong * 1e-6})
    part = FULL.claim(claim).verdict(runs).parts[place]
    assert part.ok is (FULL.claim(claim).check.parts[place].statistic is not None)
    assert 3 == part.worst_seed


def test_differences_of_two_variants_are_not_judged_on_four_seeds():
    """A mean difference needs five; limits that every run must keep need one."""
    unjudged = {claim.name for claim, verdict in FULL.judge(planted_runs(n_seeds=4)) if verdict.ok is None}
    expected = {"widening_changes_nothing", "leak_shows_while_forced", "forcing_per_batch_costs_no_score"}
    assert expected == unjudged
