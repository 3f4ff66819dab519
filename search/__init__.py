"""Hopping graphs from energy landscapes: every site, every pass, and what certifies that none is missing."""

from search.errors import SearchError
from search.landscape import Landscape
from search.network import build_network

__all__ = ["Landscape", "SearchError", "build_network"]
