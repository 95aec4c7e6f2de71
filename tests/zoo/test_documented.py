"""The four documented systems: each broken variant gets the finding that names its cause, each fixed one none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import goldmark
from goldmark.cases import find_case
from goldmark.cases.eeg.mixup import mix_batch
from goldmark.cases.expansion.terms import huber, term_losses, total_loss, weighted
from goldmark.cases.roast.scores import next_steps
from goldmark.checks import check_wrong_mixup
from goldmark.runs import Job
from goldmark.training._prepare import prepare
from goldmark.training.draws import Draws

N_STEPS = 12


class ByRows(nn.Module):
    """A model of the catalogue whose inputs are named by their rows in the training half."""

    def __init__(self, model, outputs):
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, rows):
        """What the model answers to these rows."""
        return self.outputs(self.model, rows)


def looked_at(case_name, variant, outputs_of, targets_of, loss_of, terms_of=None):
    """Return the names of the findings before and during the first steps of a variant.

    `outputs_of(run)` gives the function of model and rows, `targets_of(run, rows)` the targets, and
    `loss_of(run, output, targets)` the loss of the case.
    """
    run = prepare(Job(find_case(case_name), variant, 0))
    model, settings = ByRows(run.model, outputs_of(run)), run.settings
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr)
    rows = torch.arange(settings.n_train)
    batches = [(part, targets_of(run, part)) for part in rows.split(min(settings.batch, 16))]

    def loss_fn(output, targets):
        return loss_of(run, output, targets)

    early = goldmark.preflight(model, optimizer, batches, None, loss_fn)
    with goldmark.watch(model, optimizer) as watch:
        for part, targets in (batches * N_STEPS)[:N_STEPS]:
            output = model(part)
            loss = loss_fn(output, targets)
            optimizer.zero_grad()
            loss.backward()
            terms = terms_of(run, output, targets) if terms_of else None
            watch.after_backward((part, targets), output, loss, terms)
            optimizer.step()
    return {*early.names, *watch.findings.names}


def of_roast(variant):
    """Next temperatures of roast profiles, over valid steps."""

    def outputs_of(run):
        return lambda model, rows: next_steps(model, run.data, "train", rows)[0]

    def targets_of(run, rows):
        return {"next": next_steps(run.model, run.data, "train", rows)[1].detach(), "valid": valid_of(run, rows)}

    def valid_of(run, rows):
        return run.data["train_valid"][rows][:, 1:]

    def loss_of(run, output, targets):
        return ((output["next"] - targets["next"]).square() * targets["valid"]).sum() / targets["valid"].sum()

    return looked_at(
        "roast", variant, lambda run: lambda m, rows: {"next": outputs_of(run)(m, rows)}, targets_of, loss_of
    )


def of_eeg(variant):
    """Response times from windows of EEG."""

    def outputs_of(run):
        return lambda model, rows: model(run.data["train_eeg"][rows])

    return looked_at(
        "eeg",
        variant,
        outputs_of,
        lambda run, rows: run.data["train_response_s"][rows],
        lambda run, output, targets: (output - targets).square().mean(),
    )


def of_expansion(variant):
    """Four terms on windows of market bars; the countdown on the scale that it is trained on."""

    def outputs_of(run):
        return lambda model, rows: term_losses(model, run.data, "train", rows)[1]

    def targets_of(run, rows):
        scales = run.model.scales
        countdown = (run.data["train_countdown"][rows] - scales.countdown_zero) / scales.countdown_unit
        names = ("kind", "pointers", "span")
        return {"countdown": countdown, **{name: run.data[f"train_{name}"][rows] for name in names}}

    def losses_of(run, output, targets):
        scales, binary = run.model.scales, nn.functional.binary_cross_entropy_with_logits
        return {
            "type": nn.functional.cross_entropy(output.kind, targets["kind"]),
            "pointers": huber(output.pointers, targets["pointers"], 0.08),
            "span": binary(output.span, targets["span"], pos_weight=scales.pos_weight),
            "countdown": huber(output.countdown, targets["countdown"], scales.countdown_delta),
        }

    def loss_of(run, output, targets):
        return total_loss(run.model, losses_of(run, output, targets), run.settings)

    def terms_of(run, output, targets):
        return weighted(run.model, losses_of(run, output, targets), run.settings)

    assert terms_of is not None
    return looked_at("expansion", variant, outputs_of, targets_of, loss_of)


def of_poetry(variant):
    """Windows of word vectors, through a code and back."""

    def outputs_of(run):
        return lambda model, rows: model(run.data["train_tokens"][rows])

    return looked_at(
        "poetry",
        variant,
        outputs_of,
        lambda run, rows: run.data["train_tokens"][rows],
        lambda run, output, targets: (output - targets).square().mean(),
    )


BROKEN = [
    (of_roast, "raw_targets", "target_scale"),
    (of_roast, "raw_fahrenheit", "target_scale"),
    (of_eeg, "volts", "input_scale"),
    (of_expansion, "clipped_countdown", "target_scale"),
    (of_expansion, "plain_sum", "target_scale"),
    (of_poetry, "narrow", "narrow_output"),
]
FIXED = [
    (of_roast, "normalized"),
    (of_eeg, "mixup"),
    (of_expansion, "normalized_countdown"),
    (of_poetry, "wide"),
]


@pytest.mark.parametrize(("look", "variant", "cause"), BROKEN)
def test_a_broken_variant_gets_the_finding_that_names_its_cause(look, variant, cause):
    """Before training, or in its first steps."""
    assert cause in look(variant)


@pytest.mark.parametrize(("look", "variant"), FIXED)
def test_a_fixed_variant_gets_no_finding(look, variant):
    """Neither before nor during its first steps."""
    assert set() == look(variant)


@pytest.mark.parametrize(("variant", "trouble"), [("mixup", False), ("no_mixup", True), ("inputs_only_mixup", True)])
def test_mixup_left_out_or_of_inputs_alone_is_wrong_mixup(variant, trouble):
    """No loop shows that mixup was meant: the share of mixed batches is declared, as in the fix."""
    run = prepare(Job(find_case("eeg"), variant, 0))
    weights = iter(run.data["step_mix_weight"].flatten(0, 1).repeat(1, 16)[:64, :16])

    def mix(x, y):
        return mix_batch(x, y, next(weights), Draws.at(0, len(x)), run.settings)

    assert trouble == check_wrong_mixup(mix, fraction=1.0, n_batches=16).trouble
