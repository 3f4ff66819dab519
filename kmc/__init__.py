"""Transport on hopping graphs: exact solutions, kinetic Monte Carlo, error bars that mean what they say."""

from kmc.arrhenius import ArrheniusFit, CurvatureWarning, NotConvergedWarning, fit_arrhenius, sweep
from kmc.checkpoints import CheckpointError
from kmc.estimate import Estimate, NotConvergedError
from kmc.exact import Solution, activation_energy, current_hops, diffusion_tensor, occupation, solve
from kmc.files import read_graph, write_graph
from kmc.gas_transport import (
    Conductivity,
    chemical_diffusivity,
    conductivity,
    correlation_factor,
    current,
    haven_ratio,
    thermodynamic_factor,
)
from kmc.interactions import ScreenedCoulomb
from kmc.lattice_gas import Gas, Reservoir, simulate_gas
from kmc.network import GraphError, Network, compile_graph, validate
from kmc.observe import Observation, StreamedObservation, first_passage_times, observe
from kmc.passage import mean_first_passage, residence_times
from kmc.percolation import Percolation, percolation
from kmc.rates import Rates, hop_rates
from kmc.response import drift_velocity, measured_drift, mobility
from kmc.transport import charge_diffusivity, tracer_diffusivity
from kmc.vacancy import vacancy_correlation_factor
from kmc.walkers import Walk, simulate

__all__ = [
    "ArrheniusFit",
    "CheckpointError",
    "Conductivity",
    "CurvatureWarning",
    "Estimate",
    "Gas",
    "GraphError",
    "Network",
    "NotConvergedError",
    "NotConvergedWarning",
    "Observation",
    "Percolation",
    "Rates",
    "Reservoir",
    "ScreenedCoulomb",
    "Solution",
    "StreamedObservation",
    "Walk",
    "activation_energy",
    "charge_diffusivity",
    "chemical_diffusivity",
    "compile_graph",
    "conductivity",
    "correlation_factor",
    "current",
    "current_hops",
    "diffusion_tensor",
    "drift_velocity",
    "first_passage_times",
    "fit_arrhenius",
    "haven_ratio",
    "hop_rates",
    "mean_first_passage",
    "measured_drift",
    "mobility",
    "observe",
    "occupation",
    "percolation",
    "read_graph",
    "residence_times",
    "simulate",
    "simulate_gas",
    "solve",
    "sweep",
    "thermodynamic_factor",
    "tracer_diffusivity",
    "vacancy_correlation_factor",
    "validate",
    "write_graph",
]
