"""Symmetry functions against a plain double loop, and against what physics demands of them."""

import itertools
import math
from dataclasses import replace

import numba
import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell
from hypothesis import given, settings
from hypothesis import strategies as st

from iondiff.descriptors import (
    Angular,
    DescriptorSet,
    HostNeighbours,
    Radial,
    check_host,
    default_guest_set,
    guest_descriptors,
)
from iondiff.descriptors.bins import PeriodicBins
from iondiff.errors import HostError, PotentialError

CELLS = {
    "cubic": np.eye(3) * 9.0,
    "triclinic": np.array([[8.0, 0.3, -0.2], [3.5, 7.0, 0.4], [-2.5, 2.0, 7.5]]),
    "left-handed": np.array([[0.0, 7.0, 0.5], [8.0, 0.0, 0.0], [1.0, 1.0, 9.0]]),
    "smaller than the cutoff": np.array([[3.1, 0.0, 0.0], [1.2, 2.9, 0.0], [0.3, -0.8, 3.3]]),
    "flat": np.array([[14.0, 0.0, 0.0], [0.0, 2.6, 0.0], [5.0, 0.7, 6.0]]),
}
FUNCTIONS = DescriptorSet(
    (
        Radial("O", 0.7, 0.0, 4.5),
        Radial("Ta", 2.0, 2.1, 4.0),
        Radial("O", 0.0, 0.0, 3.0),
    ),
    (
        Angular(("O", "O"), 0.3, 1.5, 1, 1, 4.0),
        Angular(("O", "Ta"), 0.2, 0.0, -1, 3, 4.5),
        Angular(("Ta", "O"), 0.2, 0.4, 1, 4, 4.5),
        Angular(("Ta", "Ta"), 0.1, 1.0, -1, 2, 4.5),
    ),
)


def random_host(cell, seed=0, volume_per_atom=14.0):
    generator = np.random.default_rng(seed)
    count = max(2, round(abs(np.linalg.det(cell)) / volume_per_atom))
    symbols = ["Ta" if i % 3 == 0 else "O" for i in range(count)]
    # Two cells out on purpose: positions need not be wrapped.
    return Atoms(symbols, positions=generator.uniform(-1, 2, (count, 3)) @ cell, cell=cell, pbc=True)


def random_points(cell, count=6, seed=1):
    return np.random.default_rng(seed).uniform(-1, 2, (count, 3)) @ cell


def describe(host, functions, points):
    neighbours = HostNeighbours(host, functions.elements, functions.cutoff)
    return guest_descriptors(neighbours, functions, np.asarray(points, dtype=float))


def cutoff_function(r, cutoff):
    x = r / cutoff
    return 1 - 10 * x**3 + 15 * x**4 - 6 * x**5 if x < 1 else 0.0


def plain_loop(host, functions, point):
    """The formulas as they stand in a textbook, every image within reach one by one."""
    cell = host.cell.array
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(
        [np.cross(cell[1], cell[2]), np.cross(cell[2], cell[0]), np.cross(cell[0], cell[1])], axis=1
    )
    reach = [
        math.ceil(functions.cutoff / h) + 3 for h in heights
    ]  # points and atoms lie up to a cell outside
    around = []
    for symbol, position in zip(host.get_chemical_symbols(), host.positions, strict=True):
        for image in itertools.product(*(range(-n, n + 1) for n in reach)):
            vector = position + np.array(image) @ cell - point
            distance = math.sqrt(vector @ vector)
            if distance < functions.cutoff:
                around.append((symbol, distance, vector))
    values = [
        sum(
            math.exp(-f.eta * (r - f.shift) ** 2) * cutoff_function(r, f.cutoff)
            for symbol, r, _ in around
            if symbol == f.species
        )
        for f in functions.radial
    ]
    for f in functions.angular:
        total = 0.0
        for (s1, r1, v1), (s2, r2, v2) in itertools.combinations(around, 2):
            if sorted((s1, s2)) != sorted(f.species):
                continue
            cosine = v1 @ v2 / (r1 * r2)
            total += (
                (1 + f.lam * cosine) ** f.zeta
                * math.exp(-f.eta * ((r1 - f.shift) ** 2 + (r2 - f.shift) ** 2))
                * cutoff_function(r1, f.cutoff)
                * cutoff_function(r2, f.cutoff)
            )
        values.append(2 ** (1 - f.zeta) * total)
    return np.array(values)


