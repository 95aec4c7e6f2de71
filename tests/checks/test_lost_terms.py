"""Terms of a loss that no output reaches, and labels whose loss no output changes."""

import torch
from torch.nn import functional

from goldmark import checks
from goldmark.checks._unreached import UnreachedTerms


def added(loss_of, *, zero=False):
    """The terms without a gradient that `loss_of(output, teacher)` adds up."""
    generator = torch.Generator().manual_seed(0)
    output, teacher = (torch.randn(4, 3, generator=generator) for _ in range(2))
    with UnreachedTerms((), zero=zero) as heard:
        loss_of(output.requires_grad_(), teacher)
    return heard.terms.added


def test_a_term_without_outputs_is_heard_where_it_is_added():
    """Whatever it is multiplied by; what is only looked at, subtracted, or a weight, passes."""
    assert ["l1_loss"] == added(lambda f, t: f.sum() + 0.1 * functional.l1_loss(t, 2 * t))
    assert [] == added(lambda f, t: f.sum() * functional.l1_loss(t, 2 * t) - functional.l1_loss(t, 2 * t))
    assert [] == added(lambda f, t: f.sum() + functional.l1_loss(f, t))


def test_a_distance_from_itself_is_zero():
    """A frozen part may be far from its targets without a gradient, for a while."""
    far = added(lambda f, t: f.sum() + functional.kl_div(t.log_softmax(1), (-t).softmax(1), reduction="sum"), zero=True)
    assert [] == far
    same = added(lambda f, t: f.sum() + functional.kl_div(t.log_softmax(1), t.softmax(1), reduction="sum"), zero=True)
    assert ["kl_div"] == same


def test_divergences_get_logarithms_and_probabilities():
    """In their places, and both ways round; a mistake is told from the numbers alone."""
    shares = torch.tensor([[0.2, 0.8], [0.5, 0.5]])
    for given in ((shares.log(), shares, False), (shares.log(), shares.log(), True)):
        assert not checks.check_divergence_arguments([given]).trouble
    for given in ((shares, shares, False), (shares.log(), shares, True), (shares.log(), shares.log(), False)):
        assert checks.check_divergence_arguments([given]).trouble


def test_a_label_whose_loss_is_constant_is_unlearnable():
    """A hinge wants -1 and 1; a mask costs nothing where it is 0."""
    output, targets = torch.tensor([0.3, -0.2, 0.1, -0.4]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    assert checks.check_unlearnable_label(lambda f, y: (1 - y * f).relu().mean(), output, targets).trouble
    assert not checks.check_unlearnable_label(lambda f, y: (1 - (2 * y - 1) * f).relu().mean(), output, targets).trouble
    assert not checks.check_unlearnable_label(lambda f, y: (y * (1 - f)).mean(), output, targets).trouble


def test_targets_of_0_and_1_are_no_signs():
    """Zeros beside -1, or alone, may leave examples out."""
    for targets, trouble in (([0.0, 1.0], True), ([-1.0, 1.0], False), ([-1.0, 0.0, 1.0], False), ([0.0, 0.0], False)):
        assert trouble == checks.check_sign_targets([("soft_margin_loss", torch.tensor(targets))]).trouble
