"""What the loops of a component wind around, and coordinates in which the fastest windings come first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._forest import add_vector
from kmc.network import Floats, Integers


@njit(cache=True)
def winding_basis(n_components: int, home: Any, windings: Any, order: Any) -> Any:
    """First independent windings of each component, hops taken in `order`.

    Parameters
    ----------
    home, windings
        (m,), (m, 3): component and winding of each hop.

    Returns
    -------
    basis : (components, 3, 3), its first `rank` rows filled
    rank : (components,)
    """
    basis = np.zeros((n_components, 3, 3), dtype=np.int64)
    rank = np.zeros(n_components, dtype=np.int64)
    for hop in order:
        c = home[hop]
        rank[c] = add_vector(basis[c], rank[c], windings[hop])
    return basis, rank


def adapted_coordinates(basis: Integers, cell: Floats) -> tuple[Integers, Floats]:
    """Unimodular coordinates in which the first winding has one entry, the second at most two.

    Parameters
    ----------
    basis
        (rank, 3), independent integer windings.
    cell
        (3, 3), Å, rows are lattice vectors.

    Returns
    -------
    transform : (3, 3), integer, determinant ±1; winding @ transform counts the rows of `vectors`
    vectors : (3, 3), Å
    """
    rows = [[int(x) for x in row] for row in basis]
    transform = [[int(i == j) for j in range(3)] for i in range(3)]
    for pivot, row in enumerate(rows):
        # Euclid on the columns right of the pivot, until this row is zero there.
        while any(row[pivot + 1 :]):
            column = min((c for c in range(pivot, 3) if row[c]), key=lambda c: abs(row[c]))
            for table in (rows, transform):
                for line in table:
                    line[pivot], line[column] = line[column], line[pivot]
            for other in range(pivot + 1, 3):
                times = row[other] // row[pivot]
                for table in (rows, transform):
                    for line in table:
                        line[other] -= times * line[pivot]
    matrix = np.array(transform, dtype=np.int64)
    inverse = np.rint(np.linalg.inv(matrix)).astype(np.int64)
    return matrix, inverse @ cell
