"""Many carriers: known answers of exclusion processes."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kmc
from kmc.rates import KB

T = 600.0


def _not_compiled(barrier, before, after):
    return str(barrier) + "eV"


def _repel(distance):
    return 0.05 / distance


def sigmas(estimate, expected):
    return (np.asarray(estimate.value) - expected) / np.asarray(estimate.error)


def simple_cubic(graphs):
    return graphs.lattice(np.eye(3) * 2.0, [(0, 0, 0)], [2.0])


def lattices(graphs):
    """Graph, copies and correlation factor of the seven lattices."""
    a, flat = 2.0, np.array([[2.0, 0, 0], [1.0, 3**0.5, 0], [0, 0, 50.0]])
    bcc = a / 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1.0]])
    fcc = a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    one, two = [(0, 0, 0)], [(0, 0, 0), (0.25, 0.25, 0.25)]
    return {
        "sc": (simple_cubic(graphs), (20, 20, 20), 0.653109),
        "bcc": (graphs.lattice(bcc, one, [a * 3**0.5 / 2]), (20, 20, 20), 0.727194),
        "fcc": (graphs.lattice(fcc, one, [a / 2**0.5]), (20, 20, 20), 0.781451),
        "diamond": (graphs.lattice(fcc, two, [a * 3**0.5 / 4]), (16, 16, 16), 0.5),
        "square": (graphs.lattice(np.diag([a, a, 50.0]), one, [a]), (100, 100, 1), 0.466942),
        "triangular": (graphs.lattice(flat, one, [a]), (100, 100, 1), 0.560057),
        "honeycomb": (
            graphs.lattice(flat, [(1 / 3, 1 / 3, 0), (2 / 3, 2 / 3, 0)], [a / 3**0.5]),
            (70, 70, 1),
            1 / 3,
        ),
    }


NAMES = ["sc", "bcc", "fcc", "diamond", "square", "triangular", "honeycomb"]


@pytest.mark.parametrize("name", NAMES)
def test_vacancy_correlation_factors_by_linear_algebra(graphs, name):
    graph, _, known = lattices(graphs)[name]
    assert abs(kmc.vacancy_correlation_factor(graph) - known) < 1e-5


@pytest.mark.parametrize("name", ["sc", "honeycomb"])
def test_vacancy_correlation_factors_by_simulation(graphs, name):
    graph, cells, known = lattices(graphs)[name]
    n = len(graph) * int(np.prod(cells))
    run = kmc.simulate_gas(graph, n - 1, T, replicate=cells, n_hops=1_500_000, seed=2)
    assert run.walked == "vacancies"
    factor = kmc.correlation_factor(run)
    assert factor.error < 0.01 * known
    assert abs(sigmas(factor, known)) < 3


@pytest.mark.physics
@pytest.mark.parametrize("name", NAMES)
def test_vacancy_correlation_factors_to_a_third_of_a_percent(graphs, name):
    graph, cells, known = lattices(graphs)[name]
    n = len(graph) * int(np.prod(cells))
    run = kmc.simulate_gas(graph, n - 1, T, replicate=cells, n_hops=20_000_000, seed=1)
    factor = kmc.correlation_factor(run)
    assert factor.error < 0.003 * known
    assert abs(sigmas(factor, known)) < 3


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_conductivity_goes_as_c_times_one_minus_c(graphs, share):
    graph = simple_cubic(graphs)
    run = kmc.simulate_gas(graph, occupancy=share, temperature=T, replicate=(6, 6, 6), n_hops=400_000, seed=4)
    n, filled = 216, run.n_carriers
    free = kmc.diffusion_tensor(graph, T)[0, 0]
    # Of the other n − 1 sites, filled − 1 are taken.
    assert abs(sigmas(kmc.charge_diffusivity(run), free * (n - filled) / (n - 1))) < 4
    assert abs(sigmas(kmc.chemical_diffusivity(run), free * n / (n - 1))) < 4
    found = kmc.conductivity(run, charge=2.0)
    expected = filled / run.volume * 1e24 * 4 * 1.602176634e-19 / (KB * T) * free * (n - filled) / (n - 1)
    assert abs(sigmas(found, expected)) < 4
    np.testing.assert_allclose(found.nernst_einstein.value, found.value * found.haven_ratio.value, rtol=1e-9)


def test_the_tensors_of_an_anisotropic_lattice(graphs):
    """Three directions of different rates, no direction knows of the others in the collective motion."""
    steps = [(0, 0, row, s, 1e13) for row, s in zip(np.eye(3, dtype=int), (0.20, 0.22, 0.26), strict=True)]
    graph = graphs.build([[2, 0, 0], [0.5, 2, 0], [0, 0.3, 2]], [(0, 0, 0)], [0.0], steps)
    exact = kmc.diffusion_tensor(graph, T)
    run = kmc.simulate_gas(graph, 108, T, replicate=(6, 6, 6), n_hops=800_000, seed=3)
    charge = kmc.charge_diffusivity(run, tensor=True)
    tracer = kmc.tracer_diffusivity(run, tensor=True)
    assert np.abs(sigmas(charge, exact * 108 / 215)).max() < 4
    np.testing.assert_allclose(tracer.value, np.asarray(tracer.value).T, rtol=1e-12)
    assert np.all(np.diag(tracer.value) < np.diag(exact) * 108 / 215)
    assert np.trace(tracer.value) / 3 == pytest.approx(
        kmc.tracer_diffusivity(run, check=False).value, rel=0.1
    )


def test_the_dilute_limit_is_the_exact_tensor(graphs):
    graph = graphs.disordered(15, seed=5, spread=0.3)
    exact = kmc.diffusion_tensor(graph, T)
    run = kmc.simulate_gas(graph, 1, T, n_hops=1_000_000, seed=6, replicas=2)
    found = kmc.tracer_diffusivity(run, tensor=True)
    assert np.abs(sigmas(found, exact)).max() < 4
    assert np.array_equal(found.value, kmc.charge_diffusivity(run, tensor=True).value)
    assert kmc.haven_ratio(run).value == 1.0
    assert abs(sigmas(kmc.charge_diffusivity(run), np.trace(exact) / 3)) < 4
    weights = kmc.occupation(graph, T).to_numpy()
    occupied = run.occupation()
    assert np.abs((occupied.value[0] - weights) / (occupied.error[0] + 1e-12)).max() < 5


def test_single_file(graphs):
    """⟨x²⟩ = ((1 − c)/c) · 2 √(Dt/π) at times short against those of the whole ring."""
    n, filled, spacing = 4000, 2000, 1.5
    graph = graphs.chain([0.3], spacing=spacing)
    free = kmc.diffusion_tensor(graph, T)[0, 0] * 1e16
    run = kmc.simulate_gas(
        graph, filled, T, replicate=(n, 1, 1), n_hops=12_800_000, seed=5, clock="exponential"
    )
    time = run.durations.reshape(1, run.blocks, -1).sum(axis=2)
    for level in (5, 6):
        size = 1 << level
        ends = np.arange(size - 1, run.blocks, size)
        x2 = run.squares[0, level, ends, 0, 0, 0] / filled
        t = time[0].reshape(-1, size).sum(axis=1).mean()
        # In units of the spacing, c carriers on average per site.
        expected = spacing * 2.0 * np.sqrt(free * t / np.pi)
        # 2000 carriers know of each other over √(Dt): neighbours' displacements are the same measurement.
        together = 2.0 * np.sqrt(free * t) / spacing
        error = expected * np.sqrt(2.0 * together * 2.0 / filled / len(ends))
        assert abs(x2.mean() - expected) < 4 * error
        assert error < 0.1 * expected
    assert run.squares[..., 1:, 1:].max() == 0.0


@pytest.mark.parametrize("algorithm", ["null-event", "active", "sum-tree"])
def test_current_of_a_driven_ring(graphs, algorithm):
    """J = (p − q) n (N − n) / (N (N − 1)): every configuration is as likely as any other."""
    graph, n, filled, field = graphs.chain([0.3]), 12, 5, 0.03
    run = kmc.simulate_gas(
        graph,
        filled,
        T,
        replicate=(n, 1, 1),
        n_hops=400_000,
        seed=2,
        field=(field, 0, 0),
        algorithm=algorithm,
    )
    rate = 1e13 * np.exp(-0.3 / (KB * T))
    p, q = (rate * np.exp(sign * 0.75 * field / (KB * T)) for sign in (1, -1))
    expected = (p - q) * filled * (n - filled) / (n * (n - 1))
    found = kmc.current(run)
    assert abs((found.value[0] - expected) / found.error[0]) < 4
    assert found.value[1] == found.value[2] == 0.0


def test_open_ends(graphs):
    """Between reservoirs the mean profile of exclusion is a straight line, J = Γ(f_0 − f_1)/(L + 1)."""
    graph, n = graphs.chain([0.3]), 10
    ends = {"source": kmc.Reservoir(occupation=0.8), "drain": kmc.Reservoir(occupation=0.1)}
    run = kmc.simulate_gas(graph, temperature=T, replicate=(n, 1, 1), n_hops=600_000, seed=3, **ends)
    rate = 1e13 * np.exp(-0.3 / (KB * T))
    assert run.algorithm == "active"
    assert abs(sigmas(kmc.current(run), rate * 0.7 / (n + 1))) < 4
    assert abs(float(run.occupation().value[0, 0]) - 0.45) < 5 * float(run.occupation().error[0, 0])
    with pytest.raises(kmc.GraphError, match="open ends"):
        kmc.tracer_diffusivity(run)
    level = kmc.Reservoir(chemical_potential=0.0)
    rest = kmc.simulate_gas(
        graph, temperature=T, replicate=(n, 1, 1), n_hops=200_000, source=level, drain=level
    )
    assert abs(sigmas(kmc.current(rest), 0.0)) < 4


def test_fermi_and_dirac(graphs):
    """Sites of different energy, exclusion only: every site by itself in a reservoir of the others."""
    energies = np.array([0.0, 0.05, 0.1, 0.2])
    graph = graphs.chain([0.35, 0.4, 0.38, 0.36], energies=energies)
    filled = 200
    run = kmc.simulate_gas(graph, filled, T, replicate=(100, 1, 1), n_hops=1_000_000, seed=7)
    occupied = run.occupation()
    share, error = np.asarray(occupied.value)[0], np.asarray(occupied.error)[0]
    assert share.sum() * 100 == pytest.approx(filled, rel=1e-9)
    level = np.log(share / (1 - share)) * KB * T + energies
    error_of_level = KB * T * error / (share * (1 - share))
    # A fixed number of carriers shifts occupations by about one over the number of copies.
    assert np.ptp(level) < 4 * np.hypot(*error_of_level[[0, 3]]) + KB * T * 2 / 100
    table = run.occupations()
    assert list(table.columns) == ["node", "species", "energy", "occupation", "error"]


def test_einstein_relation_at_low_field(graphs):
    graph = simple_cubic(graphs)
    field = 0.002
    system = {"replicate": (6, 6, 6), "n_hops": 2_000_000, "seed": 8}
    driven = kmc.mobility(kmc.simulate_gas(graph, 108, T, field=(field, 0, 0), **system))
    expected = kmc.diffusion_tensor(graph, T)[0, 0] * 108 / 215 / (KB * T)
    assert abs(sigmas(driven, expected)) < 4
    assert driven.error < 0.2 * expected
    at_rest = kmc.mobility(kmc.simulate_gas(graph, 108, T, **system))
    assert abs(sigmas(at_rest, expected)) < 4
    assert kmc.mobility(kmc.simulate_gas(graph, 108, T, **system), charge=-1.0).value < 0


def test_three_algorithms_say_the_same(graphs):
    graph = graphs.disordered(20, seed=3, spread=0.2, site_spread=0.08)
    system = {"replicate": (2, 2, 2), "n_hops": 200_000, "seed": 9, "clock": "exponential"}
    runs = [
        kmc.simulate_gas(graph, 60, 800.0, algorithm=algorithm, **system)
        for algorithm in ("null-event", "active", "sum-tree")
    ]
    assert [run.algorithm for run in runs] == ["null-event", "active", "sum-tree"]
    for measure in (kmc.tracer_diffusivity, kmc.charge_diffusivity, kmc.correlation_factor):
        a, *others = (measure(run) for run in runs)
        for b in others:
            assert abs(a.value - b.value) < 4 * np.hypot(a.error, b.error)
    times = np.array([run.durations[0].reshape(64, -1).sum(axis=1) for run in runs])  # as many hops in each
    mean, error = times.mean(axis=1), times.std(axis=1) / 8 * 2
    assert np.ptp(mean) < 4 * error.max()
    first = runs[0].occupation()
    for run in runs[1:]:
        other = run.occupation()
        difference = np.abs(first.value - other.value) / np.hypot(first.error, other.error)
        assert difference.max() < 5


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(3, 12),
    seed=st.integers(0, 1000),
    share=st.floats(0.05, 0.95),
    temperature=st.floats(300.0, 1500.0),
)
def test_random_graphs_keep_their_books(graphs, n, seed, share, temperature):
    """Nobody is lost, nobody shares a site, and displacements add up, whatever the graph."""
    graph = graphs.disordered(n, seed=seed)
    if graph.number_of_edges() == 0:
        return
    count = min(max(1, round(share * 8 * n)), 8 * n - 1)
    for algorithm in ("null-event", "active", "sum-tree"):
        run = kmc.simulate_gas(
            graph, count, temperature, replicate=(2, 2, 2), n_hops=2000, seed=seed, algorithm=algorithm
        )
        assert len(set(run.sites[0])) == count
        assert run.sites.min() >= 0
        assert run.sites.max() < 8 * n
        assert (run.durations >= 0).all()
        if not run.stuck:
            assert run.made.sum() == 2000
        taken = run.occupation().value[0]
        assert (taken > -1e-9).all()
        assert (taken < 1 + 1e-9).all()
        if run.durations.sum() > 0:
            assert taken.sum() * 8 == pytest.approx(count, rel=1e-6)
        assert run.energy_error == 0.0


def test_the_same_bits_whatever_the_threads_and_processes(graphs):
    graph = graphs.disordered(10, seed=1)
    system = {"replicate": (2, 2, 2), "n_hops": 4000, "seed": 3, "replicas": 3}
    one = kmc.simulate_gas(graph, 20, T, threads=1, **system)
    two = kmc.simulate_gas(graph, 20, T, threads=3, **system)
    with ProcessPoolExecutor(1) as pool:
        three = kmc.simulate_gas(graph, 20, T, executor=pool, **system)
    for other in (two, three):
        for name in ("durations", "moved", "squares", "occupied", "sites", "made"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
    assert not np.array_equal(one.durations[0], one.durations[1])
    alone = kmc.simulate_gas(graph, 20, T, **(system | {"replicas": 1}))
    assert np.array_equal(alone.durations[0], one.durations[0])


@pytest.mark.slow
def test_the_same_bits_on_a_dask_cluster(graphs):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra 'dask')")
    graph = graphs.disordered(10, seed=1)
    system = {"replicate": (2, 2, 2), "n_hops": 4000, "seed": 3, "replicas": 3, "interactions": _repel}
    system |= {"cutoff": 3.0, "barrier_rule": lambda barrier, before, after: barrier + 0.3 * (after - before)}
    here = kmc.simulate_gas(graph, 20, T, **system)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = kmc.simulate_gas(graph, 20, T, executor=client.get_executor(), **system)
    for name in ("durations", "moved", "squares", "occupied", "sites", "made", "energy"):
        assert np.array_equal(getattr(here, name), getattr(there, name))


def test_species_with_graphs_of_their_own(graphs):
    """Of two kinds on one lattice, the one with higher barriers is slower; all together obey exclusion."""
    fast, slow = (graphs.lattice(np.eye(3) * 2.0, [(0, 0, 0)], [2.0], barrier=b) for b in (0.25, 0.35))
    run = kmc.simulate_gas(
        {"Li": fast, "Na": slow}, {"Li": 40, "Na": 20}, T, replicate=(5, 5, 5), n_hops=300_000, seed=2
    )
    li, na = (kmc.tracer_diffusivity(run, species=name, check=False) for name in ("Li", "Na"))
    assert li.value > 3 * na.value
    assert run.occupation().value.sum() * 125 == pytest.approx(60)
    same = kmc.simulate_gas(fast, {"a": 30, "b": 30}, T, replicate=(5, 5, 5), n_hops=300_000, seed=2)
    a, b = (kmc.tracer_diffusivity(same, species=name) for name in "ab")
    assert abs(a.value - b.value) < 4 * np.hypot(a.error, b.error)
    with pytest.raises(kmc.GraphError, match="species is 'K'"):
        kmc.tracer_diffusivity(run, species="K")


def test_a_graph_that_leads_nowhere_and_one_that_is_jammed(graphs):
    cage = graphs.build(np.eye(3) * 3, [(0, 0, 0), (1, 1, 1)], [0.0, 0.1], [(0, 1, (0, 0, 0), 0.3, 1e13)])
    run = kmc.simulate_gas(cage, 4, T, replicate=(2, 2, 2), n_hops=1000)
    assert kmc.tracer_diffusivity(run).value == 0.0
    assert np.count_nonzero(kmc.charge_diffusivity(run, tensor=True).error) == 0
    assert run.summary()["percolates_in"] == 0
    assert run.summary()["confined"] == 1.0
    with pytest.raises(kmc.GraphError, match="percolates nowhere"):
        kmc.haven_ratio(run)
    # One empty site, and it is in a part of the graph that no carrier shares.
    hops = [(0, 0, row, 0.3, 1e13) for row in np.eye(3, dtype=int)]
    split = graphs.build(np.eye(3) * 3, [(0, 0, 0), (1, 1, 1)], [0.0, 5.0], hops)
    stuck = kmc.simulate_gas(split, 8, 300.0, replicate=(2, 2, 2), n_hops=1000)
    assert stuck.stuck
    with pytest.raises(kmc.NotConvergedError, match="no carrier could move"):
        kmc.tracer_diffusivity(stuck)


def test_carriers_that_only_rattle_are_refused(graphs):
    """Pairs of near sites, far from the next pair: thousands of hops and no diffusion to speak of."""
    graph = graphs.chain([0.10, 0.75], prefactor=1e13)
    run = kmc.simulate_gas(graph, 20, 400.0, replicate=(20, 1, 1), n_hops=200_000, seed=1)
    with pytest.raises(kmc.NotConvergedError, match="so far") as refusal:
        kmc.tracer_diffusivity(run)
    assert np.isfinite(refusal.value.estimate.value)
    assert kmc.tracer_diffusivity(run, check=False).value == refusal.value.estimate.value


def test_equilibration_is_seen_and_cut(graphs):
    """Carriers repel strongly; the start knows of exclusion only."""
    graph = simple_cubic(graphs)
    run = kmc.simulate_gas(graph, 108, 500.0, replicate=(6, 6, 6), n_hops=60_000, seed=1, interactions=[0.15])
    energy = run.energy[0]
    assert energy[: len(energy) // 500].mean() > energy[len(energy) // 2 :].mean()
    assert run.discarded > 0
    assert run.equilibrated


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_carriers": None}, "n_carriers=, or occupancy="),
        ({"n_carriers": 3, "occupancy": 0.5}, "n_carriers=, or occupancy="),
        ({"n_carriers": 0}, "n_carriers is 0"),
        ({"n_carriers": 0.5}, "occupancy=0.5"),
        ({"n_carriers": 28}, "do not fit"),
        ({"n_carriers": 27}, "leave a site empty"),
        ({"n_carriers": None, "occupancy": 1.5}, "occupancy is 1.5"),
        ({"n_carriers": None, "occupancy": 0}, "no carrier"),
        ({"n_carriers": None, "occupancy": 1}, "leave a site empty"),
        ({"n_carriers": {}}, "at least one species"),
        ({"threads": 0}, "threads is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": None}, "no temperature"),
        ({"replicate": (2, 2)}, "replicate is"),
        ({"replicate": (1, 3, 3)}, "own periodic image"),
        ({"n_hops": 0}, "n_hops is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"algorithm": "guess"}, "algorithm is 'guess'"),
        ({"clock": "wall"}, "clock is 'wall'"),
        ({"interactions": [0.1], "algorithm": "null-event"}, "choose 'active'"),
        ({"interactions": lambda r: r}, "cutoff="),
        ({"interactions": 0.1}, r"like \[0.1\]"),
        ({"interactions": "coulomb"}, r"like \[0.1\]"),
        ({"interactions": {}}, "at least one pair"),
        ({"interactions": lambda r: 1 / 0, "cutoff": 3.0}, "cannot be evaluated"),
        ({"cutoff": 3.0}, "no interactions"),
        ({"charge": "x"}, "charge is 'x'"),
        ({"source": 0.5}, "source is 0.5"),
        ({"interactions": lambda r: np.nan * r, "cutoff": 3.0}, "finite"),
        ({"interactions": [0.1], "barrier_rule": "guess"}, "barrier_rule is 'guess'"),
        ({"interactions": [0.1], "barrier_rule": _not_compiled}, "cannot be compiled"),
        ({"interactions": {("Li", "K"): [0.1]}}, "wanted pairs"),
        ({"charge": {"K": 1.0}}, "charge is"),
        ({"source": kmc.Reservoir(occupation=0.5), "open_axis": 3}, "open_axis is 3"),
        ({"n_carriers": {"Li": 3, "Na": "x"}}, "n_carriers is 'x'"),
    ],
)
def test_impossible_arguments(graphs, arguments, message):
    system = {"n_carriers": 5, "temperature": T, "replicate": (3, 3, 3), "n_hops": 100} | arguments
    with pytest.raises(kmc.GraphError, match=message):
        kmc.simulate_gas(simple_cubic(graphs), **system)


def test_impossible_reservoirs():
    for bad in ({}, {"occupation": 2.0}, {"occupation": 0.5, "chemical_potential": 0.0}):
        with pytest.raises(kmc.GraphError, match="reservoir"):
            kmc.Reservoir(**bad)
