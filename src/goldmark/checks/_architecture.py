"""Architecture: whether a model has as many parameters as the one that it is said to be."""

from __future__ import annotations

from torch import nn

from goldmark.case import Finding


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers the parameters of a model hold, shared ones counted once; any device, `meta` too."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_wrong_architecture(model: nn.Module, documented: int) -> Finding:
    """Find out whether a model's parameter count is not the documented one; no score tells two nets apart as surely."""
    counted = parameter_count(model)
    return Finding(
        name="wrong_architecture",
        trouble=counted != documented,
        numbers={"n_parameters": float(counted), "documented": float(documented)},
        threshold=0.0,
        advice=f"this net has {counted:,} parameters, the one that was meant has {documented:,}: compare their layers",
    )
