"""Attempt frequencies of a guest's hops with the atoms around it, listed and in detailed balance."""

from collections.abc import Sequence

import numpy as np

from search.calculators import Evaluations
from search.defect_frequencies import Frequencies, close_ratios
from search.errors import SearchError
from search.lattice import Floats, shortest_vectors
from search.modes import attempt_frequency, listed, modes


def with_host(
    evaluate: Evaluations,
    sites: Sequence[Floats],
    ends: Sequence[tuple[int, int]],
    saddles: Sequence[Floats],
    radius: float | None,
    cell: Floats,
) -> Frequencies:
    """Vineyard frequencies of hops between sites (n) of (3k,), Å, over saddles (h) of (3k,), Å, guest last.

    The same atoms vibrate at both ends and at the saddle: the guest and what is within `radius`, Å, of it at
    the saddle, or all that move for None. Ratios are made to close around loops.
    """
    found = Frequencies()
    for number, ((a, b), saddle) in enumerate(zip(ends, saddles, strict=True)):
        rows = None
        if radius is not None:
            positions = saddle.reshape(-1, 3)
            away, _ = shortest_vectors(positions - positions[-1], cell)
            near = np.linalg.norm(away, axis=1) <= radius
            near[-1] = True
            rows = np.flatnonzero(near)
        three = [modes(evaluate, x, rows) for x in (sites[a], sites[b], saddle)]
        found.modes[number] = dict(zip(("source", "target", "saddle"), listed(three), strict=True))
        try:
            forward, backward = (attempt_frequency(end, three[2]) for end in three[:2])
            found.forward[number], found.backward[number] = forward, backward
        except SearchError as error:
            found.refused[number] = str(error)
    close_ratios(found, dict(enumerate(ends)), len(sites))
    return found