@pytest.mark.parametrize("name", CELLS)
def test_values_equal_a_plain_double_loop(name):
    host = random_host(CELLS[name])
    points = random_points(CELLS[name], 3)
    G, _ = describe(host, FUNCTIONS, points)
    expected = np.array([plain_loop(host, FUNCTIONS, point) for point in points])
    np.testing.assert_allclose(G, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_gradient_is_the_derivative(name):
    host = random_host(CELLS[name])
    points = random_points(CELLS[name], 3)
    _, dG = describe(host, FUNCTIONS, points)
    step = 1e-4
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        moved = [describe(host, FUNCTIONS, points + n * shift)[0] for n in (-2, -1, 1, 2)]
        numeric = (moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3]) / (12 * step)
        np.testing.assert_allclose(dG[:, :, axis], numeric, rtol=1e-7, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(CELLS)))
def test_lattice_translation_permutation_and_rotation(seed, name):
    cell = CELLS[name]
    generator = np.random.default_rng(seed)
    host, points = random_host(cell, seed), random_points(cell, 2, seed + 1)
    G, dG = describe(host, FUNCTIONS, points)
    scale = 1.0 + np.abs(dG).max()

    whole = generator.integers(-5, 6, (2, 3)) @ cell
    moved_host = host.copy()
    moved_host.positions += generator.integers(-3, 4, (len(host), 3)) @ cell
    translated = describe(moved_host, FUNCTIONS, points + whole)
    np.testing.assert_allclose(translated[0], G, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(translated[1], dG, atol=1e-8 * scale)

    shuffled = describe(host[generator.permutation(len(host))], FUNCTIONS, points)
    np.testing.assert_allclose(shuffled[0], G, rtol=1e-10, atol=1e-12)

    rotation, upper = np.linalg.qr(generator.normal(size=(3, 3)))
    rotation = rotation * np.sign(np.diag(upper))
    turned_host = Atoms(host.symbols, positions=host.positions @ rotation, cell=cell @ rotation, pbc=True)
    turned = describe(turned_host, FUNCTIONS, points @ rotation)
    np.testing.assert_allclose(turned[0], G, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(turned[1], dG @ rotation, atol=1e-8 * scale)


@pytest.mark.parametrize("name", CELLS)
def test_a_supercell_sees_the_same(name):
    host, points = random_host(CELLS[name]), random_points(CELLS[name], 3)
    larger = make_supercell(host, [[2, 1, 0], [0, 1, 1], [-1, 0, 1]])
    for small, large in zip(
        describe(host, FUNCTIONS, points), describe(larger, FUNCTIONS, points), strict=True
    ):
        np.testing.assert_allclose(large, small, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("functions", [
    DescriptorSet((Radial("O", 0.5, 1.0, 4.0),), ()),
    DescriptorSet((), (Angular(("O", "O"), 0.2, 1.0, 1, 2, 4.0),)),
])  # fmt: skip
def test_value_slope_and_curvature_go_to_zero_at_the_cutoff(functions):
    """One atom leaves through the cutoff sphere while another stays near: two continuous derivatives."""
    host = Atoms("OO", positions=[[0, 0, 0], [2.0, 2.5, 0.0]], cell=np.eye(3) * 30, pbc=True)
    alone = host[:1] if functions.radial else host[1:]
    alone = Atoms("O", positions=host.positions[1:], cell=host.cell, pbc=True)
    offsets = np.array([-1e-3, -1e-4, 0.0, 1e-4])
    points = np.stack([4.0 + offsets, np.zeros(4), np.zeros(4)], axis=1)
    G, dG = describe(host, functions, points)
    without, slope_without = describe(alone, functions, points)
    value, slope = (G - without)[:, 0], (dG - slope_without)[:, 0, 0]
    # f ~ 10 (1 - x)^3 at the cutoff: value, slope and curvature fall with the third, second and first power.
    assert np.all(value[2:] == 0)
    assert np.all(slope[2:] == 0)
    assert abs(value[0]) < 20 * (1e-3 / 4) ** 3
    assert abs(slope[0]) < 60 * (1e-3 / 4) ** 2
    curvature = [(slope[i] - slope[2]) / offsets[i] for i in (0, 1)]
    assert abs(curvature[1]) < 0.15 * abs(curvature[0])
    assert abs(curvature[1]) < 1e-3


def test_the_same_bits_whatever_the_number_of_threads():
    host, points = random_host(CELLS["triclinic"]), random_points(CELLS["triclinic"], 40)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            results.append(describe(host, FUNCTIONS, points))
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        assert np.array_equal(results[0][0], other[0])
        assert np.array_equal(results[0][1], other[1])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_capacity_bounds_the_neighbours_of_any_place(seed):
    generator = np.random.default_rng(seed)
    cell = generator.normal(size=(3, 3)) * generator.uniform(2, 6) + 3 * np.eye(3)
    if abs(np.linalg.det(cell)) < 20:
        cell += 6 * np.eye(3)
    host = random_host(cell, seed, volume_per_atom=30.0)
    bins = PeriodicBins(host.positions, cell, 3.0)
    images = np.array(list(itertools.product(range(-9, 10), repeat=3))) @ cell
    wrapped = (bins.positions[:, None] + images).reshape(-1, 3)
    for point in generator.random((5, 3)) @ cell:
        assert (np.linalg.norm(wrapped - point, axis=1) < 3.0).sum() <= bins.capacity


def test_no_neighbour_gives_zero():
    host = Atoms("TaO", positions=[[0, 0, 0], [1, 0, 0]], cell=np.eye(3) * 40, pbc=True)
    G, dG = describe(host, FUNCTIONS, [[20.0, 20.0, 20.0]])
    assert not G.any()
    assert not dG.any()


def test_default_set_is_the_papers_split():
    functions = default_guest_set(("Ta", "O"))
    assert (len(functions.radial), len(functions.angular), len(functions)) == (16, 20, 36)
    assert functions.elements == ("O", "Ta")
    assert len(functions.table().splitlines()) == 36
    assert DescriptorSet.from_dict(functions.to_dict()) == functions
    assert default_guest_set(("Si", "Si")).elements == ("Si",)


def test_default_set_of_any_number_of_elements():
    functions = default_guest_set(("Fe", "P", "O"))
    assert functions.elements == ("Fe", "O", "P")
    assert len(functions.radial) == 24
    assert {a.species for a in functions.angular} == {
        ("O", "O"), ("O", "P"), ("O", "Fe"), ("P", "P"), ("P", "Fe"), ("Fe", "Fe")
    }  # fmt: skip
    assert len(default_guest_set(("Si",))) == 16
    with pytest.raises(PotentialError, match="elements is empty"):
        default_guest_set(())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoff": 0.0}, "cutoff"),
        ({"cutoff": math.nan}, "cutoff"),
        ({"cutoff": 1e9}, "up to 50"),
        ({"eta": -1.0}, "eta"),
        ({"eta": math.inf}, "eta"),
        ({"shift": math.nan}, "shift"),
        ({"lam": 0}, "lam"),
        ({"zeta": 0}, "zeta"),
        ({"zeta": 1.5}, "zeta"),
        ({"zeta": 10**9}, "zeta"),
    ],
)
def test_impossible_functions_are_refused(change, message):
    good = FUNCTIONS.angular[0]
    with pytest.raises(PotentialError, match=message):
        DescriptorSet((), (replace(good, **change),))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"radial": [["O", 1.0]], "angular": []},
        {"radial": [], "angular": []},
        {"radial": [], "angular": [["O", "O", 1.0, 0.0, 1, 1.5, 4.0]]},
        {"radial": [], "angular": [["O", "O", 1.0, 0.0, 1, math.inf, 4.0]]},
        {"radial": [["O", "wide", 0.0, 4.0]], "angular": []},
    ],
)
def test_lists_that_are_no_functions_are_refused(data):
    with pytest.raises(PotentialError):
        DescriptorSet.from_dict(data)


