"""Functions and derivatives for training: as another implementation has them, and as differences have them."""

import numpy as np
import pytest
import torch
from ase import Atoms

from iondiff.descriptors import SymmetryFunction
from iondiff.descriptors.derivatives import FlatFunctions, describe
from iondiff.errors import PotentialError
from iondiff.potentials.torch_functions import Edges, raw_functions

KINDS = [
    ("G1", {"cutoff_kind": 6, "inner": 0.1}), ("G2", {"eta": 0.6, "shift": 1.5, "cutoff_kind": 1}),
    ("G3", {"kappa": 1.3, "cutoff_kind": 2}), ("W2", {"eta": 1.0, "cutoff_kind": 3}), ("P2", {"r_low": -1.0}),
    ("PW2", {"r_low": 0.5, "core": "p3a"}), ("G4", {"eta": 0.05, "lam": -1.0, "zeta": 3.5, "cutoff_kind": 7}),
    ("G5", {"eta": 0.2, "shift": 1.0, "zeta": 4.0, "cutoff_kind": 8}), ("W4", {"eta": 0.1, "zeta": 2.0}),
    ("P4", {"r_low": -5.0, "angle_left": -100.0, "angle_right": 100.0, "core": "p4"}),
    ("P5", {"r_low": 1.0, "angle_left": 20.0, "angle_right": 160.0}),
    ("PW4", {"r_low": 0.0, "angle_left": 60.0, "angle_right": 170.0}),
    ("PW5", {"r_low": 0.0, "angle_left": 0.0, "angle_right": 180.0}),
]  # fmt: skip


def all_kinds(centre):
    functions = []
    for kind, options in KINDS:
        n = 0 if "W" in kind else 2 if kind[1] in "45" else 1
        combinations = {0: [()], 1: [("Na",), ("Cl",)], 2: [("Na", "Na"), ("Na", "Cl")]}[n]
        functions += [SymmetryFunction(kind, centre, c, 5.0, **options) for c in combinations]
    return functions


@pytest.fixture(scope="module")
def flat():
    return FlatFunctions({centre: all_kinds(centre) for centre in ("Na", "Cl")})


@pytest.fixture(scope="module")
def atoms():
    """Triclinic, smaller than the cutoff along one vector: atoms see their own images."""
    generator = np.random.default_rng(4)
    cell = np.array([[4.1, 0.0, 0.0], [1.1, 5.6, 0.0], [-0.9, 0.7, 6.2]])
    points = np.array([[0.0, 0, 0], [0.5, 0.5, 0.1], [0.1, 0.4, 0.6], [0.6, 0.1, 0.5]])
    points = points + 0.04 * generator.normal(size=points.shape)
    return Atoms("NaClNaCl", cell=cell, scaled_positions=points, pbc=True)


def displaced(d, flat, atom, k):
    """Analytic derivatives (n, m) of all functions by one coordinate of one atom."""
    out = np.zeros_like(d.values)
    for i in range(len(d.species)):
        for p in range(d.first[i], d.first[i + 1]):
            size = flat.class_size[d.pair_class[p]]
            columns = flat.class_columns[d.pair_class[p], :size]
            slope = d.derivatives[d.offset[p] + k * size : d.offset[p] + (k + 1) * size]
            out[i, columns] += ((d.index[p] == atom) * 1.0 - (i == atom)) * slope
    return out


@pytest.mark.parametrize(("atom", "k"), [(0, 0), (1, 2), (3, 1)])
def test_derivatives_are_those_of_the_values(atoms, flat, atom, k):
    step = 1e-4
    d = describe([atoms], flat)[0]
    values = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[atom, k] += sign * step
        values.append(describe([moved], flat)[0].values)
    numeric = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(displaced(d, flat, atom, k), numeric, atol=2e-6 * np.abs(numeric).max() + 1e-5)


def test_values_are_those_of_the_torch_path(atoms, flat):
    """Written apart from this one, with another way to walk pairs."""
    d = describe([atoms], flat)[0]
    centre = np.repeat(np.arange(len(atoms)), np.diff(d.first))
    numbers = flat.numbers[d.species[d.index]].astype(int)
    for code, symbol in enumerate(flat.species):
        chosen = d.species[centre] == code
        mine = np.flatnonzero(d.species == code)
        edges = Edges(
            torch.from_numpy(d.vectors[chosen]), torch.from_numpy(np.searchsorted(mine, centre[chosen])),
            torch.from_numpy(numbers[chosen]), len(mine),
        )  # fmt: skip
        expected = raw_functions(flat.functions[symbol], edges).numpy()
        np.testing.assert_allclose(d.values[mine], expected, rtol=1e-10, atol=1e-10)


def test_the_file_beyond_the_budget_holds_the_same_numbers(atoms, flat, tmp_path):
    inside = describe([atoms, atoms], flat)
    outside = describe([atoms, atoms], flat, memory_budget=100.0, folder=tmp_path)
    for a, b in zip(inside, outside, strict=True):
        np.testing.assert_array_equal(a.derivatives, b.derivatives)
    assert not list(tmp_path.iterdir())


def test_far_pairs_keep_radial_functions_only():
    functions = [
        SymmetryFunction("G2", "Cu", ("Cu",), 6.0, eta=0.3, shift=2.0),
        SymmetryFunction("G5", "Cu", ("Cu", "Cu"), 3.0, eta=0.3),
    ]
    flat = FlatFunctions({"Cu": functions})
    d = describe([Atoms("Cu3", positions=[[0, 0, 0], [2.5, 0, 0], [0, 5.0, 0]])], flat)[0]
    near = np.linalg.norm(d.vectors, axis=1) < 3.0
    assert near.sum() == 2
    assert (flat.class_size[d.pair_class] == np.where(near, 2, 1)).all()
    assert len(d.derivatives) == 3 * (2 * 2 + 4)


def test_an_element_without_functions_is_named(flat):
    with pytest.raises(PotentialError, match="Cu has no symmetry functions"):
        describe([Atoms("Cu", cell=[4, 4, 4], pbc=True)], flat)
