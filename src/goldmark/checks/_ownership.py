"""Who owns which parameter, and which of them hear of the loss."""

from __future__ import annotations

import gc
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from goldmark.case import Finding

Optimizers = Sequence[torch.optim.Optimizer]


def owned(optimizers: Optimizers) -> dict[int, Tensor]:
    """Return the parameters of some optimizers, by identity."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return {id(parameter): parameter for group in groups for parameter in group["params"]}


def is_stepped(parameter: Tensor, optimizers: Optimizers) -> bool:
    """Tell whether one of the optimizers owns a parameter, and has had a gradient for it or may get one."""
    owners = [optimizer for optimizer in optimizers if id(parameter) in owned([optimizer])]
    heard = parameter.requires_grad or parameter.grad is not None
    return any(heard or bool(optimizer.state.get(parameter)) for optimizer in owners)


def trains(module: nn.Module, optimizers: Optimizers) -> bool:
    """Tell whether all parameters of a module are trainable and owned, and an optimizer has had a gradient for some."""
    parameters, mine = list(module.parameters()), owned(optimizers)
    return all(one.requires_grad and id(one) in mine for one in parameters) and any(
        one.grad is not None or bool(optimizer.state.get(one)) for one in parameters for optimizer in optimizers
    )


def climbs(optimizers: Optimizers, names: Container[int]) -> bool:
    """Tell whether an optimizer maximises by parameters of a model, of ids `names`: others may be multipliers."""
    groups = [group for one in optimizers for group in one.param_groups if group.get("maximize", False)]
    return any(id(parameter) in names for group in groups for parameter in group["params"])


def living(kind: type) -> list[Any]:
    """Return the living objects of a class, wherever the program keeps them: a few ms, so ask on suspicion alone."""
    return [one for one in gc.get_objects() if issubclass(type(one), kind)]


def check_nothing_trainable(model: nn.Module, optimizers: Optimizers, trained: Container[int] = ()) -> Finding:
    """Find out whether no parameter of a model is trainable, owned and stepped with a learning rate above 0.

    A rate of 0 where a schedule has begun is a warm-up. `trained` holds the ids of parameters that had a gradient
    before, as a critic's that is frozen while its generator trains.
    """
    mine = {id(one) for one in model.parameters() if one.requires_grad or id(one) in trained}
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    moving = [group for group in groups if group.get("lr") is None or float(group["lr"]) > 0 or "initial_lr" in group]
    n_moving = sum(id(parameter) in mine for group in moving for parameter in group["params"])
    return Finding(
        name="nothing_trainable",
        trouble=n_moving == 0,
        numbers={"trainable": float(len(mine)), "trainable_and_stepped": float(n_moving)},
        threshold=0.0,
        relation="an optimizer must own trainable parameters, with a learning rate above 0",
        advice="build the optimizer from the parameters of this very model, after it is replaced, copied or thawed",
    )


def check_unowned_parameters(
    names: Mapping[int, str], with_gradient: Iterable[Tensor], optimizers: Optimizers, frozen: Sequence[str] = ()
) -> Finding:
    """Find out whether parameters get a gradient and no optimizer that lives anywhere owns them.

    `names` are the model's parameters, and those that a loss has itself, by identity. What is declared frozen passes.
    """
    mine = owned(optimizers)
    loose = [tensor for tensor in with_gradient if id(tensor) in names and id(tensor) not in mine]
    loose = [tensor for tensor in loose if not is_declared(names[id(tensor)], frozen)]
    if loose:
        elsewhere = owned(living(torch.optim.Optimizer))
        loose = [tensor for tensor in loose if id(tensor) not in elsewhere]
    return Finding(
        name="unowned_parameters",
        trouble=bool(loose),
        numbers={"parameters": float(len(loose))},
        threshold=0.0,
        relation=f"what gets a gradient must be stepped: {_some(names[id(tensor)] for tensor in loose)}",
        advice="give them to the optimizer, or freeze them (requires_grad_(False)) and declare that: frozen=[...]",
    )


def names_of(model: nn.Module, declared: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of modules and parameters of a model, which may be declared by name or as they are."""
    given = [declared] if isinstance(declared, str | nn.Module | Tensor) else declared
    parts = [*model.named_modules(remove_duplicate=False), *model.named_parameters(remove_duplicate=False)]
    names: list[str] = []
    for one in given:
        if isinstance(one, str):
            names.append(one)
        elif one is model:
            names += [name for name, _ in (*model.named_children(), *model.named_parameters(recurse=False))]
        else:
            names.append(
                next((name for name, part in parts if part is one), f"a {type(one).__name__} of another model")
            )
    return tuple(names)


