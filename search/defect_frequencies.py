"""Attempt frequencies of the hops of a defect network."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from search.calculators import Evaluations
from search.errors import SearchError
from search.lattice import Ints, shortest_vectors
from search.modes import attempt_frequency, closed_frequencies, listed, modes

if TYPE_CHECKING:
    from search.defect_hops import FoundHop, Mechanism


@dataclass
class Frequencies:
    """Hz, forward and backward, of each distinct hop; which were refused and why; the modes, THz."""

    forward: dict[int, float] = field(default_factory=dict)
    backward: dict[int, float] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    modes: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    mismatch: float = 0.0

    def of(self, number: int, reverse: bool) -> float:
        """Hz of a copy of distinct hop `number`."""
        return (self.backward if reverse else self.forward)[number]


def constant(numbers: list[int], frequency: float) -> Frequencies:
    """One frequency, Hz, for all hops."""
    return Frequencies(dict.fromkeys(numbers, frequency), dict.fromkeys(numbers, frequency))


def by_vineyard(
    kind: "Mechanism", hops: dict[int, "FoundHop"], evaluate: Evaluations, radius: float | None
) -> Frequencies:
    """Vineyard frequencies of the distinct hops, the same atoms vibrating at both ends and at the saddle.

    All atoms, or those within `radius` Å of the moving one at the saddle.
    """
    found = Frequencies()
    for number, answer in hops.items():
        rows = _rows(kind, answer, radius)
        start, end = kind.ends(answer.hop)
        three = [modes(evaluate, x, rows) for x in (start, end, answer.saddle)]
        found.modes[number] = dict(zip(("source", "target", "saddle"), listed(three), strict=True))
        try:
            found.forward[number] = attempt_frequency(three[0], three[2])
            found.backward[number] = attempt_frequency(three[1], three[2])
        except SearchError as error:
            found.refused[number] = str(error)
            found.forward.pop(number, None)
    ends = {n: (int(kind.orbit[hop.hop.source]), int(kind.orbit[hop.hop.target])) for n, hop in hops.items()}
    close_ratios(found, ends, int(kind.orbit.max()) + 1)
    return found


def close_ratios(found: Frequencies, ends: dict[int, tuple[int, int]], kinds: int) -> None:
    """Make the frequencies found close around loops; `ends` are the kinds of site that each hop joins."""
    numbers = sorted(found.forward)
    if not numbers:
        return
    forward, backward, found.mismatch = closed_frequencies(
        np.array([found.forward[n] for n in numbers]),
        np.array([found.backward[n] for n in numbers]),
        np.array([ends[n][0] for n in numbers]),
        np.array([ends[n][1] for n in numbers]),
        kinds,
    )
    found.forward = {n: float(f) for n, f in zip(numbers, forward, strict=True)}
    found.backward = {n: float(f) for n, f in zip(numbers, backward, strict=True)}


def _rows(kind: "Mechanism", answer: "FoundHop", radius: float | None) -> Ints | None:
    if radius is None:
        return None
    if not radius > 0:
        raise SearchError(f"radius={radius}: wanted Å around the moving atom, or None for all atoms.")
    positions = answer.saddle.reshape(-1, 3)
    away, _ = shortest_vectors(positions - positions[kind.moving_row(answer.hop)], kind.cell.lattice)
    return np.flatnonzero(np.linalg.norm(away, axis=1) <= radius)
