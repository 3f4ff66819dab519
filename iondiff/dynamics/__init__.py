"""Molecular dynamics: ensembles, ramps, trajectories, and runs that go on to the same bits after a kill."""

from iondiff.dynamics.ensembles import Ensemble
from iondiff.dynamics.runner import Run, run
from iondiff.dynamics.schedules import Ramp
from iondiff.dynamics.trajectory import Trajectory, TrajectoryWriter

__all__ = ["Ensemble", "Ramp", "Run", "Trajectory", "TrajectoryWriter", "run"]
