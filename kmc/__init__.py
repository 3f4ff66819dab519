"""Transport on hopping graphs: exact solutions, kinetic Monte Carlo, error bars that mean what they say."""

from kmc.arrhenius import ArrheniusFit, CurvatureWarning, fit_arrhenius, sweep
from kmc.checkpoints import CheckpointError
from kmc.exact import Solution, activation_energy, current_hops, diffusion_tensor, occupation, solve
from kmc.files import read_graph, write_graph
from kmc.network import GraphError, Network, compile_graph, validate
from kmc.observe import Observation, first_passage_times, observe
from kmc.passage import mean_first_passage, residence_times
from kmc.percolation import Percolation, percolation
from kmc.rates import Rates, hop_rates
from kmc.response import drift_velocity, measured_drift, mobility
from kmc.transport import Estimate, NotConvergedError, tracer_diffusivity
from kmc.walkers import Walk, simulate

__all__ = [
    "ArrheniusFit",
    "CheckpointError",
    "CurvatureWarning",
    "Estimate",
    "GraphError",
    "Network",
    "NotConvergedError",
    "Observation",
    "Percolation",
    "Rates",
    "Solution",
    "Walk",
    "activation_energy",
    "compile_graph",
    "current_hops",
    "diffusion_tensor",
    "drift_velocity",
    "first_passage_times",
    "fit_arrhenius",
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
    "solve",
    "sweep",
    "tracer_diffusivity",
    "validate",
    "write_graph",
]
