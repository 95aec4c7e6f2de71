"""Whether two training loops are the same but for rounding: resumed or not, whole or in parts, one device or many."""

from goldmark.trajectory._compare import TrajectoryVerdict, same_trajectory
from goldmark.trajectory._nudge import Nudge, Precision
from goldmark.trajectory._steps import Training

__all__ = ["Nudge", "Precision", "Training", "TrajectoryVerdict", "same_trajectory"]
