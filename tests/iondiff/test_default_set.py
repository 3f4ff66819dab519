"""Default symmetry functions: complete, placed by the data, readable."""

import numpy as np
import pytest
from ase.build import bulk

from iondiff.descriptors import default_set
from iondiff.errors import PotentialError


def radial(descriptor, centre, neighbour):
    functions = descriptor[centre].functions
    return sorted(f.shift for f in functions if f.kind == "G2" and f.neighbours == (neighbour,))


def test_every_pair_and_triple_has_its_functions():
    found = default_set(["O", "Li", "P"], 5.0, radial=5, zetas=(1.0, 2.0))
    assert found.species == ("Li", "O", "P")
    for centre in found.species:
        for neighbour in found.species:
            assert len(radial(found, centre, neighbour)) == 5
        angular = {f.neighbours for f in found[centre].functions if not f.radial}
        assert len(angular) == 6
    assert found.cutoff == 5.0
    assert len(str(found).splitlines()) == sum(len(e) for e in found.elements)
    assert {f.kind for f in default_set(["O"], 5.0, narrow=True)["O"].functions} == {"G2", "G4"}


def test_shells_follow_the_distances_of_the_data():
    """Copper: neighbours at 2.55, 3.61, 4.42, 5.10 Å and nothing below."""
    structure = bulk("Cu", cubic=True)
    structure.rattle(0.05, seed=0)
    shells = radial(default_set(["Cu"], 5.5, [structure], radial=12), "Cu", "Cu")
    assert 2.3 < shells[0] < 2.6
    assert shells[-1] < 5.5
    peaks = np.array([2.55, 3.61, 4.42, 5.10])
    near = [s for s in shells if abs(peaks - s).min() < 0.15]
    assert len(near) >= 6
    gaps = np.diff(shells)
    assert gaps.max() < 0.9  # and no distance is left out
    even = radial(default_set(["Cu"], 5.5, radial=12), "Cu", "Cu")
    np.testing.assert_allclose(np.diff(even), np.diff(even)[0], atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 5.0), "wanted at least one"),
        ((["Cux"], 5.0), "no chemical symbol"),
        ((["Cs"], 2.0), "cutoff is 2.0 Å and the shortest distance"),
        ((["O"], 5.0, [bulk("Cu")]), "no two atoms of O"),
        ((["O"], -5.0), "cutoff"),
    ],
)
def test_sets_that_cannot_be(arguments, message):
    with pytest.raises(PotentialError, match=message):
        default_set(*arguments)
