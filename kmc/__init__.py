"""Transport on hopping graphs: exact solutions, kinetic Monte Carlo, error bars that mean what they say."""

from kmc.arrhenius import ArrheniusFit, CurvatureWarning, fit_arrhenius, sweep
from kmc.exact import Solution, activation_energy, current_hops, diffusion_tensor, occupation, solve
from kmc.files import read_graph, write_graph
from kmc.network import GraphError, Network, compile_graph, validate
from kmc.percolation import Percolation, percolation
from kmc.transport import Estimate, NotConvergedError, tracer_diffusivity
from kmc.walkers import Walk, simulate

__all__ = [
    "ArrheniusFit",
    "CurvatureWarning",
    "Estimate",
    "GraphError",
    "Network",
    "NotConvergedError",
    "Percolation",
    "Solution",
    "Walk",
    "activation_energy",
    "compile_graph",
    "current_hops",
    "diffusion_tensor",
    "fit_arrhenius",
    "occupation",
    "percolation",
    "read_graph",
    "simulate",
    "solve",
    "sweep",
    "tracer_diffusivity",
    "validate",
    "write_graph",
]
