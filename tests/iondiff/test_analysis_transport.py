"""Correlations, charge transport and jumps, against sums done by hand and against kmc on the same network."""

import networkx as nx
import numpy as np
import pytest
from scipy import constants

import kmc
from benchmarks import trajectories
from iondiff.analysis import (
    arrhenius,
    charge_diffusivity,
    conductivity,
    diffusivity,
    diffusivity_table,
    haven_ratio,
    jumps,
    msd,
    vacf,
    van_hove_distinct,
    van_hove_self,
    velocity_spectrum,
    yeh_hummer,
)
from iondiff.errors import TrajectoryError

CELL = trajectories.TRICLINIC


@pytest.fixture(scope="module")
def walk():
    return trajectories.brownian(np.random.default_rng(0), frames=240, atoms=6)[0]


def test_msd_is_the_double_sum(walk):
    scalar, tensor = msd(walk, 0.5, drift="none"), msd(walk, 0.5, drift="none", tensor=True)
    for lag in (0, 1, 17, 239):
        moved = walk[lag:] - walk[: len(walk) - lag]
        by_hand = np.einsum("tia,tib->ab", moved, moved) / moved[..., 0].size
        np.testing.assert_allclose(tensor.y[lag], by_hand, atol=1e-9)
        assert scalar.y[lag] == pytest.approx(np.trace(by_hand), abs=1e-9)
    assert scalar.x[3] == 1.5


def test_vacf_integrates_to_the_spectrum_at_zero(walk):
    steps = np.diff(walk, axis=0)
    found = vacf(walk, 0.5, drift="none")
    by_hand = np.mean(np.sum(steps[3:] * steps[:-3], axis=2)) / 0.25
    assert found.y[3] == pytest.approx(by_hand)
    given = vacf(None, 0.5, velocities=steps / 0.5, drift="none")
    np.testing.assert_allclose(given.y, found.y, atol=1e-9)
    spectrum = velocity_spectrum(walk, 0.5, drift="none", resolution_THz=0.5)
    assert spectrum.y[0] == pytest.approx(0.05 / 0.5, rel=0.2)  # D, Å²/ps: the walk's 0.05 a frame
    oscillation = np.sin(2 * np.pi * 0.2 * np.arange(400) * 0.5)[:, None, None] * np.ones((1, 2, 3))
    lines = velocity_spectrum(oscillation, 0.5, drift="none")
    assert lines.x[np.argmax(lines.y)] == pytest.approx(0.2, abs=0.01)


def test_van_hove_functions(walk):
    rng = np.random.default_rng(1)
    own = van_hove_self(walk, 1.0, [1, 4], edges=np.linspace(0, 12, 241))
    np.testing.assert_allclose((own.density * 0.05).sum(axis=1), 1.0, atol=1e-9)
    second = (own.density[0] * own.distances**2 * 0.05).sum()
    assert second == pytest.approx(msd(walk, 1.0).y[1], rel=0.01)
    gas = rng.random((30, 150, 3)) @ CELL
    other = van_hove_distinct(gas, 1.0, [0, 2], cell=CELL, wrapped=False)
    np.testing.assert_allclose(other.density[:, 50:].mean(axis=1), 1.0, atol=0.02)
    with pytest.raises(TrajectoryError, match="needs the cell"):
        van_hove_distinct(gas, 1.0, [0], wrapped=False)
    with pytest.raises(TrajectoryError, match="half the smallest height"):
        van_hove_distinct(gas, 1.0, [0], cell=CELL, edges=[0, 50], wrapped=False)
    with pytest.raises(TrajectoryError, match="wanted times from 0"):
        van_hove_self(walk, 1.0, [500])


def test_collective_motion_of_a_lattice_gas_is_free():
    # Blocking alone changes nothing about the charge: D = rate a² times the chance of a vacant neighbour.
    walk, tracer = trajectories.lattice_gas(
        np.random.default_rng(2), frames=6000, shape=(3, 3, 3), vacancies=1, rate=1.0
    )
    exact = 1.0 * 2.5**2 / 26 * 1e-4
    charge = charge_diffusivity(walk, timestep_ps=1.0)
    assert abs(charge.value - exact) < 4 * charge.error
    haven = haven_ratio(walk, timestep_ps=1.0)
    assert abs(haven.value - tracer * 1e-4 / exact) < 4 * haven.error
    sigma = conductivity(walk, 1.0, temperature=500.0, cell=np.eye(3) * 7.5)
    density = 26 / (7.5e-10) ** 3  # SI throughout
    by_hand = density * constants.e**2 * charge.value * 1e-4 / (constants.k * 500.0) / 100
    assert sigma.value == pytest.approx(by_hand)
    assert "S/cm" in str(sigma)
    opposite = charge_diffusivity(walk, 1.0, charges=[1, -1] * 13)
    assert opposite.value < 2 * exact
    with pytest.raises(TrajectoryError, match="3 charges for 26 atoms"):
        charge_diffusivity(walk, 1.0, charges=[1, 1, 1])


