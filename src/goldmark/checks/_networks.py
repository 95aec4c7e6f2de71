"""Networks: sharing, units that are dead or alike, layers that cannot carry what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from goldmark.case import Finding
from goldmark.checks._graph import leaves
from goldmark.checks._ownership import living
from goldmark.checks._structures import tensors_of

Tie = Sequence[Any] | str  # names of parameters, or the parameters themselves


def parameters_by_name(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return every parameter under every name that it has."""
    return dict(model.named_parameters(remove_duplicate=False))


def check_missing_sharing(model: nn.Module, tied: Iterable[Tie]) -> Finding:
    """Find out whether parameters that are declared to be one are several; each tie holds names or parameters."""
    apart = [tie for tie in _ties(tied) if len({id(one) for one in _resolved(model, tie)}) > 1]
    return Finding(
        name="missing_sharing",
        trouble=bool(apart),
        numbers={"ties_missing": float(len(apart))},
        threshold=0.0,
        relation=f"declared to be one parameter: {', '.join(map(_tie_name, apart))}",
        advice="assign the parameter itself (head.weight = embedding.weight), after all moving, copying and loading",
    )


def _ties(tied: Iterable[Tie]) -> list[Sequence[Any]]:
    """Return the ties; a flat list of names, modules or parameters is one tie."""
    ties = list(tied)
    if ties and all(isinstance(tie, str | Tensor | nn.Module) for tie in ties):
        return [ties]
    return [tie for tie in ties if not isinstance(tie, str)]


def _tie_name(tie: Sequence[Any]) -> str:
    return " = ".join(one if isinstance(one, str) else "a parameter" for one in tie)


def _resolved(model: nn.Module, tie: Sequence[Any]) -> list[Tensor]:
    """Return the parameters of a tie; the name of a module stands for its weight. Raise `ValueError` otherwise."""
    known, modules = parameters_by_name(model), dict(model.named_modules(remove_duplicate=False))
    resolved: list[Tensor] = []
    for one in tie:
        name = one if isinstance(one, str) else next((n for n, m in modules.items() if m is one), None)
        tensor = one if isinstance(one, Tensor) else known.get(str(name), known.get(f"{name}.weight"))
        if tensor is None:
            raise ValueError(f"tied names '{one}', and the model has no such parameter; it has: {', '.join(known)}")
        resolved.append(tensor)
    return resolved


def check_undeclared_sharing(model: nn.Module, calls: Mapping[nn.Module, int], tied: Iterable[Tie] = ()) -> Finding:
    """Find out whether a layer with weights stands in a container several times and runs as often, undeclared.

    `calls` counts how often each module ran in a forward pass. An alias that runs once passes, and so does the weight
    that a language model shares between its embedding and its output.
    """
    declared = {id(one) for tie in _ties(tied) for one in _resolved(model, tie)}
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    shared = [
        own
        for module, own in names.items()
        if _is_copy(own)
        and calls.get(module, 0) > 1
        and any(id(parameter) not in declared for parameter in module.parameters(recurse=False))
    ]
    return Finding(
        name="undeclared_sharing",
        trouble=bool(shared),
        numbers={"layers_shared": float(len(shared))},
        threshold=0.0,
        relation=f"layers that are one and the same: {', '.join(' = '.join(own) for own in shared)}",
        advice="build each layer anew ([Layer() for _ in range(n)], not [Layer()] * n), or declare it: tied=[...]",
    )


def _is_copy(names: list[str]) -> bool:
    """Tell whether some of the names are places in one list: `blocks.0` and `blocks.1`, or `blocks.0.fc`, ..."""
    patterns = [tuple("#" if part.isdigit() else part for part in name.split(".")) for name in names]
    return len(names) > 1 and any(patterns.count(pattern) > 1 and "#" in pattern for pattern in patterns)


