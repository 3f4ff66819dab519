"""The guest network: right gradient, right network, honest refusals."""

from dataclasses import replace

import numba
import numpy as np
import pytest
import torch

from iondiff.descriptors import HostNeighbours, guest_descriptors
from iondiff.errors import HostError, PotentialError
from iondiff.files import host_fingerprint
from iondiff.sampling.points import nearest_distance
from iondiff.training._levenberg import predict

CELLS = {
    "cubic": (np.eye(3) * 7.0, 18),
    "triclinic": ([[6.5, 0.3, -0.2], [2.4, 6.0, 0.4], [-1.5, 1.0, 6.2]], 14),
    "left-handed": ([[0.0, 6.0, 0.5], [6.4, 0.0, 0.0], [1.0, 1.0, 6.0]], 14),
    "smaller than the cutoff": ([[3.1, 0.0, 0.0], [1.2, 2.9, 0.0], [0.3, -0.8, 3.3]], 2),
    "flat": ([[9.0, 0.0, 0.0], [0.0, 2.6, 0.0], [2.0, 0.7, 5.0]], 6),
}


def points_in(host, count=6, seed=1):
    return np.random.default_rng(seed).uniform(-1, 2, (count, 3)) @ host.cell.array


def landscape_of(make, name, corrected, support=2.5):
    host = make.host(*CELLS[name])
    potential = make.potential(wall=0.0)
    if corrected:
        potential = replace(potential, correction=make.correction(host, support=support))
    return host, potential.landscape(host)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_gradient_is_the_derivative_of_the_energy(make, name, corrected):
    host, landscape = landscape_of(make, name, corrected)
    points = points_in(host)
    points = points[nearest_distance(host, points) > 0.4]
    gradient = landscape.energy_and_gradient(points)[1]
    step = 1e-3
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        e = [landscape.energy_and_gradient(points + n * shift)[0] for n in (-3, -2, -1, 1, 2, 3)]
        numeric = (-e[0] + 9 * e[1] - 45 * e[2] + 45 * e[3] - 9 * e[4] + e[5]) / (60 * step)
        np.testing.assert_allclose(gradient[:, axis], numeric, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_lattice_translations_change_nothing(make, name):
    # A support larger than the cell: several images of one centre are felt at once.
    host, landscape = landscape_of(make, name, corrected=True, support=6.0)
    points = points_in(host)
    points = points[nearest_distance(host, points) > 0.4]
    energy, gradient = landscape.energy_and_gradient(points)
    whole = np.random.default_rng(3).integers(-4, 5, points.shape) @ host.cell.array
    moved = landscape.energy_and_gradient(points + whole)
    np.testing.assert_allclose(moved[0], energy, atol=1e-9)
    np.testing.assert_allclose(moved[1], gradient, atol=1e-8)


def test_the_kernel_equals_the_network_that_is_trained(make, host):
    potential = make.potential()
    landscape = potential.landscape(host)
    points = points_in(host, 8)
    points = points[nearest_distance(host, points) > 0.6]
    energies, gradients, members = landscape._evaluate(points)
    neighbours = HostNeighbours(host, potential.functions.elements, potential.functions.cutoff)
    G, dG = guest_descriptors(neighbours, potential.functions, points)
    inputs = torch.from_numpy((G - potential.centre) / potential.width)
    slopes = torch.from_numpy(dG / potential.width[None, :, None])
    out = np.array([
        [predict(torch.from_numpy(w), x, dx, potential.layers).numpy()
         for x, dx in zip(inputs, slopes, strict=True)]
        for w in potential.weights
    ])  # fmt: skip
    expected = potential.energy_scale * out
    expected[:, :, 0] += potential.energy_shift
    np.testing.assert_allclose(members, expected[:, :, 0].T, rtol=1e-12)
    np.testing.assert_allclose(energies, expected[:, :, 0].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gradients, expected[:, :, 1:].mean(axis=0), rtol=1e-10, atol=1e-12)


def test_mean_and_spread_of_the_committee(make, host):
    potential = replace(make.potential(members=4), correction=make.correction(host))
    points = points_in(host, 8)
    points = points[nearest_distance(host, points) > 0.6]
    single = np.array(
        [
            replace(potential, weights=potential.weights[i : i + 1])
            .landscape(host)
            .energy_and_gradient(points)[0]
            for i in range(4)
        ]
    )
    landscape = potential.landscape(host)
    np.testing.assert_allclose(landscape.energy_and_gradient(points)[0], single.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(landscape.spread(points), single.std(axis=0), rtol=1e-9)


def test_walls_are_infinite_and_do_not_crash(make, host):
    landscape = make.potential(wall=1.2).landscape(host)
    points = np.concatenate([host.positions, host.positions + 0.5, points_in(host, 200)])
    near = nearest_distance(host, points) < 1.2
    energies, gradients = landscape.energy_and_gradient(points)
    assert np.array_equal(np.isinf(energies), near)
    assert near.any()
    assert not near.all()
    assert (energies[near] > 0).all()
    assert not gradients[near].any()
    assert np.isfinite(gradients).all()
    assert np.array_equal(np.isinf(landscape.spread(points)), near)


def test_the_same_bits_whatever_the_number_of_threads(make, host):
    landscape = replace(make.potential(), correction=make.correction(host)).landscape(host)
    points = points_in(host, 60)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            results.append(landscape._evaluate(points))
    finally:
        numba.set_num_threads(before)
    alone = [landscape._evaluate(points[i : i + 1]) for i in range(len(points))]
    results.append([np.concatenate(parts) for parts in zip(*alone, strict=True)])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_it_is_a_landscape(make, host):
    landscape = make.potential().landscape(host, guest="Cu")
    assert landscape.guest == "Cu"
    assert landscape.cell.shape == (3, 3)
    assert landscape.cell.dtype == np.float64
    energies, gradients = landscape.energy_and_gradient(np.zeros((0, 3)))
    assert energies.shape == (0,)
    assert gradients.shape == (0, 3)


def test_refusals_are_one_sentence(make, host):
    potential = make.potential()
    with pytest.raises(PotentialError, match="guest is 'Ag', the potential was trained for 'Cu'"):
        potential.landscape(host, guest="Ag")
    foreign = host.copy()
    foreign.symbols[0] = "Nb"
    with pytest.raises(PotentialError, match="the host has Nb"):
        potential.landscape(foreign)
    no_cell = host.copy()
    no_cell.cell[:] = 0
    with pytest.raises(HostError, match="no cell"):
        potential.landscape(no_cell)
    moved = host.copy()
    moved.positions[0] += 0.01
    potential.landscape(moved)  # a network alone may be asked about a similar host
    corrected = replace(potential, correction=make.correction(host))
    with pytest.raises(PotentialError, match="another host structure"):
        corrected.landscape(moved)
    for points in (np.zeros(3), np.zeros((2, 2)), np.full((1, 3), np.nan)):
        with pytest.raises(PotentialError, match="wanted"):
            potential.landscape(host).energy_and_gradient(points)


def test_a_host_read_back_from_a_file_is_the_same_host(host, tmp_path):
    from ase.io import read, write

    for name in ("host.extxyz", "host.traj"):
        write(tmp_path / name, host)
        assert host_fingerprint(read(tmp_path / name)) == host_fingerprint(host)
    moved = host.copy()
    moved.positions[3, 1] += 1e-4
    assert host_fingerprint(moved) != host_fingerprint(host)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ()}, "layers"),
        ({"layers": (9, 0, 1)}, "layers"),
        ({"layers": (8, 7, 5, 1)}, "wanted 9 inputs"),
        ({"weights": np.zeros((2, 3))}, "weights have shape"),
        ({"weights": np.zeros((0, 116))}, "weights have shape"),
        ({"centre": np.zeros(4)}, "centre has shape"),
        ({"width": np.zeros(9)}, "not positive"),
        ({"width": np.full(9, np.nan)}, "not finite"),
        ({"energy_shift": np.inf}, "energy_shift"),
        ({"wall_A": np.nan}, "wall_A"),
        ({"wall_A": 9.0}, "wall_A"),
    ],
)
def test_impossible_potentials_are_refused(make, change, message):
    with pytest.raises(PotentialError, match=message):
        replace(make.potential(), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"centres": np.zeros((3, 3))},
        {"coefficients": np.full((25, 4), np.nan)},
        {"support": 0.0},
        {"support": 1e6},
    ],
)
def test_impossible_corrections_are_refused(make, host, change):
    with pytest.raises(PotentialError, match="correction"):
        replace(make.correction(host), **change)
