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
from iondiff.analysis.hopping import Jumps, jumps
from iondiff.analysis.tracer import diffusivity
from iondiff.analysis.trajectory import Trajectory, TrajectoryWarning, as_trajectory

__all__ = [
    "Curve",
    "Diffusivity",
    "Jumps",
    "NotDiffusiveError",
    "Trajectory",
    "TrajectoryWarning",
    "VanHove",
    "arrhenius",
    "as_trajectory",
    "charge_diffusivity",
    "conductivity",
    "diffusivity",
    "diffusivity_table",
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