def is_declared(name: str, frozen: Sequence[str]) -> bool:
    """Tell whether a parameter is one of the names, or below one."""
    return any(name == prefix or name.startswith(prefix.rstrip(".") + ".") for prefix in frozen)


def _some(names: Iterable[str], most: int = 5) -> str:
    known = sorted(names)
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")


def check_orphaned_parameters(
    names: Mapping[int, str], with_gradient: Iterable[Tensor], optimizers: Optimizers
) -> Finding:
    """Find out whether an optimizer owns parameters that the model does not have and that no loss reaches."""
    reached = {id(tensor) for tensor in with_gradient}
    strangers = [key for key, tensor in owned(optimizers).items() if key not in names and tensor.requires_grad]
    orphans = [key for key in strangers if key not in reached]
    return Finding(
        name="orphaned_parameters",
        trouble=bool(orphans),
        numbers={"parameters": float(len(orphans)), "owned": float(len(owned(optimizers)))},
        threshold=0.0,
        relation="what an optimizer owns must be part of the model, or of the loss",
        advice="build the optimizer after layers are replaced, copied, or moved to another model",
    )


def check_parameters_made_in_forward(
    first: Iterable[Tensor], second: Iterable[Tensor], names: Mapping[int, str], optimizers: Optimizers
) -> Finding:
    """Find out whether a forward pass makes parameters anew: those that the loss of one pass reaches, and no other's.

    `first` and `second` are the leaves that two passes reached, kept alive. Another network that takes part in the
    loss is reached in both.
    """
    known = {*names, *owned(optimizers), *(id(tensor) for tensor in second)}
    fresh = [tensor for tensor in first if isinstance(tensor, nn.Parameter) and id(tensor) not in known]
    return Finding(
        name="parameters_made_in_forward",
        trouble=bool(fresh),
        numbers={"parameters": float(len(fresh))},
        threshold=0.0,
        relation=f"every pass must use the same parameters: those of shapes {[tuple(one.shape) for one in fresh[:3]]}",
        advice="make layers in __init__ and use them in forward: one that is made in forward is random in every pass",
    )


def check_graph_cut(
    names: Mapping[int, str], with_gradient: Iterable[Tensor], optimizers: Optimizers, used: Collection[int]
) -> Finding:
    """Find out whether trained parameters took part in the forward pass (`used`, by identity) and get no gradient."""
    cut = _without_gradient(names, with_gradient, optimizers)
    cut = [key for key in cut if key in used]
    return Finding(
        name="graph_cut",
        trouble=bool(cut),
        numbers={"parameters": float(len(cut))},
        threshold=0.0,
        relation=f"what takes part in the output must get a gradient: {_some(names[key] for key in cut)}",
        advice="look for detach, .data, no_grad, .item(), numpy, argmax or rounding after these layers",
    )


def check_unused_parameters(
    names: Mapping[int, str],
    with_gradient: Iterable[Tensor],
    optimizers: Optimizers,
    used: Collection[int] = (),
    frozen: Sequence[str] = (),
) -> Finding:
    """Find out whether trained parameters take no part in the forward pass and get no gradient.

    One of several alike in a list, of which others are used (`experts.3.weight` beside `experts.0.weight`), passes: an
    expert may wait long for its first example.
    """
    with_gradient = list(with_gradient)
    alike = {_pattern(names[id(tensor)]) for tensor in with_gradient if id(tensor) in names}
    unused = _without_gradient(names, with_gradient, optimizers)
    unused = [key for key in unused if "#" not in _pattern(names[key]) or _pattern(names[key]) not in alike]
    unused = [key for key in unused if key not in used and not is_declared(names[key], frozen)]
    return Finding(
        name="unused_parameters",
        trouble=bool(unused),
        numbers={"parameters": float(len(unused))},
        threshold=0.0,
        relation=f"a trained parameter must get a gradient: {_some(names[key] for key in unused)}",
        advice="use these layers in forward, or remove or freeze them",
    )


