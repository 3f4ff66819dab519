"""The exact solution against constants that stand in textbooks, and against its own symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kmc

T = 500.0
RATE = 1e13 * np.exp(-0.3 / (8.617333262145179e-5 * T))
CM2 = 1e-16


def test_random_barriers_in_one_dimension(graphs):
    barriers = np.random.default_rng(1).uniform(0.1, 0.9, 40)
    D = kmc.diffusion_tensor(graphs.chain(barriers, spacing=1.5), 300.0)
    rates = 1e13 * np.exp(-barriers / (graphs.KB * 300.0))
    assert D[0, 0] == pytest.approx(1.5**2 / np.mean(1 / rates) * CM2, rel=1e-12)
    assert np.count_nonzero(D) == 1  # exactly zero across the chain


def test_random_traps_in_one_dimension(graphs):
    rng = np.random.default_rng(2)
    depths = rng.uniform(0.0, 0.6, 30)
    D = kmc.diffusion_tensor(graphs.chain(np.full(30, 0.5), energies=-depths, spacing=2.0), 400.0)
    out = 1e13 * np.exp(-(0.5 + depths) / (graphs.KB * 400.0))  # to each side
    assert D[0, 0] == pytest.approx(2.0**2 / np.mean(1 / out) * CM2, rel=1e-12)


def test_self_dual_square_lattice(graphs):
    """Bonds along x have rates f(x + y), bonds along y have Γ²/f(x + y): the dual is the same, shifted.

    Duality then fixes the determinant of D, whatever f is: sqrt(det D) = Γ = exp⟨ln rate⟩.
    """
    n, middle = 6, 0.4
    f = np.random.default_rng(0).uniform(-0.3, 0.3, n)
    hops = []
    for x in range(n):
        for y in range(n):
            i, s = n * x + y, (x + y) % n
            hops.append((i, n * ((x + 1) % n) + y, (int(x == n - 1), 0, 0), middle + f[s], 1e13))
            hops.append((i, n * x + (y + 1) % n, (0, int(y == n - 1), 0), middle - f[s], 1e13))
    positions = [(x, y, 0.0) for x in range(n) for y in range(n)]
    D = kmc.diffusion_tensor(graphs.build(np.diag([n, n, 5.0]), positions, np.zeros(n * n), hops), T)
    mean = 1e13 * np.exp(-middle / (graphs.KB * T))
    assert np.sqrt(np.linalg.det(D[:2, :2])) == pytest.approx(mean * CM2, rel=1e-11)


FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
# Sites as multiples of the primitive vectors; D = factor · a² Γ with Γ the rate of one hop.
INTERSTITIALS = {
    "simple cubic": (np.eye(3), [[0, 0, 0]], 1.0, 1.0),
    "octahedral in fcc": (FCC, [[0, 0, 0]], np.sqrt(0.5), 1.0),
    "octahedral in bcc": (
        BCC,
        np.array([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]) @ np.linalg.inv(BCC),
        0.5,
        1 / 6,
    ),
    "tetrahedral in bcc": (
        BCC,
        np.array(
            [[0.5, 0.25, 0], [0.5, 0.75, 0], [0.25, 0, 0.5], [0.75, 0, 0.5], [0, 0.5, 0.25], [0, 0.5, 0.75]]
        )
        @ np.linalg.inv(BCC),
        np.sqrt(2) / 4,
        1 / 12,
    ),
}


@pytest.mark.parametrize("name", INTERSTITIALS)
def test_interstitials_in_cubic_crystals(graphs, name):
    cell, sites, distance, factor = INTERSTITIALS[name]
    a = 3.3
    D = kmc.diffusion_tensor(graphs.lattice(cell * a, np.mod(sites, 1.0), distance * a), T)
    np.testing.assert_allclose(
        D, factor * a**2 * RATE * CM2 * np.eye(3), rtol=1e-12, atol=1e-14 * np.trace(D)
    )


def test_one_site_hopping_to_its_own_images(graphs):
    cell = [[2.0, 0.0, 0.0], [0.7, 1.8, 0.0], [0.1, -0.4, 3.0]]
    hops = [(0, 0, (1, 0, 0), 0.3, 1e13), (0, 0, (0, 1, -1), 0.4, 2e12), (0, 0, (1, 0, 0), 0.35, 1e13)]
    D = kmc.diffusion_tensor(graphs.build(cell, [(0.5, 0.5, 0.5)], [0.1], hops), T)
    expected = np.zeros((3, 3))
    for _, _, image, saddle, prefactor in hops:
        step = np.array(image) @ np.array(cell)
        expected += prefactor * np.exp(-(saddle - 0.1) / (graphs.KB * T)) * np.outer(step, step) * CM2
    np.testing.assert_allclose(D, expected, rtol=1e-12)


def test_every_hop_is_undone_as_often_as_it_is_made(graphs):
    """Detailed balance without a field; with one, currents flow and only what enters a site equals what leaves it."""
    graph = graphs.disordered(30, seed=7)
    network = kmc.compile_graph(graph)
    for field in (None, [0.02, -0.01, 0.03]):
        rates = np.exp(kmc.hop_rates(network, T, field=field).log_rates)
        flow = kmc.solve(network, T, field=field).occupation[network.source] * rates
        balanced = np.allclose(flow, flow[network.reverse], rtol=1e-11)
        assert balanced == (field is None)
        leaving = np.bincount(network.source, flow, 30)
        np.testing.assert_allclose(np.bincount(network.target, flow, 30), leaving, rtol=1e-11)


def test_biased_ring_of_derrida(graphs):
    """B. Derrida, J. Stat. Phys. 31, 433 (1983): drift and diffusion on a ring of random rates."""
    rng = np.random.default_rng(5)
    n, a = 9, 1.0
    forward, backward = rng.uniform(1e12, 3e12, n), rng.uniform(2e11, 2e12, n)
    graph = graphs.chain(np.full(n, 0.3), spacing=a)
    boltzmann = np.exp(-0.3 / (graphs.KB * T))
    for i, j, data in graph.edges(data=True):
        data["prefactor"] = float(forward[i] if j == (i + 1) % n else backward[i])
    solution = kmc.solve(graph, T)
    W, V = forward * boltzmann, backward * boltzmann  # i -> i + 1 and i -> i - 1
    r, u = np.zeros(n), np.zeros(n)
    for i in range(n):
        product, r[i] = 1.0, 1.0 / W[i]
        for k in range(1, n):
            product *= V[(i + k) % n] / W[(i + k) % n]
            r[i] += product / W[i]
        product, u[i] = 1.0, 1.0 / W[i]
        for k in range(1, n):
            product *= V[(i + 1 - k) % n] / W[(i - k) % n]
            u[i] += product / W[i]
    loop = 1.0 - np.prod(V / W)
    velocity = n * loop / r.sum()
    weighted = sum(u[i] * sum((k + 1) * r[(i + k + 1) % n] for k in range(n)) for i in range(n))
    diffusion = (velocity * weighted + n * (W * u * r).sum()) / r.sum() ** 2 - velocity * (n + 2) / 2
    assert solution.drift[0] == pytest.approx(velocity * a * 1e-8, rel=1e-11)
    assert solution.tensor[0, 0] == pytest.approx(diffusion * a**2 * CM2, rel=1e-11)


def test_disconnected_parts_weigh_by_their_boltzmann_factors(graphs):
    hops = [(0, 0, (1, 0, 0), 0.4, 1e13), (1, 1, (0, 1, 0), 0.4, 1e13)]
    graph = graphs.build(np.eye(3) * 2, [(0, 0, 0), (1, 1, 1), (1, 0, 0)], [0.1, 0.0, -0.05], hops)
    weight = np.exp(-np.array([0.1, 0.0, -0.05]) / (graphs.KB * T))
    flow = 1e13 * np.exp(-0.4 / (graphs.KB * T)) * 4 * CM2 / weight.sum()
    np.testing.assert_allclose(np.diag(kmc.diffusion_tensor(graph, T)), [flow, flow, 0.0], rtol=1e-12)


def test_large_graphs_agree_with_elimination(graphs, monkeypatch):
    graph = graphs.disordered(150, seed=3)
    eliminated = kmc.diffusion_tensor(graph, 400.0)
    monkeypatch.setattr("kmc.exact.ELIMINATE_UP_TO", 0)
    solution = kmc.solve(graph, 400.0)
    assert 0 < solution.residual < 1e-8
    np.testing.assert_allclose(solution.tensor, eliminated, rtol=1e-10)


@pytest.mark.parametrize("n", [40, 260])
def test_a_vanishing_field_changes_nothing_and_obeys_einstein(graphs, n):
    graph = graphs.disordered(n, seed=8, spread=0.2, site_spread=0.05)
    D = kmc.diffusion_tensor(graph, 800.0)
    field = np.array([1.0, -0.5, 0.3]) * 1e-6
    solution = kmc.solve(graph, 800.0, field=field, charge=2.0)
    np.testing.assert_allclose(solution.tensor, D, rtol=1e-4, atol=1e-6 * np.trace(D))
    einstein = D @ field * 2.0 / (graphs.KB * 800.0) * 1e8  # cm/s, the field being in V/Å
    np.testing.assert_allclose(solution.drift, einstein, rtol=1e-4)


@given(seed=st.integers(0, 10_000), temperature=st.floats(60.0, 2000.0))
@settings(max_examples=30, deadline=None)
def test_moving_sites_leaves_diffusion_alone(graphs, seed, temperature):
    graph = graphs.disordered(12, seed=seed)
    D = kmc.diffusion_tensor(graph, temperature)
    rng = np.random.default_rng(seed)
    for _, data in graph.nodes(data=True):
        data["position"] = (rng.random(3) @ np.array(graph.graph["cell"])).tolist()
    np.testing.assert_allclose(
        kmc.diffusion_tensor(graph, temperature), D, rtol=1e-12, atol=1e-12 * np.trace(D)
    )
    assert np.linalg.eigvalsh(D).min() >= -1e-12 * np.trace(D)


@pytest.mark.parametrize(
    "matrix", [np.diag([2, 2, 2]), [[1, 1, 0], [0, 1, -2], [0, 0, 1]], [[2, 1, 0], [0, 1, 0], [1, 0, 1]]]
)
def test_the_choice_of_cell_leaves_diffusion_alone(graphs, matrix):
    graph = graphs.disordered(10, seed=4)
    D = kmc.diffusion_tensor(graph, 350.0)
    np.testing.assert_allclose(kmc.diffusion_tensor(graphs.supercell(graph, matrix), 350.0), D, rtol=1e-11)


def test_activation_energy_is_the_derivative(graphs):
    graph = graphs.disordered(30, seed=6)
    beta, h = 1 / (graphs.KB * 450.0), 1e-4

    def log_d(b):
        return np.log(np.trace(kmc.diffusion_tensor(graph, 1 / (graphs.KB * b))))

    numeric = -(log_d(beta + h) - log_d(beta - h)) / (2 * h)
    assert kmc.activation_energy(graph, 450.0) == pytest.approx(numeric, abs=1e-7)


def test_current_is_carried_by_the_bottleneck(graphs):
    barriers = np.full(12, 0.2)
    barriers[7] = 0.6
    table = kmc.current_hops(graphs.chain(barriers), 300.0)
    first = table.iloc[0]
    assert {first["source"], first["target"]} == {7, 8}
    assert first["share"] > 0.999
    assert table["share"].sum() == pytest.approx(1.0)


def test_percolation_counts_directions_as_they_open(graphs):
    energies = [0.1, 0.0]
    hops = [
        (0, 1, (0, 0, 0), 0.25, 1e13),
        (1, 0, (1, 0, 0), 0.30, 1e13),
        (0, 0, (1, 1, 0), 0.45, 1e13),
        (1, 1, (2, 1, 0), 0.50, 1e13),  # closes x and y again: no new direction
    ]
    found = kmc.percolation(graphs.build(np.eye(3) * 3, [(0, 0, 0), (1.5, 0, 0)], energies, hops))
    assert found.rank == 2
    np.testing.assert_allclose(found.energies, [0.30, 0.45, np.inf])
    np.testing.assert_allclose(found.barriers, [0.30, 0.45, np.inf])


def test_two_clusters_percolating_apart_are_not_yet_a_plane(graphs):
    hops = [(0, 0, (1, 0, 0), 0.2, 1e13), (1, 1, (0, 1, 0), 0.3, 1e13), (0, 1, (0, 0, 0), 0.7, 1e13)]
    found = kmc.percolation(graphs.build(np.eye(3) * 3, [(0, 0, 0), (1, 1, 1)], [0.0, 0.0], hops))
    np.testing.assert_allclose(found.energies, [0.2, 0.7, np.inf])


def test_a_graph_that_leads_nowhere_has_exactly_no_diffusion(graphs):
    graph = graphs.build(np.eye(3) * 3, [(0, 0, 0), (1, 1, 1)], [0.0, 0.1], [(0, 1, (0, 0, 0), 0.3, 1e13)])
    assert not kmc.diffusion_tensor(graph, T).any()
    assert kmc.percolation(graph).rank == 0
    with pytest.raises(kmc.GraphError, match="does not percolate"):
        kmc.activation_energy(graph, T)


@pytest.mark.parametrize("temperature", [0, -5.0, float("nan"), float("inf"), "warm", None])
def test_impossible_temperatures(graphs, temperature):
    with pytest.raises(kmc.GraphError, match="temperature is"):
        kmc.diffusion_tensor(graphs.chain([0.2, 0.3]), temperature)


def test_a_number_no_float_can_hold_is_refused(graphs):
    with pytest.raises(kmc.GraphError, match="outside what a float holds"):
        kmc.diffusion_tensor(graphs.chain([0.9, 0.8]), 10.0)
