"""The surface a network was found on, kept for as long as the graph object lives in its process."""

from weakref import WeakKeyDictionary

from search.graph import Graph
from search.sampling import Fit

_fits: "WeakKeyDictionary[Graph, Fit]" = WeakKeyDictionary()


def keep_fit(network: Graph, fit: Fit) -> None:
    """Remember the surface of a network."""
    _fits[network] = fit


def fit_of(network: Graph) -> Fit | None:
    """The surface that `network` was found on, or None for a network read from a file."""
    return _fits.get(network)
