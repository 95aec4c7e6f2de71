"""Modes: what a model does in evaluation, and whether examples of a batch see one another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from goldmark.case import Finding
from goldmark.checks._graph import kind, source
from goldmark.checks._hearing import Hearing
from goldmark.checks._structures import call, first_tensor, map_tensors, rows, size_of

DROPOUT_FUNCTIONS = frozenset(
    ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "feature_dropout")
)
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
BATCHNORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class _DropoutCalls(TorchFunctionMode):
    """Counts calls that drop something."""

    def __init__(self) -> None:
        super().__init__()
        self.active = self.meant = 0  # calls; depth in modules whose business it is to drop

    def of_module(self, module: nn.Module) -> list[Any]:
        """Let a module that is called a dropout drop as it likes; return the handles of its hooks."""
        return [
            module.register_forward_pre_hook(lambda *_: self._enter(1)),
            module.register_forward_hook(lambda *_: self._enter(-1)),
        ]

    def _enter(self, depth: int) -> None:
        self.meant += depth

    @contextmanager
    def meaning(self) -> Iterator[None]:
        """Let whatever is dropped meanwhile be meant."""
        self._enter(1)
        try:
            yield
        finally:
            self._enter(-1)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name in DROPOUT_FUNCTIONS and not self.meant:
            p = keywords.get("p", args[1] if len(args) > 1 else 0.5)
            training = keywords.get("training", keywords.get("train", args[2] if len(args) > 2 else True))
            self.active += bool(training) and p > 0
        if name == "scaled_dot_product_attention":
            self.active += (keywords.get("dropout_p", args[4] if len(args) > 4 else 0.0) or 0.0) > 0
        return function(*args, **keywords)


def _heard_dropout(own: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, which lets what is given `training` itself, and not by default, drop as it likes."""

    @functools.wraps(own)
    def dropped(*arguments: Any, **keywords: Any) -> Any:
        with ExitStack() as stack:
            if len(arguments) > 2 or "training" in keywords:
                for calls in _SAID.listeners:
                    stack.enter_context(calls.meaning())
            return own(*arguments, **keywords)

    return dropped


_SAID = Hearing[_DropoutCalls](
    *((functional, name, _heard_dropout) for name in sorted(DROPOUT_FUNCTIONS - {"feature_dropout"}))
)


def check_dropout_in_eval(model: nn.Module, inputs: Any) -> Finding:
    """Find out whether a model in eval mode still drops activations.

    Counted are calls of dropout functions, so that other randomness (a sampled latent) passes. Modules with `dropout`
    in the name of their class are left out: one that is active in eval mode is meant to be, as in Monte-Carlo dropout;
    and so are functions that are told `training=True`, as in Tacotron's: who forgets to say it gets the default.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    calls = _DropoutCalls()
    meant = [module for module in model.modules() if "dropout" in type(module).__name__.lower()]
    handles = [handle for module in meant for handle in calls.of_module(module)]
    _SAID.add(calls)
    try:
        with torch.no_grad(), calls:
            call(model, inputs)
    finally:
        _SAID.remove(calls)
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return Finding(
        name="dropout_in_eval",
        trouble=calls.active > 0,
        numbers={"active_calls": float(calls.active)},
        threshold=0.0,
        relation="in eval mode nothing may be dropped",
        advice="use nn.Dropout, or pass training=self.training to functional.dropout and to attention's dropout_p",
    )


def check_dropout_rate(model: nn.Module, threshold: float = 0.9) -> Finding:
    """Find out whether a dropout layer drops `threshold` or more: often a share to keep, taken for one to drop."""
    highest = max((module.p for module in model.modules() if isinstance(module, DROPOUT)), default=0.0)
    return Finding(
        name="dropout_rate",
        trouble=highest >= threshold,
        numbers={"highest_rate": highest},
        threshold=threshold,
        relation="p is the share that is dropped",
        advice="write 1 - p where p was the share to keep",
    )


def check_dropout_on_output(output: Tensor, dropped: Tensor) -> Finding:
    """Find out whether a model's output is what its last dropout gave, as it is."""
    same = dropped.numel() == output.numel() and dropped.data_ptr() == output.data_ptr()
    return Finding(
        name="dropout_on_output",
        trouble=same,
        numbers={"outputs_dropped": float((dropped == 0).double().mean()) if same else 0.0},
        threshold=0.0,
        relation="outputs that are compared with targets must not be dropped",
        advice="put the dropout before the last layer, not behind it",
    )


def check_batchnorm_on_output(output: Tensor) -> Finding:
    """Find out whether numbers (N,) that are compared with their targets come from BatchNorm as they are."""
    last = source(output.grad_fn)
    normalised = last is not None and kind(last).endswith("BatchNorm")
    return Finding(
        name="batchnorm_on_output",
        trouble=normalised,
        numbers={"normalised": float(normalised)},
        threshold=0.0,
        relation="the mean of a prediction over a batch must be free to follow that of the targets",
        advice="end a regression with a linear layer, and put BatchNorm before it",
    )


