"""Molecular dynamics: ensembles, ramps, trajectories, and runs that go on to the same bits after a kill."""

from iondiff.dynamics.ensembles import Ensemble
from iondiff.dynamics.lammps import export_lammps
from iondiff.dynamics.melt_quench import Protocol, Quenched, melt_quench
from iondiff.dynamics.packing import random_packing
from iondiff.dynamics.quench_series import quench_series
from iondiff.dynamics.relaxation import relax
from iondiff.dynamics.replicas import run_replicas
from iondiff.dynamics.runner import Run, run
from iondiff.dynamics.schedules import Ramp
from iondiff.dynamics.timestep import EnergyCheck, check_timestep
from iondiff.dynamics.trajectory import Trajectory, TrajectoryWriter
from iondiff.errors import DynamicsError, MDUnstable

__all__ = [
    "DynamicsError",
    "EnergyCheck",
    "Ensemble",
    "MDUnstable",
    "Protocol",
    "Quenched",
    "Ramp",
    "Run",
    "Trajectory",
    "TrajectoryWriter",
    "check_timestep",
    "export_lammps",
    "melt_quench",
    "quench_series",
    "random_packing",
    "relax",
    "run",
    "run_replicas",
]
