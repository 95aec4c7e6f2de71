"""How a model starts: what only its first weights make of it, and what it would be with others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._networks import check_symmetric_units
from goldmark.checks._passes import ForwardPass, forward_backward
from goldmark.checks._preflight import Look
from goldmark.checks._saturation import check_saturated_units, trained_layers
from goldmark.checks._structures import call, first_tensor

_MOST_STEPS = 16
_LENGTH = 0.01  # of a step, for the largest entry of a gradient


def with_weights(model: nn.Module, one: ForwardPass) -> dict[str, tuple[Tensor, Tensor]]:
    """Return weights and gradients of a pass by name; sparse gradients are left out."""
    parameters = dict(model.named_parameters())
    given = {name: gradient for name, gradient in one.gradients.items() if not gradient.is_sparse}
    return {name: (parameters[name].detach(), gradient) for name, gradient in given.items()}


def saturated_units(look: Look) -> Finding | None:
    """Judge the bounded activations of a network that no optimizer has trained so far."""
    if any(optimizer.state for optimizer in look.optimizers):
        return None
    return check_saturated_units([layer.saturated for layer in trained_layers(look.first.bounded.hidden)])


def units_without_gradient(look: Look) -> Finding | None:
    """Judge layers whose units are equal and get no gradient in the first pass; changes weights.

    Where branches and the output start at zero, a gradient comes by one of these layers in each step. After a step for
    each, of a length that no schedule or small rate decides on, layers that still are equal will be for ever.
    """
    waiting = {name for name, pair in with_weights(look.model, look.first).items() if _are_equal(*pair)}
    if not waiting:
        return None
    one = forward_backward(look.model, look.first.inputs, look.first.targets, look.loss_fn)
    for _ in range(min(len(waiting), _MOST_STEPS)):
        _step(look.model)
        torch.default_generator.manual_seed(0)  # the same dropout in every step
        one = forward_backward(look.model, one.inputs, one.targets, look.loss_fn)
    left = {name: pair for name, pair in with_weights(look.model, one).items() if name in waiting}
    return check_symmetric_units(left)


def _are_equal(weight: Tensor, gradient: Tensor) -> bool:
    """Tell whether units of a layer start equal, and without a gradient."""
    return weight.dim() > 1 and bool((weight == weight[:1]).all()) and not bool(gradient.any())


def _step(model: nn.Module) -> None:
    """Go down the gradient of each parameter that trains, by its largest entry."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.grad is not None:
                gradient = parameter.grad.to_dense()
                parameter.sub_(_LENGTH * gradient / gradient.abs().max().clamp_min(1e-30))


@contextmanager
def other_weights(model: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let the parameters that train be what `change` makes of them, for a while."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    known = [parameter.detach().clone() for parameter in trained]
    with torch.no_grad():
        for parameter in trained:
            parameter.copy_(change(parameter))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(trained, known, strict=True):
                parameter.copy_(before)


def drawn(parameter: Tensor) -> Tensor:
    """Return a parameter plus noise of variance 1 / inputs: none is 0 then, or so small that a layer hardly bends."""
    fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
    noise: Tensor = torch.randn_like(parameter) / max(fan_in, 1) ** 0.5
    return parameter + noise


def opened(parameter: Tensor) -> Tensor:
    """Return a parameter as it is, or noise in place of one that is zero throughout."""
    return parameter if bool(parameter.any()) else drawn(parameter)


def outputs_with(look: Look, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the first outputs of the first pass with other weights; raise `ValueError` where there is none."""
    look.model.train()
    torch.default_generator.manual_seed(0)  # the dropout of the first pass
    with other_weights(look.model, change), torch.no_grad():
        output = first_tensor(call(look.model, look.first.inputs))
    if output is None:
        raise ValueError("the output holds no tensor")
    return output


def ends_and_middle(look: Look, inputs: Tensor) -> dict[str, Tensor]:
    """Return the outputs in eval mode for one half of some inputs, for the other, and for what lies between them."""
    half = len(inputs) // 2
    a, b = inputs[:half], inputs[half : 2 * half]
    look.model.eval()
    with torch.no_grad():
        given = {"a": a, "b": b, "middle": (a + b) / 2}
        outputs = {name: first_tensor(call(look.model, value)) for name, value in given.items()}
    return {name: output for name, output in outputs.items() if output is not None}


def has_size_of_its_own(look: Look, factor: float = 16.0) -> bool:
    """Tell whether outputs are as large with weights that are far smaller, as cosines over a temperature are."""
    after = outputs_with(look, lambda parameter: parameter / factor if parameter.dim() > 1 else parameter)
    sizes = [float(one.detach().double().square().mean().sqrt()) for one in (look.first.first_output, after)]
    return sizes[1] > sizes[0] / 2