def check_batch_mixing(model: nn.Module, inputs: Any, threshold: float = 1e-3, *, both_halves: bool = True) -> Finding:
    """Find out whether the output of an example in eval mode depends on the other examples of its batch.

    Each half of a batch alone, or the first where the rows may be one series, in which what comes later depends on
    what comes before, must give its half of the outputs, in units of their spread. The second begins at an odd place,
    so that every other row is another. Normalisation layers that use the batch in eval mode by choice
    (track_running_stats=False) make it pass, and so do a model that draws at random and one whose second dimension is
    the one that examples lie along.
    """
    size = size_of(inputs)
    half = size // 2
    whole, again = first_tensor(call(model, inputs)), first_tensor(call(model, inputs))
    if whole is None or again is None or half < 1 or len(whole) != size:
        raise ValueError("outputs have no row for each example")
    spread = float(whole.double().std(correction=0)) + 1e-6
    parts = [slice(0, half), slice(min(half | 1, size - 1), size)][: 1 + both_halves]
    change = max(_change_alone(model, inputs, whole, part) for part in parts) / spread
    drawn = not torch.equal(whole, again)  # at random: no two passes compare
    by_choice = any(isinstance(module, BATCHNORM) and module.running_mean is None for module in model.modules())
    return Finding(
        name="batch_mixing",
        trouble=change > threshold and not by_choice and not drawn and not _second_is_batch(model, inputs, whole),
        numbers={"change": change},
        threshold=threshold,
        relation="an example's output must not depend on the other examples in its batch",
        advice="look for a view in place of a transpose, batch_first, a softmax or mean over the first dimension",
    )


def _change_alone(model: nn.Module, inputs: Any, whole: Tensor, part: slice) -> float:
    """Return by how much the outputs of some examples change when they are alone; 0 where their shape does."""
    alone = first_tensor(call(model, rows(inputs, part)))
    if alone is None or len(alone) != len(whole[part]):
        raise ValueError("outputs have no row for each example")
    return float((whole[part] - alone).abs().max()) if whole[part].shape == alone.shape else 0.0


def _second_is_batch(model: nn.Module, inputs: Any, whole: Tensor) -> bool:
    first = first_tensor(inputs)
    if first is None or first.dim() < 2 or first.shape[1] < 2 or first.shape[1] not in whole.shape[1:]:
        return False
    size, half = first.shape[1], first.shape[1] // 2
    dim = next(dim for dim in range(1, whole.dim()) if whole.shape[dim] == size)

    def narrowed(tensor: Tensor) -> Tensor:
        if tensor.dim() > 1 and tensor.shape[1] == size:
            return tensor[:, :half]
        return tensor[:half] if tensor.dim() == 1 and len(tensor) == size else tensor

    try:
        alone = first_tensor(call(model, map_tensors(narrowed, inputs)))
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    if alone is None or alone.shape != whole.narrow(dim, 0, half).shape:
        return False
    return bool(torch.allclose(alone, whole.narrow(dim, 0, half), rtol=1e-3, atol=1e-5))