def check_half_tied(model: nn.Module) -> Finding:
    """Find out whether two parameters hold the same memory: each is updated by its own gradient, in turn."""
    places: dict[tuple[Any, ...], list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.numel() > 1:
            key = (parameter.data_ptr(), tuple(parameter.shape), parameter.stride(), str(parameter.device))
            places.setdefault(key, []).append(name)
    pairs = [names for key, names in places.items() if len(names) > 1 and key[0] != 0]
    return Finding(
        name="half_tied",
        trouble=bool(pairs),
        numbers={"pairs": float(len(pairs))},
        threshold=0.0,
        relation=f"two parameters in one memory: {', '.join(' = '.join(names) for names in pairs)}",
        advice="share the parameter (head.weight = embedding.weight), not its data (head.weight.data = ...)",
    )


def check_hidden_parameters(model: nn.Module, with_gradient: Iterable[Tensor]) -> Finding:
    """Find out whether tensors that a model keeps get a gradient and are not among its parameters.

    Layers in plain lists and dicts, tensors that were never wrapped, and those that were computed from a parameter
    that no module has, as `nn.Parameter(...).to(device)` is. What an optimizer owns is the caller's to leave out of
    `with_gradient`.
    """
    known = {id(parameter) for parameter in model.parameters()}
    kept = [(name, tensor) for module in model.modules() for name, tensor in _kept(module)]
    loose = {id(tensor): tensor for tensor in with_gradient if id(tensor) not in known}
    hidden = sorted({*(name for name, tensor in kept if id(tensor) in loose), *_computed(kept, loose)})
    return Finding(
        name="hidden_parameters",
        trouble=bool(hidden),
        numbers={"tensors": float(len(hidden))},
        threshold=0.0,
        relation=f"what gets a gradient must be a parameter: {', '.join(hidden)}",
        advice=(
            "use nn.Parameter (around all else: nn.Parameter(t.to(device))), nn.ModuleList and nn.ModuleDict, so that "
            "optimizers, .to() and checkpoints see them"
        ),
    )


def _computed(kept: Iterable[tuple[str, Tensor]], loose: Mapping[int, Tensor]) -> Iterator[str]:
    """Yield the names of kept tensors that were computed from `loose` parameters alone, which no living module has.

    A layer's output that is kept from a forward pass was computed from the model's own parameters.
    """
    made = {id(tensor) for tensor in loose.values() if isinstance(tensor, nn.Parameter)}
    computed = [(name, leaves(tensor)) for name, tensor in kept if made and tensor.grad_fn is not None]
    if computed:
        made -= {id(one) for module in living(nn.Module) for one in vars(module).get("_parameters", {}).values()}
    yield from (name for name, own in computed if own and {id(leaf) for leaf in own} <= made)


def _kept(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if name in ("_parameters", "_modules", "_buffers"):
            continue
        yield from ((name, tensor) for tensor in tensors_of(value))
        inner = _modules_in(value) if isinstance(value, dict | list | tuple) else ()
        yield from ((f"{name}.{sub}", tensor) for one in inner for sub, tensor in one.named_parameters())


def _modules_in(value: Any, depth: int = 3) -> Iterator[nn.Module]:
    """Yield the modules in lists and dicts, and in those that these hold."""
    if isinstance(value, nn.Module):
        yield value
    elif depth and isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _modules_in(item, depth - 1)


def check_symmetric_units(gradients: Mapping[str, tuple[Tensor, Tensor]]) -> Finding:
    """Find out whether the units of a layer are equal in weights and in gradients, and so will be for ever.

    Pass weights and gradients by name. An output layer that starts at zero passes: its units get unlike gradients.
    """
    alike = [
        name
        for name, (weight, gradient) in gradients.items()
        if weight.dim() >= 2 and len(weight) > 1 and not gradient.is_sparse and _equal_rows(weight, gradient)
    ]
    return Finding(
        name="symmetric_units",
        trouble=bool(alike),
        numbers={"layers": float(len(alike))},
        threshold=0.0,
        relation=f"units of a layer must differ, in weights or gradients: {', '.join(alike)}",
        advice="draw initial weights at random: zeros and constants make all units of a layer one",
    )


def _equal_rows(weight: Tensor, gradient: Tensor) -> bool:
    if not bool((weight == weight[:1]).all()):
        return False
    rows = gradient.flatten(1)
    scale = rows.abs().max()
    return bool(((rows - rows[:1]).abs().max() <= 1e-5 * scale) | (scale == 0))  # sums over rows differ in rounding


def check_dead_units(activations: Mapping[str, Tensor], threshold: float = 0.9) -> Finding:
    """Find out whether more than `threshold` of the units of a ReLU layer are zero for every example.

    Activations are (N, ..., units), or (N, channels, H, W).
    """
    shares = {name: _dead_share(activation) for name, activation in activations.items()}
    worst = max(shares, key=lambda name: shares[name], default="")
    return Finding(
        name="dead_units",
        trouble=bool(shares) and shares[worst] > threshold,
        numbers={"largest_share": shares.get(worst, 0.0)},
        threshold=threshold,
        relation=f"a unit must be active for some example: those of '{worst}' are not",
        advice="lower the learning rate, scale the inputs, or look at initial weights and biases",
    )


def _dead_share(activation: Tensor) -> float:
    units = activation.movedim(1, -1) if activation.dim() == 4 else activation
    return float((units.reshape(-1, units.shape[-1]) == 0).all(dim=0).double().mean())


def _centred_logarithm(probabilities: Tensor) -> Tensor:
    logarithms = probabilities.double().log()
    return logarithms - logarithms.mean(dim=-1, keepdim=True)


UNDONE: Mapping[str, Callable[[Tensor], Tensor]] = {  # activations of outputs, by the names of their nodes
    "Sigmoid": lambda shares: shares.double().logit(),
    "Tanh": lambda values: values.double().atanh(),
    "Softmax": _centred_logarithm,
    "LogSoftmax": lambda logarithms: _centred_logarithm(logarithms.double().exp()),
}


def check_affine_network(outputs: Mapping[str, Tensor], hidden_layers: int, threshold: float = 1e-4) -> Finding:
    """Find out whether a network of several wide layers is one affine map: f((a + b) / 2) = (f(a) + f(b)) / 2.

    `outputs` holds what the network gives for inputs `a`, `b` and their `middle`.
    """
    ends = (outputs["a"].double() + outputs["b"].double()) / 2
    spread = float((outputs["a"].double() - outputs["b"].double()).abs().max()) + 1e-12
    bend = float((ends - outputs["middle"].double()).abs().max()) / spread
    return Finding(
        name="affine_network",
        trouble=hidden_layers > 0 and bend < threshold and spread > 1e-6,
        numbers={"bend": bend, "hidden_layers": float(hidden_layers)},
        threshold=threshold,
        relation="layers without an activation between them are one layer",
        advice="put an activation between the layers",
    )


def check_vanishing_gradient(sizes: Sequence[float], threshold: float = 1e-5) -> Finding:
    """Find out whether the gradient of the first layer is lost beside that of the last; largest entries, in order."""
    ratio = sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else 1.0
    return Finding(
        name="vanishing_gradient",
        trouble=0 < ratio < threshold,
        numbers={"first_over_last": ratio},
        threshold=threshold,
        relation="the first layer must hear of the loss",
        advice="use ReLU or its kin instead of sigmoids, residual connections, normalisation, or fewer layers",
    )


def check_inputs_ignored(outputs: Tensor, threshold: float = 1e-6) -> Finding:
    """Find out whether outputs (N, ...) of unlike examples are all the same."""
    values = outputs.detach().double()
    scale = float(values.abs().max()) + 1e-12
    spread = float((values - values[:1]).abs().max()) / scale
    return Finding(
        name="inputs_ignored",
        trouble=len(values) > 1 and spread < threshold,
        numbers={"spread": spread},
        threshold=threshold,
        relation="unlike inputs must give unlike outputs",
        advice="look for dead units, a saturated activation, zero weights, or an input that is overwritten on its way",
    )


def inner_bottleneck(widths: Sequence[tuple[int, int]]) -> int:
    """Return how many layers between the first and the last are no narrower than both ends of the network."""
    if len(widths) < 2:
        return 0
    narrow = min(widths[0][0], widths[-1][1])
    return sum(out >= narrow for _, out in widths[:-1])


def check_silent_units(dead: Mapping[str, Tensor], threshold: float = 0.9) -> Finding:
    """Find out whether more than `threshold` of the units of a hidden layer never get a gradient."""
    shares = {name: float(units.double().mean()) for name, units in dead.items()}
    worst = max(shares, key=lambda name: shares[name], default="")
    return Finding(
        name="silent_units",
        trouble=shares.get(worst, 0.0) > threshold,
        numbers={"largest_share": shares.get(worst, 0.0)},
        threshold=threshold,
        relation=f"a unit must get a gradient from some example: those of '{worst}' get none",
        advice="lower the learning rate, scale the inputs, or look at initial weights and biases",
    )
