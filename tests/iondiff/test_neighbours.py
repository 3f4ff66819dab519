"""The neighbour table against a sum over images by hand, ASE, and the skin against motion."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import primitive_neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from iondiff.neighbours import VerletList, neighbour_table

ALL = np.array([True, True, True])


def pairs(table):
    first, index, image = table
    owner = np.repeat(np.arange(len(first) - 1), np.diff(first))
    return sorted(zip(owner, index, *image.T, strict=True))


def ase_pairs(positions, cell, pbc, cutoff):
    i, j, shift = primitive_neighbor_list("ijS", pbc, cell, positions, cutoff, self_interaction=False)
    return sorted(zip(i, j, *shift.T, strict=True))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 40),
    size=st.floats(0.8, 12.0),
    cutoff=st.floats(0.5, 7.0),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    lefthanded=st.booleans(),
)
def test_any_cell_any_boundary_agrees_with_ase(seed, n, size, cutoff, pbc, lefthanded):
    rng = np.random.default_rng(seed)
    cell = size * (np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3)))
    if lefthanded:
        cell[[0, 1]] = cell[[1, 0]]
    positions = rng.uniform(-1.5, 2.5, (n, 3)) @ cell
    cutoff = min(cutoff, 3 * size)
    pbc = np.array(pbc)
    assert pairs(neighbour_table(positions, cell, pbc, cutoff)) == ase_pairs(positions, cell, pbc, cutoff)


def test_images_point_at_the_neighbour():
    rng = np.random.default_rng(3)
    cell = np.array([[4.0, 0.3, 0], [1.9, 5.0, 0.2], [-0.7, 1.1, 3.0]])
    positions = rng.uniform(-3, 4, (12, 3)) @ cell
    first, index, image = neighbour_table(positions, cell, ALL, 6.0)
    owner = np.repeat(np.arange(12), np.diff(first))
    distance = np.linalg.norm(positions[index] + image @ cell - positions[owner], axis=1)
    assert distance.max() < 6.0
    # 4/3 π r³ ρ within a surface term: the list is not merely short distances of a smaller sphere.
    expected = 4 / 3 * np.pi * 6.0**3 * 12 / abs(np.linalg.det(cell))
    assert len(index) / 12 == pytest.approx(expected, rel=0.1)


def test_an_atom_alone_sees_its_own_images():
    first, index, image = neighbour_table(np.zeros((1, 3)), np.eye(3) * 3.0, ALL, 3.1)
    assert first.tolist() == [0, 6]
    assert (index == 0).all()
    assert sorted(map(tuple, np.abs(image).tolist())) == sorted([(1, 0, 0), (0, 1, 0), (0, 0, 1)] * 2)


def test_atoms_on_top_of_each_other_are_neighbours():
    first, index, _ = neighbour_table(np.ones((2, 3)), np.eye(3) * 9.0, ALL, 2.0)
    assert first.tolist() == [0, 1, 2]
    assert index.tolist() == [1, 0]


def test_open_boundaries_need_no_cell():
    positions = np.random.default_rng(1).uniform(0, 8, (30, 3))
    none = np.zeros(3, bool)
    assert pairs(neighbour_table(positions, np.zeros((3, 3)), none, 3.0)) == ase_pairs(
        positions, np.eye(3) * 100, none, 3.0
    )


def test_no_atoms_no_neighbours():
    first, index, image = neighbour_table(np.zeros((0, 3)), np.eye(3), ALL, 3.0)
    assert first.tolist() == [0]
    assert index.shape == (0,)
    assert image.shape == (0, 3)


@pytest.mark.parametrize(
    ("positions", "cell", "cutoff", "says"),
    [
        (np.array([[np.nan, 0, 0]]), np.eye(3), 1.0, "not a finite number"),
        (np.zeros((1, 3)), np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 1.0]]), 1.0, "no volume"),
        (np.zeros((1, 3)), np.full((3, 3), np.inf), 1.0, "not finite"),
        (np.zeros((1, 3)), np.eye(3), -1.0, "positive"),
        (np.zeros((1, 3)), np.eye(3) * 1e-3, 10.0, "million images"),
    ],
)
def test_what_cannot_be_counted_is_refused(positions, cell, cutoff, says):
    with pytest.raises(ValueError, match=says):
        neighbour_table(positions, cell, ALL, cutoff)


def test_a_list_with_a_skin_never_misses_a_pair():
    rng = np.random.default_rng(5)
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    positions, cell = atoms.get_positions(), np.asarray(atoms.cell)
    verlet = VerletList(cutoff=4.0, skin=0.6)
    for step in range(60):
        positions = positions + rng.normal(0, 0.03, positions.shape)
        if step % 3 == 0:
            strain = np.eye(3) + rng.normal(0, 0.004, (3, 3))
            positions, cell = positions @ strain, cell @ strain
        first, index, image = verlet.update(positions, cell, ALL)
        owner = np.repeat(np.arange(len(positions)), np.diff(first))
        near = np.linalg.norm(positions[index] + image @ cell - positions[owner], axis=1) < 4.0
        mine = sorted(zip(owner[near], index[near], *image[near].T, strict=True))
        assert mine == ase_pairs(positions, cell, ALL, 4.0), step
    assert 3 < verlet.builds < 60


def test_the_list_is_made_anew_for_other_atoms_and_boundaries():
    verlet = VerletList(cutoff=2.0)
    small = Atoms("Ne2", positions=[[0, 0, 0], [1, 0, 0]], cell=[3, 3, 3], pbc=True)
    assert len(verlet.update(small.positions, small.cell.array, small.pbc)[1]) > 0
    assert len(verlet.update(small.positions, small.cell.array, np.zeros(3, bool))[1]) == 2
    assert len(verlet.update(small.positions[:1], small.cell.array, np.zeros(3, bool))[1]) == 0
    assert verlet.builds == 3


@pytest.mark.parametrize(("cutoff", "skin"), [(0.0, 0.5), (np.nan, 0.5), (3.0, -0.1)])
def test_a_list_without_a_sensible_reach_is_refused(cutoff, skin):
    with pytest.raises(ValueError, match="wanted a positive cutoff"):
        VerletList(cutoff, skin)
