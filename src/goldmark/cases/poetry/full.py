"""Poetry at its documented size: 300 numbers a word, windows of 50 words, 16 windows a batch, some 30 epochs.

The record does not say how many windows its poems make: 400 and 100 keep its 80/20 split. Words are synthetic; the
share of a mean common to all puts the constant at the documented .62-.65 by token beside .97-.98 by window. The
record's curriculum also lets windows grow from 20 to 50 words; here they stay at 50, because losses over windows of
different lengths cannot be compared, which is how the record came to find its best model at epoch 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from goldmark.case import Claim, Variant
from goldmark.cases.poetry import CASE, PoetrySettings
from goldmark.cases.poetry.scores import FORCED_GAP, METRICS
from goldmark.claims import all_of, every_seed, mean_difference, within

SETTINGS = PoetrySettings(
    n_train=400,
    n_val=100,
    length=50,
    vocabulary=400,
    embedding=300,
    mean_share=0.38,
    n_phrases=20,
    phrase_length=10,
    encoder_hidden=512,
    decoder_hidden=512,
    code_size=16,
    objective="mse",
    lr=1e-3,
    lr_min=None,
    steps=750,  # 30 epochs of 25
    batch=16,
)
SMOKE: Mapping[str, Any] = {"n_train": 4, "n_val": 4, "batch": 2, "steps": 2, "length": 20}

WIDTHS = (
    Variant(
        name="wide", says="512 hidden units in encoder and decoder: what the record expected .95 of", role="control"
    ),
    Variant(
        name="narrow",
        says="64 hidden units in encoder and decoder",
        role="broken",
        of="wide",
        changes={"encoder_hidden": 64, "decoder_hidden": 64},
        seen_by="token_cosine",
    ),
    Variant(
        name="encoder_only_wide",
        says="512 hidden units in the encoder, 64 in the decoder: the documented diagnosis",
        role="control",
        of="wide",
        changes={"decoder_hidden": 64},
        seen_by="token_cosine",
    ),
    Variant(
        name="decoder_only_wide",
        says="64 hidden units in the encoder, 512 in the decoder",
        role="control",
        of="wide",
        changes={"encoder_hidden": 64},
    ),
)
INDEPENDENT_WORDS = tuple(
    Variant(
        name=f"iid_{variant.name}",
        says=f"{variant.says.partition(':')[0]}, independent words",
        role="control",
        of=variant.name,
        changes={"text": "iid"},
    )
    for variant in WIDTHS
)
CELLS = (
    Variant(name="lstm", says="LSTM in the place of tanh units", role="option", of="wide", changes={"cell": "lstm"}),
    Variant(name="gru", says="GRU in the place of tanh units", role="option", of="wide", changes={"cell": "gru"}),
    Variant(
        name="bidirectional",
        says="an encoder that reads both ways",
        role="option",
        of="wide",
        changes={"bidirectional": True},
    ),
    Variant(name="iid_lstm", says="LSTM, independent words", role="option", of="lstm", changes={"text": "iid"}),
    Variant(name="iid_gru", says="GRU, independent words", role="option", of="gru", changes={"text": "iid"}),
    Variant(
        name="iid_bidirectional",
        says="both ways, independent words",
        role="option",
        of="bidirectional",
        changes={"text": "iid"},
    ),
)
CODE_SIZES = tuple(
    Variant(name=f"code_{size}", says=f"codes of {size} numbers", role="option", of="wide", changes={"code_size": size})
    for size in (8, 12, 20, 24)
)
OBJECTIVES = (
    Variant(
        name="cosine",
        says="the cosine loss alone, which leaves norms free",
        role="option",
        of="wide",
        changes={"objective": "cosine"},
        seen_by="r2",
    ),
    Variant(
        name="hybrid",
        says="0.9 (1 - cosine) + 0.1 squared error, on targets of norm 1",
        role="option",
        of="wide",
        changes={"objective": "hybrid"},
        seen_by="r2",
    ),
    Variant(
        name="iid_cosine",
        says="the cosine loss alone, independent words",
        role="option",
        of="cosine",
        changes={"text": "iid"},
    ),
    Variant(
        name="iid_hybrid",
        says="the hybrid loss, independent words",
        role="option",
        of="hybrid",
        changes={"text": "iid"},
    ),
)
FORCED = (
    Variant(
        name="forced",
        says="teacher forcing drawn per step, in .9, .7, .3 and .1 of the steps as training goes on",
        role="option",
        of="wide",
        changes={"forcing": "per step"},
    ),
    Variant(
        name="forced_per_batch",
        says="forcing drawn once a batch",
        role="broken",
        of="forced",
        changes={"forcing": "per batch"},
        seen_by="contract",
    ),
    Variant(
        name="forced_leak",
        says="a forced step is fed the word that it is to write",
        role="broken",
        of="forced",
        changes={"forcing": "leak"},
    ),
    Variant(
        name="iid_forced",
        says="forcing per step, independent words",
        role="option",
        of="forced",
        changes={"text": "iid"},
    ),
    Variant(
        name="iid_forced_leak",
        says="a forced step is fed the word that it is to write, which no other word tells",
        role="broken",
        of="iid_forced",
        changes={"forcing": "leak"},
        seen_by="forced_gap",
    ),
)
ATTENTION = (
    Variant(
        name="attention",
        says="the record's last model: two LSTM layers, codes of 128 and attention over all encoder states",
        role="broken",
        of="lstm",
        changes={"layers": 2, "code_size": 128, "attention_heads": 4},
        seen_by="shuffled_code_cosine",
    ),
    Variant(
        name="attention_hybrid",
        says="attention, hybrid loss",
        role="option",
        of="attention",
        changes={"objective": "hybrid"},
    ),
    Variant(
        name="iid_attention",
        says="attention, independent words",
        role="broken",
        of="attention",
        changes={"text": "iid"},
    ),
    Variant(
        name="attention_code_1",
        says="attention, codes of 1 number",
        role="control",
        of="attention",
        changes={"code_size": 1},
    ),
    Variant(
        name="attention_forced",
        says="attention, independent words, forcing per step",
        role="option",
        of="iid_attention",
        changes={"forcing": "per step"},
    ),
    Variant(
        name="attention_forced_per_batch",
        says="attention, independent words, forcing drawn once a batch",
        role="broken",
        of="attention_forced",
        changes={"forcing": "per batch"},
        seen_by="contract",
    ),
    Variant(
        name="attention_forced_leak",
        says="attention, a forced step is fed the word that it is to write: both attention decoders of the record",
        role="broken",
        of="attention_forced",
        changes={"forcing": "leak"},
        seen_by="contract",
    ),
)
VARIANTS = (*WIDTHS, *INDEPENDENT_WORDS, *CELLS, *CODE_SIZES, *OBJECTIVES, *FORCED, *ATTENTION)
NARROW_DECODERS = ("narrow", "encoder_only_wide", "iid_narrow", "iid_encoder_only_wide")

# These were predictions, on the record's evidence and on a theorem. Five seeds of the first full run hold them.
CLAIMS = (
    Claim(
        name="no_run_exceeds_its_ceiling",
        says="with 64 decoder units no run exceeds the eigenvalue bound of its data, whatever encoder and words",
        source="project: outputs affine in h units span h + 1 dimensions",
        check=all_of(*(within(variant, "token_cosine", "<=", "token_ceiling") for variant in NARROW_DECODERS)),
    ),
    Claim(
        name="widening_changes_nothing",
        says="at the documented budget 512 units score within .05 of 64 units by token, in encoder, decoder or both",
        source="Poetry record, archived 512-unit runs: .622 and .624 after .593",
        check=all_of(
            *(
                check
                for variant in ("wide", "encoder_only_wide", "decoder_only_wide")
                for check in (
                    mean_difference(variant, "narrow", "token_cosine", ">=", -0.05),
                    mean_difference(variant, "narrow", "token_cosine", "<=", 0.05),
                )
            )
        ),
        documented=0.029,
        fewest_seeds=5,
    ),
    Claim(
        name="independent_words_stay_on_the_plateau",
        says="on independent words 512 units score within .05 of the mean token, as 64 do",
        source="Poetry record, archived 512-unit runs: .622 and .624",
        check=all_of(
            within("iid_narrow", "token_cosine", "<=", "token_floor", 0.05),
            within("iid_narrow", "token_cosine", ">=", "token_floor", -0.05),
            within("iid_wide", "token_cosine", "<=", "token_floor", 0.05),
            within("iid_wide", "token_cosine", ">=", "token_floor", -0.05),
        ),
        documented=0.622,
    ),
    Claim(
        name="windows_look_right_where_tokens_do_not",
        says="on independent words a narrow model scores above .95 by window and below .7 by token",
        source="Poetry record, token cosine .593 with sequence cosine .965",
        check=all_of(
            every_seed("iid_narrow", "sequence_cosine", ">=", 0.95), every_seed("iid_narrow", "token_cosine", "<=", 0.7)
        ),
        documented=0.965,
    ),
    Claim(
        name="utilisation_cannot_fail",
        says="on the plateau 8 more code dimensions count as utilised than are filled",
        source="Poetry record, 16 of 16 dimensions utilised with 99.6 % of the variance in one",
        check=all_of(
            within("iid_narrow", "utilised_dims", ">=", "code_rank", 8.0),
            within("narrow", "utilised_dims", ">=", "code_rank", 8.0),
        ),
        documented=14.993,
    ),
    Claim(
        name="attention_goes_around_the_code",
        says="with attention, shuffled codes cost less than .05 by token, with codes of 128 numbers and of 1",
        source="Poetry record, .86 with attention; trial: with a code of 1 and attention shuffled codes change nothing",
        check=all_of(
            *(
                within(variant, "shuffled_code_cosine", ">=", "token_cosine", -0.05)
                for variant in ("attention", "attention_code_1", "iid_attention")
            )
        ),
    ),
    Claim(
        name="leak_shows_while_forced",
        says="where forcing leaks, scores while forced exceed those in free running by .1 more than where it does not",
        source="Poetry record: both attention decoders are fed target t + 1 at step t; gaps of .454 against .118",
        check=mean_difference("iid_forced_leak", "iid_forced", "forced_gap", ">=", 0.1),
        documented=0.336,
        fewest_seeds=5,
    ),
    Claim(
        name="forcing_per_batch_costs_no_score",
        says="forcing drawn once a batch scores within .05 of forcing drawn per step: only the structure shows it",
        source="Poetry record: .869 against .858",
        check=all_of(
            mean_difference("forced_per_batch", "forced", "token_cosine", ">=", -0.05),
            mean_difference("forced_per_batch", "forced", "token_cosine", "<=", 0.05),
        ),
        documented=0.011,
        fewest_seeds=5,
    ),
)

# Cosines and counts as the record states them, on its own poems; `attention` at its best epoch, 85.
DOCUMENTED: Mapping[str, Mapping[str, float]] = {
    "narrow": {"token_cosine": 0.593, "sequence_cosine": 0.965, "utilised_dims": 16.0, "code_rank": 1.007},
    "wide": {"token_cosine": 0.622},
    "attention": {"token_cosine": 0.86},
}

FULL = replace(
    CASE, settings=SETTINGS, variants=VARIANTS, metrics=(*METRICS, FORCED_GAP), claims=CLAIMS, fixtures={}, scale="full"
)
