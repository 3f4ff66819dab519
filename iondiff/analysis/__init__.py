"""What a trajectory says: diffusivity with error bars that are true, correlations, jumps between sites."""

from iondiff.analysis.collective import (
    arrhenius,
    charge_diffusivity,
    conductivity,
    diffusivity_table,
    haven_ratio,
    nernst_einstein,
    yeh_hummer,
)
from iondiff.analysis.correlation import (
    Curve,
    VanHove,
    msd,
    vacf,
    van_hove_distinct,
    van_hove_self,
    velocity_spectrum,
)
from iondiff.analysis.estimates import Diffusivity, NotDiffusiveError
from iondiff.analysis.glass import GlassReport, bond_cutoff, glass_report
from iondiff.analysis.hopping import Jumps, jumps
from iondiff.analysis.tracer import diffusivity
from iondiff.analysis.trajectory import Trajectory, TrajectoryWarning, as_trajectory
from iondiff.analysis.vibrations import Vibrations, harmonic_vibrations

__all__ = [
    "Curve",
    "Diffusivity",
    "GlassReport",
    "Jumps",
    "NotDiffusiveError",
    "Trajectory",
    "TrajectoryWarning",
    "VanHove",
    "Vibrations",
    "arrhenius",
    "as_trajectory",
    "bond_cutoff",
    "charge_diffusivity",
    "conductivity",
    "diffusivity",
    "diffusivity_table",
    "glass_report",
    "harmonic_vibrations",
    "haven_ratio",
    "jumps",
    "msd",
    "nernst_einstein",
    "vacf",
    "van_hove_distinct",
    "van_hove_self",
    "velocity_spectrum",
    "yeh_hummer",
]