def layers_that_care(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the modules that act otherwise in training mode than in eval mode, whatever mode they are in."""
    caring = [module for module in modules if isinstance(module, (*DROPOUT, *BATCHNORM, nn.RNNBase))]
    return [module for module in caring if getattr(module, "p", 1) and getattr(module, "dropout", 1)]


def check_eval_mode_left_on(model: nn.Module, fallen: Collection[str] = ()) -> Finding:
    """Find out whether a model that trains is in eval mode with layers that care: all dropout and BatchNorm ones.

    BatchNorm alone in eval mode, within a model in training mode, is frozen on purpose and passes. `fallen` are the
    names of submodules that fell back into eval mode several times while they trained.
    """
    caring = layers_that_care(model.modules())
    asleep = bool(caring) and not model.training and not any(module.training for module in caring)
    which = ", ".join(sorted(name or "the model" for name in fallen))
    return Finding(
        name="eval_mode_left_on",
        trouble=asleep or bool(fallen),
        numbers={"layers_in_eval": float(sum(not module.training for module in caring)), "fallen": float(len(fallen))},
        threshold=0.0,
        relation="a model must be in training mode while it trains"
        + (f", and in every step: {which}" if which else ""),
        advice="call model.train() at the start of every epoch, and after each validation",
    )


def batch_dependent(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the modules that act otherwise in training mode than in eval mode, and are in training mode."""
    acting = [m for m in modules if m.training and isinstance(m, (*DROPOUT, *BATCHNORM))]
    return [module for module in acting if getattr(module, "p", 1.0)]


def check_batchnorm_of_one(model: nn.Module, batch_sizes: Iterable[int]) -> Finding:
    """Find out whether batches of one example pass through BatchNorm in training mode, which normalises each alone."""
    sizes = list(batch_sizes)
    norms = [module for module in model.modules() if isinstance(module, BATCHNORM) and module.training]
    ones = sum(size == 1 for size in sizes)
    return Finding(
        name="batchnorm_of_one",
        trouble=bool(norms) and bool(sizes) and ones > len(sizes) / 2,
        numbers={"batches_of_one": float(ones), "batches": float(len(sizes))},
        threshold=len(sizes) / 2,
        relation="BatchNorm needs several examples in a batch",
        advice="use larger batches, or GroupNorm or LayerNorm; accumulation does not help",
    )


def check_batchnorm_momentum(model: nn.Module, n_batches: int, threshold: float = 0.9) -> Finding:
    """Find out whether running statistics in training are those of the last of several batches: a momentum near 1.

    In torch the momentum is the weight of the new batch (0.1), in Keras that of the old ones (0.99).
    """
    norms = [module for module in model.modules() if isinstance(module, BATCHNORM) and module.training]
    momenta = [float(norm.momentum) for norm in norms if norm.running_mean is not None and norm.momentum is not None]
    highest = max(momenta, default=0.0)
    return Finding(
        name="batchnorm_momentum",
        trouble=highest >= threshold and n_batches > 1,
        numbers={"highest_momentum": highest, "batches": float(n_batches)},
        threshold=threshold,
        relation="running statistics must be those of many batches, or evaluation depends on which came last",
        advice="torch's momentum is the weight of the new batch (0.1): write 1 - momentum where it was Keras's",
    )


def initial_weight(norm: nn.Module) -> float:
    """Return how much of a BatchNorm layer's running statistics is what they started from: (1 - momentum)^batches."""
    momentum, batches = getattr(norm, "momentum", None), getattr(norm, "num_batches_tracked", None)
    return 0.0 if momentum is None or batches is None else float((1 - momentum) ** int(batches))


def check_statistics_gap(norm: nn.Module, inputs: Tensor, threshold: float = 1.0) -> Finding:
    """Find out whether a BatchNorm layer's running statistics are not those of the batches that it has trained on.

    Medians over channels: the distance of means in sd of the batch, and the logarithm of the ratio of variances.
    """
    values = inputs.detach().double()
    dims = [dim for dim in range(values.dim()) if dim != 1]
    mean, variance = values.mean(dims), values.var(dims, correction=0)
    running_mean, running_var = (getattr(norm, name).double() for name in ("running_mean", "running_var"))
    shift = float(((running_mean - mean).abs() / (variance + norm.eps).sqrt()).median())  # type: ignore[operator]
    stretch = float(((running_var + norm.eps) / (variance + norm.eps)).log().abs().median())  # type: ignore[operator]
    return Finding(
        name="statistics_gap",
        trouble=max(shift, stretch) > threshold,
        numbers={"shift": shift, "stretch": stretch},
        threshold=threshold,
        relation="running statistics must have become those of the training batches, or evaluation sees another model",
        advice="raise the momentum, which in torch is the weight of the new batch (0.1 by default), or train longer; "
        "one layer at several places of a network mixes their statistics: give each a BatchNorm of its own",
    )


def check_validation_in_training_mode(idle: Sequence[tuple[int, float]], n_steps: int) -> Finding:
    """Find out whether a model is run without gradients in training mode between its steps, as a validation would be.

    `idle` are those passes: the steps taken before, and a hash of the inputs. Passes over the same inputs between two
    steps are Monte-Carlo dropout; passes between most steps are part of training, as in a generator's or a target's.
    """
    groups: dict[int, list[float]] = {}
    for step, key in idle:
        groups.setdefault(step, []).append(key)
    plain = [keys for keys in groups.values() if len(set(keys)) == len(keys)]
    return Finding(
        name="validation_in_training_mode",
        trouble=bool(plain) and 2 * len(plain) > len(groups) and 3 * len(groups) <= n_steps,
        numbers={"passes": float(len(idle)), "times": float(len(groups)), "steps": float(n_steps)},
        threshold=n_steps / 3,
        relation="dropout must be off and BatchNorm fixed where a model is judged",
        advice="call model.eval() before validation, and model.train() after it",
    )


def check_modes_not_switched(model: nn.Module) -> Finding:
    """Find out whether `train()` does not bring back what `eval()` sets, or `eval()` sets nothing.

    Parts that a model keeps in eval mode on purpose stay there both times. Dropout that stays on may be meant, as in
    Monte-Carlo dropout, so that an `eval()` is judged where there is BatchNorm. The model is left in training mode.
    """
    model.train()
    acting = batch_dependent(model.modules())
    awake = [module for module in model.modules() if module.training and module is not model]
    model.eval()
    idle = all(module.training for module in awake) and any(isinstance(module, BATCHNORM) for module in acting)
    model.train()
    lost = sum(not module.training for module in acting)
    return Finding(
        name="modes_not_switched",
        trouble=lost > 0 or idle,
        numbers={"lost": float(lost), "layers": float(len(acting)), "eval_without_effect": float(idle)},
        threshold=0.0,
        relation="eval() must set the modes of all layers, and train() must undo it",
        advice="where train(self, mode=True) is overridden, call super().train(mode), and return self",
    )
