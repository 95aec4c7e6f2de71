"""The record's evaluations of a trained net, each beside what a constant gets: rule, score, augmentation, ensembles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from goldmark.case import Data, Decision, Score, Thresholds, UsageError
from goldmark.cases.eeg.model import members_of
from goldmark.cases.eeg.scores import FULL_METRICS, mean_response_s, mse, nrmse, smooth_l1, views_of
from goldmark.checks import check_idle_average, check_unmoved_by_augmentation

Section = dict[str, float | str]

_SMOOTH_L1 = next(metric for metric in FULL_METRICS if metric.name == "val_smooth_l1")
# the record held mean squared errors, twice as large below 1 s, against these numbers
DECISION_RULE = Thresholds(go_on=Score(metric=_SMOOTH_L1, value=0.085), stop=Score(metric=_SMOOTH_L1, value=0.095))


def every_evaluation(model: nn.Module, data: Data) -> dict[str, Section]:
    """Return all evaluations of a net or an ensemble by name; `ensemble` is there for an ensemble alone."""
    members = members_of(model)
    sections = {
        "decision": decision(model, data),
        "challenge": challenge_score(model, data),
        "test_time_augmentation": five_views(model, data),
    }
    return sections | ({"ensemble": ensemble(members, data)} if len(members) > 1 else {})


def decision(model: nn.Module, data: Data) -> Section:
    """Return the SmoothL1 loss (s^2) on the validation half and what the record's rule decides about it.

    The rule goes on below 0.085 and stops above 0.095. Beside it stand the loss of the constant predictor and what the
    rule decides about that: where it is the same, the rule does not tell this model from one that has learnt nothing.
    """
    target_s = data["val_response_s"].double()
    loss = smooth_l1(_predicted_s(model, data["val_eeg"]) - target_s)
    constant = smooth_l1(mean_response_s(data) - target_s)
    return {
        "smooth_l1_s2": loss,
        "decision": decide(loss),
        "constant_smooth_l1_s2": constant,
        "constant_decision": decide(constant),
    }


def decide(smooth_l1_s2: float) -> Decision:
    """Return what the record's rule decides about a mean SmoothL1 loss in s^2; a mean squared error is about twice it.

    `DECISION_RULE.decide` takes a score with its metric, and refuses one of another.
    """
    return DECISION_RULE.decide(Score(metric=_SMOOTH_L1, value=smooth_l1_s2))


def challenge_score(model: nn.Module, data: Data) -> Section:
    """Return RMSE / sd of the validation targets, of the model and of the constant predictor, which is near 1."""
    target_s = data["val_response_s"]
    score = nrmse(_predicted_s(model, data["val_eeg"]), target_s)
    return {"rmse_over_sd": score, "constant": nrmse(mean_response_s(data), target_s)}


def five_views(model: nn.Module, data: Data) -> Section:
    """Return what five views of each window do: their MSE (s^2), and how far they move predictions (s, mean absolute).

    The views are the window, rolled by 3 samples either way, and scaled by 1.02 and 0.98. Errors with and without may
    be equal by chance; the word is judged by the changes of predictions alone (`check_unmoved_by_augmentation`), and
    the constant predictor, which no view moves, stands beside.
    """
    target_s, views = data["val_response_s"], views_of(data["val_eeg"])
    by_view_s = {name: _predicted_s(model, view) for name, view in views.items()}
    plain_s, average_s = by_view_s["identity"], torch.stack(list(by_view_s.values())).mean(dim=0)
    unmoved = check_unmoved_by_augmentation(plain_s, average_s, target_s)
    return {
        **{f"mse_{name}_s2": mse(predicted_s, target_s) for name, predicted_s in by_view_s.items()},
        "mse_average_s2": mse(average_s, target_s),
        "mse_constant_s2": mse(mean_response_s(data), target_s),
        **{f"change_{name}_s": _change_s(seen_s, plain_s) for name, seen_s in by_view_s.items() if name != "identity"},
        "change_average_s": _change_s(average_s, plain_s),
        "change_constant_s": 0.0,
        "judged": "unmoved: says nothing" if unmoved.trouble else "moved",
    }


def ensemble(models: Sequence[nn.Module], data: Data) -> Section:
    """Return what averaging the predictions of models gains over the mean member, such as of one recipe's seeds.

    MSEs (s^2) are those on the validation half of `data`, the members' on average. `gain` is the share of it that the
    average saves: the members' variance about the average over their MSE (Krogh and Vedelsby, NIPS 1994). `spread_s` is
    the root of that variance; `gain_by_offsets` is what means of their own save, which constants do, too, and does not
    count in the word. Raises `UsageError` for fewer than two models.
    """
    if len(models) < 2:
        raise UsageError(f"{len(models)} model is no ensemble; pass two or more, of other seeds")
    target_s = data["val_response_s"].double()
    by_member_s = torch.stack([_predicted_s(model, data["val_eeg"]) for model in models])
    idle = check_idle_average(by_member_s, target_s)
    return {
        "members": float(len(models)),
        "mse_of_members_s2": mse(by_member_s, target_s),
        "mse_of_average_s2": mse(by_member_s.mean(dim=0), target_s),
        "mse_constant_s2": mse(mean_response_s(data), target_s),
        "gain": idle.numbers["gain"],
        "gain_by_offsets": idle.numbers["by_offsets"],
        "spread_s": float(by_member_s.var(dim=0, correction=0).mean().sqrt()),
        "judged": "idle" if idle.trouble else "gains",
    }


def _predicted_s(model: nn.Module, eeg: Tensor) -> Tensor:
    """Return predictions (N,) in float64; raise `UsageError` where BatchNorm would normalize by these windows."""
    if model.training:
        raise UsageError("the model is in training, where BatchNorm answers by the batch; call model.eval() first")
    with torch.no_grad():
        predicted_s: Tensor = model(eeg).double()
    return predicted_s


def _change_s(seen_s: Tensor, plain_s: Tensor) -> float:
    return float((seen_s - plain_s).abs().mean())