def test_finite_size_and_temperatures():
    found = yeh_hummer(kmc.Estimate(1e-5, 1e-7), 300.0, 1e-3, 20.0)
    by_hand = 2.837297 * constants.k * 300 / (6 * np.pi * 1e-3 * 20e-10) * 1e4
    assert found.value - 1e-5 == pytest.approx(by_hand)
    rng = np.random.default_rng(3)
    kT = constants.k / constants.e * np.array([500.0, 700.0, 1000.0])
    runs = {
        t: trajectories.brownian(rng, frames=400, atoms=10, D=5.0 * np.exp(-0.25 / e))[0]
        for t, e in zip((500.0, 700.0, 1000.0), kT, strict=True)
    }
    table = diffusivity_table(runs, 1.0)
    assert list(table["temperature"]) == [500.0, 700.0, 1000.0]
    line = arrhenius(runs, 1.0)
    assert abs(line.Ea - 0.25) < 4 * line.Ea_error
    cold = line.extrapolate(300.0)
    assert abs(cold.value / (5e-4 * np.exp(-0.25 / (constants.k / constants.e * 300))) - 1) < 5 * (
        cold.error / cold.value
    )
    still = {**runs, 300.0: rng.normal(0, 0.1, (100, 10, 3))}
    assert len(diffusivity_table(still, 1.0, skip_short=True)) == 3
    with pytest.raises(kmc.NotConvergedError, match="at 300 K"):
        diffusivity_table(still, 1.0)


def lattice(barriers, cell):
    """Two sites in a triclinic cell, joined along all three axes."""
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=cell.tolist(), guest="Li")
    graph.add_node(0, position=[0.0, 0.0, 0.0], energy=0.0)
    graph.add_node(1, position=(np.array([0.5, 0.4, 0.5]) @ cell).tolist(), energy=0.03)
    for image, barrier in zip([(0, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 0, -1)], barriers, strict=True):
        graph.add_edge(0, 1, image=list(image), barrier=barrier, prefactor=1e13)
        graph.add_edge(1, 0, image=[-x for x in image], barrier=barrier - 0.03, prefactor=1e13)
    return graph


def test_jumps_give_back_the_network_that_made_them():
    cell = np.array([[5.0, 0.0, 0.0], [1.2, 4.8, 0.0], [-0.8, 0.9, 5.2]])
    graph, temperature = lattice([0.25, 0.27, 0.3, 0.28], cell), 600.0
    seen = kmc.observe(graph, temperature, np.arange(20_000) * 0.1e-12, n_walkers=8, seed=3)
    rng = np.random.default_rng(4)
    places = seen.positions.transpose(1, 0, 2)
    walk = places + rng.normal(0, 0.1, places.shape)
    found = jumps(walk, graph, 0.1, cell=cell)
    assert len(found) > 1500
    network = found.network(temperature)
    kmc.validate(network)
    rates = kmc.hop_rates(kmc.compile_graph(graph), temperature)
    truth = {
        (int(i), int(j), tuple(int(x) for x in image)): float(np.exp(log))
        for i, j, image, log in zip(
            rates.network.source, rates.network.target, rates.network.image, rates.log_rates, strict=True
        )
    }
    known = [edge for edge in network.edges(data=True) if (*edge[:2], tuple(edge[2]["image"])) in truth]
    assert len(known) == graph.number_of_edges()
    # Two hops between frames look like one long hop, or, there and back, like none: some in a hundred here.
    assert sum(data["jumps"] for *_, data in known) > 0.9 * sum(
        d["jumps"] for *_, d in network.edges(data=True)
    )
    for i, j, data in known:
        expected = truth[i, j, tuple(data["image"])]
        assert data["rate"] == pytest.approx(expected, rel=0.03, abs=5 * data["rate_error"])
    exact = np.trace(kmc.diffusion_tensor(graph, temperature))
    assert np.trace(kmc.diffusion_tensor(network, temperature)) == pytest.approx(exact, rel=0.1)
    direct = diffusivity(walk, timestep_ps=0.1)
    assert abs(direct.value - exact / 3) < 4 * direct.error
    stays = found.residence_times()
    left = np.exp(rates.log_rates[rates.network.source == 0]).sum()
    assert stays["residence_ps"][0] == pytest.approx(1e12 / left, rel=0.1)


def test_wrapped_and_free_jumps_are_the_same_and_swings_are_none():
    cell = np.diag([4.0, 4.0, 4.0])
    sites = [[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]
    turns = [[0, 1.1], [1, 0], [0, -2], [-2, -4]]
    path = np.concatenate([np.linspace(begin, end, 6) for begin, end in turns])[:, None, None] * np.ones(3)
    free = jumps(path, sites, 1.0, cell=cell, wrapped=False)
    assert free.source.tolist() == [0, 1]
    assert free.target.tolist() == [1, 0]
    assert free.image.tolist() == [[-1, -1, -1], [0, 0, 0]]
    inside = jumps(path % 4.0, sites, 1.0, cell=cell, wrapped=True)
    assert inside.image.tolist() == free.image.tolist()
    with pytest.raises(TrajectoryError, match="above the prefactor"):
        free.network(300.0, prefactor=1e9)


def test_sites_that_are_none_are_refused():
    walk = np.zeros((20, 1, 3))
    cell = np.eye(3) * 5.0
    with pytest.raises(TrajectoryError, match="needs the cell"):
        jumps(walk, [[0, 0, 0]], 1.0)
    with pytest.raises(TrajectoryError, match="sites have the shape"):
        jumps(walk, [0, 0, 0], 1.0, cell=cell)
    with pytest.raises(TrajectoryError, match="sites 0 and 1 are"):
        jumps(walk, [[0, 0, 0], [5, 0, 0]], 1.0, cell=cell)
    with pytest.raises(TrajectoryError, match="overlap"):
        jumps(walk, [[0, 0, 0], [2, 0, 0]], 1.0, cell=cell, core=1.5)
    with pytest.raises(TrajectoryError, match="ever within a core"):
        jumps(walk, [[2.5, 2.5, 2.5]], 1.0, cell=cell)
    with pytest.raises(TrajectoryError, match="no atom jumped"):
        jumps(walk, [[0, 0, 0]], 1.0, cell=cell).network(300.0)
