"""Crystals whose numbers are known, and a hand-made molecule."""

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.spacegroup import crystal

from iondiff.analysis.structure import (
    bond_angles,
    coordination,
    density,
    describe,
    order,
    polyhedra,
    rdf,
    ring_sizes,
    structure_factor,
)
from iondiff.errors import HostError


def quartz():
    """α-quartz, Levien, Prewitt and Weidner (1980)."""
    places = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.1191 + 2 / 3)]
    return crystal(("Si", "O"), places, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])


def turned(atoms):
    """The same crystal in another cell: left-handed, skewed, positions far from home."""
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(0).integers(-3, 4, (len(atoms), 3)) @ atoms.cell.array
    atoms.set_cell(np.array([[0, 1, 0], [1, 0, 0], [1, 1, 1]]) @ atoms.cell.array)
    return atoms


@pytest.mark.parametrize(
    "make", [lambda: bulk("Si"), lambda: bulk("Si", cubic=True) * 2, lambda: turned(bulk("Si"))]
)
def test_diamond(make):
    atoms = make()
    assert (coordination(atoms, 2.7) == 4).all()
    angles = bond_angles(atoms, 2.7)
    assert len(angles) == 6 * len(atoms)
    assert np.allclose(angles, 109.4712206)
    assert ring_sizes(atoms, 2.7) == Counter({6: 6 * len(atoms)})
    assert density(atoms) == pytest.approx(2.33, abs=0.01)
    assert order(atoms) == pytest.approx(1.0)


def test_quartz_and_graphene():
    atoms = quartz()
    assert len(atoms) == 9
    assert (coordination(atoms, 2.0, "Si", "O") == 4).all()
    assert (coordination(atoms, 2.0, "O", "Si") == 2).all()
    assert bond_angles(atoms, 2.0, ("O", "Si", "O")).mean() == pytest.approx(109.5, abs=0.3)
    assert bond_angles(atoms, 2.0, ("Si", "O", "Si")) == pytest.approx(143.7, abs=0.3)
    net = polyhedra(atoms, "Si", "O", 2.0)
    assert net.ligands == {2: 6}
    assert net.shared == {1: 6}
    assert ring_sizes(atoms, 2.0, 20).keys() <= {12, 16}  # rings of 6 and 8 tetrahedra
    sheet = graphene(size=(3, 3, 1), vacuum=5)
    assert ring_sizes(sheet, 1.6) == Counter({6: 3 * len(sheet)})


def test_isolated_tetrahedra_and_a_dimer():
    ends = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.88
    alone = Atoms("PO4", np.vstack([[0, 0, 0], ends]), cell=[20, 20, 20], pbc=True)
    other = Atoms("PO3", np.vstack([[0, 0, 0], -ends[1:]]) + 2 * ends[0])
    pair = alone + other
    assert polyhedra(alone, "P", "O", 2.0).units == {1: 1}
    found = polyhedra(pair, "P", "O", 2.0)
    assert found.units == {2: 1}
    assert found.ligands == {1: 6, 2: 1}
    both = pair.copy()
    alone.positions += 10.0
    both += alone
    assert polyhedra(both, "P", "O", 2.0).units == {1: 1, 2: 1}


def test_an_ideal_gas_has_no_structure_and_a_crystal_has_shells():
    generator = np.random.default_rng(0)
    cell = np.array([[14, 0, 0], [3, 13, 0], [-2, 4, 15.0]])
    frames = [Atoms("Ar200", generator.random((200, 3)) @ cell, cell=cell, pbc=True) for _ in range(30)]
    r, g = rdf(frames, 10.0, 20)
    assert np.abs(g[4:] - 1).max() < 0.05
    assert structure_factor(*rdf(frames, 10.0, 400), 200 / 2730, np.array([2.0, 4.0])) == pytest.approx(
        1, abs=0.1
    )
    r, g = rdf(bulk("Si"), 6.0, 600)
    shells = np.cumsum(g * 4 * np.pi * r**2 * (r[1] - r[0])) * 2 / bulk("Si").get_volume()
    assert shells[np.searchsorted(r, 3.0)] == pytest.approx(4, rel=0.02)
    assert shells[np.searchsorted(r, 4.2)] == pytest.approx(16, rel=0.02)
    salt = bulk("NaCl", "rocksalt", 5.64)
    r, g = rdf(salt, 3.5, 100, ("Na", "Cl"))
    assert r[np.argmax(g)] == pytest.approx(2.82, abs=0.05)
    assert not rdf(salt, 3.5, 100, ("Na", "Na"))[1].any()


def test_order_tells_a_glass_from_a_crystal():
    atoms = bulk("Si", cubic=True) * 3
    hot = atoms.copy()
    hot.rattle(0.15, seed=1)
    gas = atoms.copy()
    gas.positions = np.random.default_rng(0).random((len(gas), 3)) @ gas.cell.array
    assert order(hot) > 0.5
    assert order(gas) < 0.08
    assert describe(hot, 2.85)["angle_spread_deg"] > 3


def test_mistakes_are_named():
    with pytest.raises(HostError, match="cutoff is -1"):
        coordination(bulk("Si"), -1.0)
    with pytest.raises(HostError, match="pairs of chemical symbols"):
        coordination(bulk("Si"), {"Si": 2.0})
    with pytest.raises(HostError, match="has none"):
        coordination(bulk("Si"), {("P", "O"): 3.0})
    with pytest.raises(HostError, match="no P in the structure"):
        polyhedra(bulk("Si"), "P", "O", 2.0)
    with pytest.raises(HostError, match="periodic in all"):
        rdf(Atoms("Ar2", [[0, 0, 0], [1, 0, 0]]))