def _pattern(name: str) -> str:
    """Return a parameter's name with the places in lists left out."""
    return ".".join("#" if part.isdigit() else part for part in name.split("."))


def _without_gradient(names: Mapping[int, str], with_gradient: Iterable[Tensor], optimizers: Optimizers) -> list[int]:
    reached = {id(tensor) for tensor in with_gradient}
    mine = owned(optimizers)
    return [key for key in names if key in mine and mine[key].requires_grad and key not in reached]


def check_frozen_parameters_move(model: nn.Module, optimizers: Optimizers, frozen: Sequence[str]) -> Finding:
    """Find out whether parameters that are declared frozen are trainable and stepped."""
    mine = owned(optimizers)
    declared = {name: p for name, p in model.named_parameters() if is_declared(name, frozen)}
    if frozen and not declared:
        known = ", ".join(name for name, _ in model.named_children())
        raise ValueError(f"frozen names {list(frozen)}, and no parameter of the model is below one; it has: {known}")
    moving = [name for name, parameter in declared.items() if parameter.requires_grad and id(parameter) in mine]
    return Finding(
        name="frozen_parameters_move",
        trouble=bool(moving),
        numbers={"parameters": float(len(moving)), "declared": float(len(declared))},
        threshold=0.0,
        relation=f"what is declared frozen must not be trained: {_some(moving)}",
        advice="requires_grad_(False) on each parameter (setting the attribute on a module does nothing)",
    )


def check_optimizer_settings(optimizers: Optimizers) -> Finding:
    """Find out whether Adam's two averages are swapped, or a momentum is 1 or more."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    swapped = [group["betas"] for group in groups if "betas" in group and group["betas"][0] > group["betas"][1]]
    endless = [group["momentum"] for group in groups if group.get("momentum", 0.0) >= 1]
    return Finding(
        name="optimizer_settings",
        trouble=bool(swapped or endless),
        numbers={"groups_with_swapped_betas": float(len(swapped)), "groups_with_momentum_of_1": float(len(endless))},
        threshold=0.0,
        relation="gradients must be averaged over fewer steps than their squares, and forgotten in time",
        advice="betas=(0.9, 0.999): the first of the gradient, the second of its square; momentum below 1",
    )


def check_weight_decay(optimizers: Optimizers, threshold: float = 3.0, lowest: float = 0.05) -> Finding:
    """Find out whether weight decay outweighs the gradient before training has begun.

    Where decay is part of the gradient (SGD, Adam): its length over the gradient's, for decays of `lowest` or more.
    Where it is not (AdamW): a tenth of all weights in each step.
    """
    ratios = [_decay_ratio(optimizer, group, lowest) for optimizer in optimizers for group in optimizer.param_groups]
    worst = max(ratios, default=0.0)
    return Finding(
        name="weight_decay",
        trouble=worst > threshold,
        numbers={"decay_over_gradient": worst},
        threshold=threshold,
        relation="the loss must have more to say than the decay",
        advice="lower weight_decay: 1e-4 to 1e-2 is usual, up to 0.3 with AdamW",
    )


def _decay_ratio(optimizer: torch.optim.Optimizer, group: Mapping[str, Any], lowest: float) -> float:
    decay = float(group.get("weight_decay", 0.0) or 0.0)
    if isinstance(optimizer, torch.optim.AdamW) or group.get("decoupled_weight_decay", False):
        return 30 * float(group.get("lr") or 0.0) * decay  # which is the threshold of 3 at a tenth a step
    with_gradient = [p for p in group["params"] if p.grad is not None and not p.grad.is_sparse]
    if decay < lowest or not with_gradient:
        return 0.0
    weight = sum(float(p.detach().square().sum()) for p in with_gradient) ** 0.5
    gradient = sum(float(p.grad.square().sum()) for p in with_gradient) ** 0.5
    return decay * weight / gradient if gradient > 0 else 0.0