def test_hosts_that_cannot_serve():
    with pytest.raises(HostError, match="no atoms"):
        check_host(Atoms(cell=np.eye(3)))
    with pytest.raises(HostError, match="no cell"):
        check_host(Atoms("Ta", positions=[[0, 0, 0]]))
    with pytest.raises(HostError, match="no cell"):
        check_host(Atoms("Ta", positions=[[0, 0, 0]], cell=[5, 5, 0]))
    with pytest.raises(HostError, match="not finite"):
        check_host(Atoms("Ta", positions=[[np.nan, 0, 0]], cell=np.eye(3)))
    with pytest.raises(PotentialError, match="the host has Xe"):
        HostNeighbours(Atoms("Xe", cell=np.eye(3) * 5, pbc=True), ("O", "Ta"), 4.0)


def test_points_and_functions_are_checked():
    neighbours = HostNeighbours(random_host(CELLS["cubic"]), ("O", "Ta"), 4.0)
    with pytest.raises(PotentialError, match="wanted \\(n, 3\\)"):
        guest_descriptors(neighbours, FUNCTIONS, np.zeros(3))
    with pytest.raises(PotentialError, match="wanted the same"):
        guest_descriptors(neighbours, FUNCTIONS, np.zeros((1, 3)))  # 4.5 Å functions, 4 Å neighbours
