"""What a trajectory says: diffusivity with error bars that are true, correlations, jumps between sites."""

from iondiff.analysis.estimates import Diffusivity, NotDiffusiveError
from iondiff.analysis.tracer import diffusivity
from iondiff.analysis.trajectory import Trajectory, TrajectoryWarning, as_trajectory

__all__ = ["Diffusivity", "NotDiffusiveError", "Trajectory", "TrajectoryWarning", "as_trajectory", "diffusivity"]
