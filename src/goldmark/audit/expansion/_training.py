"""What the record says of its training, epoch by epoch, and what a predictor that saw no window would have scored."""

from __future__ import annotations

from goldmark.audit._statement import Statement, checked, computed, of_metric
from goldmark.audit.expansion import _numbers as numbers
from goldmark.audit.expansion._numbers import TABLE
from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.full import DOCUMENTED, FULL
from goldmark.checks import shares

_EPOCHS = "JadeCompact record, epoch metrics"
_LOSSES = "JadeCompact record, loss components"
_ROUNDING = 0.001  # relative: the table's terms are rounded to two or three digits


def _total(epoch: int) -> Statement:
    row = TABLE[epoch]
    return Statement(
        name=f"total_at_epoch_{epoch}",
        source=f"{_LOSSES}, epoch {epoch}",
        says=f"type {row.type:g}, pointers {row.pointers:g}, span {row.span:g} and countdown {row.countdown:g} add up "
        f"to {row.total:g}",
        documented=row.total,
        parts=(computed("sum of the four terms", lambda: sum(row.terms.values()), near=row.total, rel=_ROUNDING),),
        why="the validation loss is the plain sum of the terms, without their uncertainty weights",
    )


def _share(epoch: int) -> Statement:
    row = TABLE[epoch]
    documented = row.countdown / row.total
    return Statement(
        name=f"countdown_share_at_epoch_{epoch}",
        source=f"{_LOSSES}, epoch {epoch}",
        says=f"the countdown is most of the loss: {row.countdown:g} of {row.total:g}",
        documented=round(documented, 4),
        parts=(
            computed("share of the four terms", lambda: shares(row.terms)["countdown"], near=documented, rel=_ROUNDING),
        ),
        why="a raw share: a Huber gradient is bounded, so that it says little of the countdown's pull",
    )


_WHAT_A_CONSTANT_SCORES = (
    Statement(
        name="type_loss",
        source=f"{_LOSSES}, type",
        says="the type loss falls from 1.08 to .68: the type is learned",
        documented=0.68,
        parts=(
            computed(
                "loss of the constant that knows 121 : 89, less that of epoch 100",
                lambda: numbers.entropy(*numbers.KINDS) - TABLE[100].type,
                low=0.01,
            ),
        ),
        why="a constant scores the entropy of the two types, and .68 is no less beyond rounding",
    ),
    Statement(
        name="pointers_loss",
        source=f"{_LOSSES}, pointers",
        says="the pointers' loss falls from .025 to .009: the pointers are learned",
        documented=0.009,
        parts=(computed("loss of the constant mean", numbers.pointers_loss_of_a_constant, low=0.0095),),
        why="a constant centre and length score no more than .009 as it is rounded",
    ),
    Statement(
        name="span_loss",
        source=f"{_LOSSES}, span",
        says="the span loss falls from .57 to .28: the span is learned",
        documented=0.28,
        parts=(
            computed(
                "loss of the constant 7.15 %", lambda: numbers.entropy(numbers.IN_SPAN, 1 - numbers.IN_SPAN), low=0.285
            ),
        ),
        why="the constant that knows how rare spans are scores the entropy of their share, which is below .28",
    ),
    Statement(
        name="countdown_loss",
        source=f"{_LOSSES}, countdown",
        says="the countdown's loss falls from 16.12 to 10.08: the start is being found",
        documented=10.08,
        parts=(
            computed("loss of knowing the number of the bar alone", numbers.countdown_loss_of_bar_index, low=10.08),
        ),
        why="a predictor that has seen no window, only the number of the bar, scores below 10.08",
    ),
    Statement(
        name="constant_zero",
        source="project, on the record's labels",
        says="answering 0 everywhere, the countdown's loss is 15.9",
        documented=15.9,
        parts=(computed("Huber loss of answer 0", numbers.countdown_loss_at_zero, near=15.9),),
        why="all starts and lengths of a span of 4 to 11 bars, equally often",
    ),
    Statement(
        name="bar_index",
        source="project, on the record's labels",
        says="knowing the number of the bar alone, the countdown's loss is 9.22",
        documented=9.22,
        parts=(
            computed("the best whole number for every bar", numbers.countdown_loss_of_bar_index, near=9.22, rel=0.05),
        ),
        why="the record's starts are not spread quite evenly, as those here are",
    ),
    Statement(
        name="validation_loss_falls",
        source=f"{_EPOCHS}, summary",
        says="validation loss falls from 17.79 to 11.05, by 37.9 %",
        documented=0.379,
        parts=(computed("1 - 11.05 / 17.79", lambda: 1 - TABLE[100].total / TABLE[1].total, near=0.379, rel=0.002),),
        why="the ratio of two rows of the table",
    ),
    Statement(
        name="loss_bar",
        source="JadeCompact record, success criteria",
        says="a validation loss that falls by 20 % is a success",
        documented=0.2,
        parts=(
            computed(
                "fall from epoch 1 down to one constant a term and the bar's number",
                lambda: 1 - numbers.loss_of_knowing_nothing() / TABLE[1].total,
                high=0.2,
            ),
        ),
        why="a predictor that has seen no window passes the bar",
    ),
)

