"""The suite: potentials, training, sampling, dynamics, analysis and the road that joins them."""

__version__ = "0.1.0"
