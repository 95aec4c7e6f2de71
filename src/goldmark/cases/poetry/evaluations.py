"""What a trained model is worth: each of the record's evaluations beside what is reached without a code, or at best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.case import Data
from goldmark.cases.poetry import scores
from goldmark.checks import check_code_ignored, participation_ratio

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

Section = dict[str, float | str]


def evaluations(model: nn.Module, data: Data, settings: PoetrySettings) -> dict[str, Section]:
    """Return all evaluations of a model in evaluation mode on the validation half, by section."""
    valid = data.get("val_valid")
    with torch.no_grad():
        made = scores.reconstruct(model, data["val_tokens"], valid)
        return {
            "teacher forcing": teacher_forcing(model, data),
            "shuffled codes": shuffled_codes(made, data),
            "code": code_dimensions(made.codes) | {"decoder_participation": _participation(made.states, valid)},
            "floor and ceiling": floor_and_ceiling(made.outputs, data, settings),
        }


def teacher_forcing(model: nn.Module, data: Data) -> Section:
    """Return the token cosine while each step is fed the last target, in free running, and of answers without a code.

    What is fed tells of the window: a cosine while forced that free running does not reach is none of the code's.
    """
    forced, free = scores.forced_and_free(model, data)
    baselines = {f"{each.name}_cosine": each.metrics["token_cosine"] for each in scores.baselines(data)}
    return {"forced_cosine": forced, "free_cosine": free, "gap": forced - free, **baselines}


def shuffled_codes(made: scores.Reconstruction, data: Data) -> Section:
    """Return the token cosine from the windows' own codes and from those of others, and whether codes are used."""
    tokens, valid = data["val_tokens"], data.get("val_valid")
    own, others = (scores.token_cosine(x, tokens, valid) for x in (made.outputs, made.shuffled_outputs))
    ignored = check_code_ignored(own, others).trouble
    return {
        "own_cosine": own,
        "shuffled_cosine": others,
        "loss": own - others,
        "code": "ignored" if ignored else "used",
    }


def code_dimensions(codes: Tensor) -> Section:
    """Return, of codes (N, K), the record's count of utilised dimensions beside what cannot be had by a norm.

    `rank` counts the singular values of the centred codes above rounding (N K eps of the largest, as numpy does), and
    `first_component` is the share of the variance along one direction, 99.6 % in the record.
    """
    centred = codes.double() - codes.double().mean(dim=0)
    values = torch.linalg.svdvals(centred)
    rounding = max(codes.shape) * torch.finfo(codes.dtype).eps * values[0]
    return {
        "utilised_dims": scores.utilised_dims(codes),
        "dims": float(codes.shape[1]),
        "rank": float((values > rounding).sum()),
        "participation": participation_ratio(codes),
        "first_component": float(values[0].square() / values.square().sum()),
    }


def floor_and_ceiling(outputs: Tensor, data: Data, settings: PoetrySettings) -> Section:
    """Return cosine and R^2 between what the mean token reaches and what no decoder of that width exceeds.

    `way` is how far a score has come from its floor, 0, to its ceiling, 1.
    """
    tokens, valid = data["val_tokens"], data.get("val_valid")
    reached = scores.reconstruction_scores(outputs, tokens, valid)
    floor = scores.reconstruction_scores(scores.constant_prediction(data), tokens, valid)
    close = scores.close(data, settings)
    numbers: Section = {}
    for name, ceiling in (("token_cosine", close["token_ceiling"]), ("r2", close["r2_ceiling"])):
        way = (reached[name] - floor[name]) / (ceiling - floor[name])
        numbers |= {f"{name}_floor": floor[name], name: reached[name], f"{name}_ceiling": ceiling, f"{name}_way": way}
    return numbers


def _participation(states: Tensor, valid: Tensor | None) -> float:
    return participation_ratio(scores.scored(states, valid))
