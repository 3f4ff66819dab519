"""The type of a hopping graph: a networkx.MultiDiGraph whose nodes are site numbers."""

from typing import TYPE_CHECKING

import networkx as nx

if TYPE_CHECKING:
    Graph = nx.MultiDiGraph[int]
else:
    Graph = nx.MultiDiGraph  # subscripting is for the type checker only

__all__ = ["Graph"]
