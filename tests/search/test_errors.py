import numpy as np
import pytest

import search
from tests.search.landscapes import Cosines


class Broken:
    def __init__(self, answer, cell=None):
        self.answer, self.cell = answer, 4.0 * np.eye(3) if cell is None else cell

    def energy_and_gradient(self, points):
        return self.answer(points)


GOOD = Cosines(4.0 * np.eye(3), [0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("landscape", "words"),
    [
        (Broken(lambda _: (np.zeros(3), np.zeros((3, 3)))), "returned shapes"),
        (Broken(lambda p: np.zeros(len(p))), "wanted a pair"),
        (Broken(lambda p: (np.full(len(p), np.nan), np.zeros((len(p), 3)))), "NaN or infinite at all"),
        (Broken(lambda p: (np.zeros(len(p)), np.zeros((len(p), 3)))), "flat"),
        (Broken(lambda p: (np.zeros(len(p)), np.zeros((len(p), 3))), np.zeros((3, 3))), "zero volume"),
        (
            Broken(lambda p: (np.zeros(len(p)), np.zeros((len(p), 3))), np.eye(2)),
            "three finite lattice vectors",
        ),
        (Broken(lambda _: 1 / 0), "division by zero"),
        (Broken(lambda p: (np.cos(p).sum(axis=1), np.ones((len(p), 3)))), "gradients are not those of"),
        (Broken(lambda p: (np.where(p[:, 0] > 3.9, np.nan, 1.0), 0 * p)), "flat"),
        (object(), "without `cell`"),
    ],
)
def test_landscapes_that_cannot_serve(landscape, words):
    with pytest.raises(search.SearchError, match=words):
        search.build_network(landscape, grid=(10, 10, 10))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"grid": (3, 50, 50)}, "at least 4 points"),
        ({"grid": (50, 50)}, "three counts"),
        ({"grid": -0.1}, "positive number of Å"),
        ({"energy_cap": 0.0}, "energy_cap=0.0"),
        ({"energy_cap": np.nan}, "energy_cap=nan"),
        ({"prefactors": -1.0}, "prefactors=-1.0"),
        ({"prefactors": "harmonic"}, "vineyard"),
        ({"prefactors": "vineyard", "guest": "Xx"}, "chemical symbol"),
        ({"method": "magic"}, "method='magic'"),
    ],
)
def test_arguments_that_cannot_serve(arguments, words):
    with pytest.raises(search.SearchError, match=words):
        search.build_network(GOOD, **arguments)


def test_a_landscape_with_a_free_direction_is_refused():
    landscape = Cosines(4.0 * np.eye(3), [0.1, 0.1, 0.0])
    with pytest.raises(search.SearchError, match="plateau"):
        search.build_network(landscape, grid=(8, 8, 8))
