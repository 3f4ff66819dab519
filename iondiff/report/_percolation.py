"""The path over the lowest passes that leads from a site to its own copy in another cell."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from iondiff.report._geometry import HopLines

_Tree = dict[str, list[tuple[str, int]]]


def percolation_path(hops: HopLines) -> NDArray[np.int64]:
    """Rows of `hops` that form the path, from end to end; empty where nothing leads through.

    Hops open in order of saddle energy; the first that joins a cluster of sites to a shifted copy of itself closes
    the path (weighted union-find, with the shift in cells as the weight).
    """
    root = {name: name for pair in hops.names for name in pair}
    shift = {name: np.zeros(3, dtype=np.int64) for name in root}
    size = dict.fromkeys(root, 1)
    tree: _Tree = {name: [] for name in root}

    def find(name: str) -> tuple[str, NDArray[np.int64]]:
        trail = []
        while root[name] != name:
            trail.append(name)
            name = root[name]
        total = np.zeros(3, dtype=np.int64)
        for member in reversed(trail):  # nearest to the root first; all end up directly below it
            total = total + shift[member]
            root[member], shift[member] = name, total
        return name, total

    for row in np.argsort(hops.saddle_energy, kind="stable").tolist():
        source, target = hops.names[row]
        (a, from_a), (b, from_b) = find(source), find(target)
        apart = from_a + hops.images[row] - from_b
        if a != b:
            if size[a] < size[b]:
                a, b, apart = b, a, -apart
            root[b], shift[b] = a, apart
            size[a] += size[b]
            tree[source].append((target, row))
            tree[target].append((source, row))
        elif apart.any():
            return np.array([row, *_between(tree, target, source)], dtype=np.int64)
    return np.zeros(0, dtype=np.int64)


def _between(tree: _Tree, start: str, end: str) -> list[int]:
    """Rows from one site to another along the tree."""
    came: dict[str, tuple[str, int]] = {start: ("", -1)}
    queue = deque([start])
    while queue and end not in came:
        here = queue.popleft()
        for there, row in tree[here]:
            if there not in came:
                came[there] = (here, row)
                queue.append(there)
    rows, here = [], end
    while here != start:
        here, row = came[here]
        rows.append(row)
    return rows[::-1]