_PROBABILITIES = (
    Statement(
        name="separation_at_epoch_1",
        source="JadeCompact record, probability statistics",
        says="at the start bars in a span have probability .423, the others .424: separation -.0008",
        documented=-0.0008,
        parts=(computed(".423 - .424", lambda: 0.423 - 0.424, low=-0.002, high=0.0),),
        why="within the rounding of the two means",
    ),
    Statement(
        name="separation_at_epoch_100",
        source="JadeCompact record, probability statistics",
        says="at the end .065 and .061: separation +.0036",
        documented=0.0036,
        parts=(computed(".065 - .061", lambda: 0.065 - 0.061, low=0.003, high=0.005),),
        why="within the rounding of the two means",
    ),
    Statement(
        name="probabilities_fall_to_the_share",
        source="JadeCompact record, probability statistics",
        says="probabilities fall from .42 to .06",
        documented=0.061,
        parts=(
            computed(
                "mean probability of all bars over the share of bars in a span",
                lambda: (0.065 * numbers.IN_SPAN + 0.061 * (1 - numbers.IN_SPAN)) / numbers.IN_SPAN,
                low=0.8,
                high=1.25,
            ),
        ),
        why="all of the fall is to the share of bars in a span, which is where a constant goes",
    ),
    Statement(
        name="separation_stays_small",
        source="JadeCompact record, probability statistics",
        says="with the countdown in bars the model hardly tells bars in a span from the others: separation .0036",
        documented=0.0036,
        parts=(of_metric("weak_clipped", "separation", low=-0.05, high=0.05),),
        why="windows with a weak cue stand for the record's",
    ),
)

_F1 = (
    Statement(
        name="f1_is_zero",
        source=_EPOCHS,
        says="F1, precision and recall are 0 for 100 epochs",
        documented=0.0,
        parts=(of_metric("weak_clipped", "span_f1", high=0.03), of_metric("clipped_countdown", "span_f1", high=0.03)),
        why="with a weak cue no probability reaches .5; with a strong one single seeds get through",
    ),
    Statement(
        name="countdown_dominates",
        source=f"{_LOSSES}, epoch 100",
        says="the countdown is 91.2 % of the loss",
        documented=0.912,
        parts=(
            computed(
                "share of the table's last row",
                lambda: shares(TABLE[100].terms)["countdown"],
                near=0.912,
                rel=_ROUNDING,
            ),
            of_metric("clipped_countdown", "countdown_share_raw", near=0.912, rel=0.1),
            of_metric("weak_clipped", "countdown_share_raw", near=0.912, rel=0.1),
        ),
        why="raw terms, as the record adds them",
    ),
    Statement(
        name="countdown_hides_the_span",
        source="JadeCompact record, diagnosis",
        says="the countdown's loss on [-20, 20] is why the span is not found",
        parts=(
            *checked(CASE.claim("normalizing_is_the_fix").check),
            of_metric("weak_no_countdown", "span_f1", low=0.13),
        ),
        why="true where the cue is strong and the trunk narrow; where the cue is weak, leaving it out changes nothing",
    ),
    Statement(
        name="gradient_norms",
        source="JadeCompact record, gradient statistics",
        says="gradient norms of 15.28, 29.96 and 5.99 at epochs 10, 50 and 100 are healthy (.001 to 100)",
        documented=15.28,
        why="runs keep each task's share of the gradient and not the norm of all, which is in that range in broken and "
        "fixed recipes alike",
    ),
)


def _of_the_full_matrix() -> tuple[Statement, ...]:
    """Return every number that the record gives for one of its runs, beside the stored runs of that size."""
    metrics = {metric.name: metric.says for metric in FULL.metrics}
    says = {variant.name: variant.says for variant in FULL.variants}
    return tuple(
        Statement(
            name=f"{variant}_{metric}",
            source="JadeCompact record, its own run" if variant == "weak_clipped" else "JadeCompact record, later runs",
            says=f"{says[variant]}: {metrics[metric]} is {value:g} at epoch 100",
            documented=value,
            parts=(
                of_metric(variant, metric, low=value - max(0.25 * value, 0.03), high=value + max(0.25 * value, 0.03)),
            ),
            why="held to a quarter of the number, or .03: the record is one seed on data that are not at hand",
            scale="full",
        )
        for variant, numbers_of in DOCUMENTED.items()
        for metric, value in numbers_of.items()
    )


STATEMENTS = (
    *map(_total, TABLE),
    *map(_share, TABLE),
    *_WHAT_A_CONSTANT_SCORES,
    *_PROBABILITIES,
    *_F1,
    *_of_the_full_matrix(),
)
