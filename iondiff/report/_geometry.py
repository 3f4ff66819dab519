"""Where to draw each hop: once a pair, from its site to the image of the other, with both barriers known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Hops are highlighted, largest share first, until this part of the listed current is explained.
CURRENT_PART = 0.9
Edge = tuple[Any, Any, dict[str, Any]]


@dataclass(frozen=True)
class HopLines:
    """The hops of a network, each pair of opposite directions once; n rows in every array."""

    names: list[tuple[str, str]]
    """Source and target site."""
    images: NDArray[np.int64]
    """(n, 3); the hop ends at position[target] + image @ cell."""
    start: NDArray[np.float64]
    """(n, 3), Å."""
    middle: NDArray[np.float64]
    """(n, 3), Å: the saddle where the network knows it, else halfway."""
    end: NDArray[np.float64]
    """(n, 3), Å."""
    barriers: NDArray[np.float64]
    """(n, 2), eV: forward, backward."""
    prefactors: NDArray[np.float64]
    """(n, 2), Hz: forward, backward."""
    saddle_energy: NDArray[np.float64]
    """(n,), eV."""
    share: NDArray[np.float64]
    """(n,), part of the current through the hop, NaN where it is not listed."""
    carries: NDArray[np.bool_]
    """(n,), whether the hop is among those that carry most of the current."""

    @property
    def crosses(self) -> NDArray[np.bool_]:
        """(n,), whether the hop leaves the cell."""
        crossing: NDArray[np.bool_] = np.any(self.images != 0, axis=1)
        return crossing

    @property
    def uphill(self) -> NDArray[np.float64]:
        """(n,), eV: the barrier seen from the lower of the two sites; one number for both directions."""
        higher: NDArray[np.float64] = self.barriers.max(axis=1)
        return higher


def hop_lines(network: nx.MultiDiGraph[Any], current_hops: pd.DataFrame | None = None) -> HopLines:
    """Lines to draw for every hop of `network` (contract 2), marked by the table of current-carrying hops."""
    cell = np.array(network.graph["cell"], dtype=float)
    edges = [edge for edge in network.edges(data=True) if _canonical(edge[0], edge[1], edge[2]["image"])]
    edges.sort(key=lambda edge: (str(edge[0]), str(edge[1]), edge[2]["image"], edge[2]["barrier"]))
    nodes = network.nodes
    images = np.array([data["image"] for _, _, data in edges], dtype=np.int64).reshape(-1, 3)
    start = _rows(nodes[source]["position"] for source, _, _ in edges)
    end = _rows(nodes[target]["position"] for _, target, _ in edges) + images @ cell
    forward = np.array([data["barrier"] for _, _, data in edges], dtype=float)
    rise = np.array(
        [nodes[target]["energy"] - nodes[source]["energy"] for source, target, _ in edges], dtype=float
    )
    low = np.array([nodes[source]["energy"] for source, _, _ in edges], dtype=float)
    share = _shares(edges, current_hops)
    return HopLines(
        names=[(str(source), str(target)) for source, target, _ in edges],
        images=images,
        start=start,
        middle=_middles(start, end, [data.get("saddle_position") for _, _, data in edges], cell),
        end=end,
        barriers=np.column_stack([forward, forward - rise]),
        prefactors=_prefactors(network, edges),
        saddle_energy=low + forward,
        share=share,
        carries=_carriers(share),
    )


def cell_edges(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """The twelve edges of a cell, (12, 2, 3), Å."""
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    pairs = [(a, b) for a in corners for b in corners if tuple(a) < tuple(b) and np.abs(a - b).sum() == 1]
    return np.array(pairs, dtype=float) @ cell


def _canonical(source: object, target: object, image: list[int]) -> bool:
    """Whether this is the direction of the pair that is drawn."""
    if source == target:
        return tuple(image) > (0, 0, 0)
    return str(source) < str(target) or (str(source) == str(target) and tuple(image) > (0, 0, 0))


def _rows(vectors: Iterable[list[float]]) -> NDArray[np.float64]:
    return np.array(list(vectors), dtype=np.float64).reshape(-1, 3)


def _middles(
    start: NDArray[np.float64], end: NDArray[np.float64], saddles: list[object], cell: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Saddles, Å, in their image closest to the middle of the hop; halfway where that is far from it."""
    middle = (start + end) / 2
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T @ cell
    for row, saddle in enumerate(saddles):
        if not isinstance(saddle, list | tuple) or len(saddle) != 3:
            continue
        offset = np.asarray(saddle, dtype=float) - middle[row]
        offset -= np.rint(offset @ np.linalg.inv(cell)) @ cell
        candidates = offset + shifts
        nearest = candidates[np.argmin(np.linalg.norm(candidates, axis=1))]
        if np.linalg.norm(nearest) <= np.linalg.norm(end[row] - start[row]):
            middle[row] += nearest
    return middle


def _prefactors(network: nx.MultiDiGraph[Any], edges: list[Edge]) -> NDArray[np.float64]:
    """Prefactors forward and backward, Hz; of several reverse hops the one with the nearest saddle."""
    rows = []
    for source, target, data in edges:
        wanted = data["barrier"] + network.nodes[source]["energy"] - network.nodes[target]["energy"]
        back = [
            (abs(other["barrier"] - wanted), other["prefactor"])
            for other in (network.get_edge_data(target, source) or {}).values()
            if [-i for i in other["image"]] == list(data["image"])
        ]
        rows.append((data["prefactor"], min(back)[1] if back else data["prefactor"]))
    return np.array(rows, dtype=float).reshape(-1, 2)


def _shares(edges: list[Edge], table: pd.DataFrame | None) -> NDArray[np.float64]:
    """Share of the current of each edge; of parallel edges with the same image, the first (lowest) has it."""
    shares = np.full(len(edges), np.nan)
    if table is None:
        return shares
    rows: dict[tuple[str, str, tuple[int, ...]], int] = {}
    for row, (source, target, data) in enumerate(edges):
        rows.setdefault((str(source), str(target), tuple(data["image"])), row)
        rows.setdefault((str(target), str(source), tuple(-i for i in data["image"])), row)
    for source, target, image, share in zip(
        table["source"], table["target"], table["image"], table["share"], strict=True
    ):
        vector = tuple(int(number) for number in re.findall(r"-?\d+", str(image)))
        known = rows.get((str(source), str(target), vector))
        if known is not None and pd.notna(share):
            shares[known] = np.fmax(shares[known], abs(float(share)))
    return shares


def _carriers(share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The fewest hops that carry `CURRENT_PART` of the listed current."""
    known = np.nan_to_num(share)
    order = np.argsort(-known, kind="stable")
    before = np.cumsum(known[order]) - known[order]
    carries = np.zeros(len(share), dtype=bool)
    carries[order] = (before < CURRENT_PART * known.sum()) & (known[order] > 0)
    return carries
