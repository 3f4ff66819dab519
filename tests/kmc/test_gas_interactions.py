"""Carriers that feel each other: equilibrium, energies, barriers; runs that are stopped and go on."""

from itertools import combinations

import numpy as np
import pytest

import kmc
from kmc import checkpoints
from kmc.rates import KB

T = 600.0


def ring(graphs, saddle=0.3, energies=(0.0,)):
    """Sites 2 Å apart along x, so far from their images along y and z that they never meet them."""
    n = len(energies)
    hops = [(i, (i + 1) % n, (int(i == n - 1), 0, 0), saddle, 1e13) for i in range(n)]
    return graphs.build(np.diag([2.0 * n, 30, 30]), [(2.0 * i, 0, 0) for i in range(n)], energies, hops)


def boltzmann(n, filled, energies, pair):
    """Occupation and mean energy on a ring of n sites, from all configurations; `pair` by distance."""
    weights, occupied, mean = 0.0, np.zeros(n), 0.0
    for sites in combinations(range(n), filled):
        energy = sum(energies[i] for i in sites)
        for i, j in combinations(sites, 2):
            energy += pair.get(min(abs(i - j), n - abs(i - j)), 0.0)
        weight = np.exp(-energy / (KB * T))
        weights += weight
        mean += weight * energy
        occupied[list(sites)] += weight
    return occupied / weights, mean / weights


@pytest.mark.parametrize("algorithm", ["active", "sum-tree"])
@pytest.mark.parametrize("rule", ["kinetically-resolved", "initial-state"])
def test_equilibrium_of_interacting_carriers(graphs, algorithm, rule):
    """Whatever the rule for barriers, detailed balance leads to Boltzmann's distribution."""
    if rule == "initial-state" and algorithm == "sum-tree":
        pytest.skip("one algorithm is enough for this rule")
    energies = [0.0, 0.06, -0.03, 0.04, 0.0, 0.02, 0.05, -0.02]
    graph = ring(graphs, 0.4, energies)
    system = {"algorithm": algorithm, "interactions": [0.05, -0.02], "barrier_rule": rule}
    run = kmc.simulate_gas(graph, 4, T, n_hops=400_000, seed=1, **system)
    occupied, mean = boltzmann(8, 4, energies, {1: 0.05, 2: -0.02})
    found = run.occupation()
    assert np.abs((found.value[0] - occupied) / found.error[0]).max() < 5
    # Every fine block of this run is one hop: the next block is how long its energy lasts.
    few = kmc.simulate_gas(graph, 4, T, n_hops=16_384, seed=2, **system)
    energy = np.average(few.energy[0, :-1], weights=few.durations[0, 1:])
    assert abs(energy - mean) < 0.008
    assert run.energy_error == 0.0


def test_a_rule_of_ones_own(graphs):
    """The rule that is built in, written by hand, gives the same bits; another gives other ones."""
    system = {"replicate": (20, 1, 1), "n_hops": 5000, "seed": 3, "interactions": [0.05]}
    runs = [
        kmc.simulate_gas(ring(graphs), 10, T, barrier_rule=rule, **system)
        for rule in (
            "kinetically-resolved",
            lambda barrier, before, after: barrier + 0.5 * (after - before),
            lambda barrier, before, after: barrier + 0.3 * (after - before),
        )
    ]
    assert np.array_equal(runs[0].durations, runs[1].durations)
    assert not np.array_equal(runs[0].durations, runs[2].durations)


def test_repulsion_helps_ions_out_of_each_others_way(graphs):
    """Attraction lowers the charge diffusivity, repulsion raises it above that of exclusion."""
    graph = graphs.lattice(np.eye(3) * 2.0, [(0, 0, 0)], [2.0])
    found = [
        kmc.charge_diffusivity(
            kmc.simulate_gas(graph, 32, T, replicate=(5, 5, 5), n_hops=150_000, seed=2, interactions=[energy])
        )
        for energy in (-0.04, 0.0, 0.04)
    ]
    free = kmc.diffusion_tensor(graph, T)[0, 0] * 93 / 124
    assert abs(found[1].value - free) < 4 * found[1].error
    assert found[0].value + 3 * found[0].error < found[1].value - 3 * found[1].error
    assert found[2].value > found[1].value


def test_shells_distances_and_charges_are_one_table(graphs):
    """The same energies, given as shells, as a function of distance and as screened charges."""
    graph = graphs.lattice(np.eye(3) * 2.0, [(0, 0, 0)], [2.0])
    law = kmc.ScreenedCoulomb(permittivity=20.0, screening_length=2.5, cutoff=3.0)
    system = {"replicate": (4, 4, 4), "n_hops": 3000, "seed": 1}
    given = [
        {"interactions": [float(law(np.array([r]))[0]) for r in (2.0, 8**0.5)]},
        {"interactions": lambda r: 1.0 * law(r), "cutoff": 3.0},
        {"interactions": law},
    ]
    runs = [kmc.simulate_gas(graph, 20, T, **system, **one) for one in given]
    for other in runs[1:]:
        np.testing.assert_allclose(other.energy, runs[0].energy, atol=1e-9)
        np.testing.assert_allclose(other.durations, runs[0].durations, rtol=1e-9)
    doubled = kmc.simulate_gas(graph, 20, T, charge=2.0, interactions=law, **system)
    assert doubled.energy[0, 0] / runs[0].energy[0, 0] > 3
    assert law.reach == 3.0
    assert 5 < kmc.ScreenedCoulomb(10.0, 3.0).reach < 20


def test_opposite_charges_pair(graphs):
    graph = graphs.lattice(np.eye(3) * 2.0, [(0, 0, 0)], [2.0])
    law = kmc.ScreenedCoulomb(permittivity=30.0, screening_length=3.0, cutoff=4.5)
    run = kmc.simulate_gas(
        graph,
        {"Li": 10, "vacancy": 10},
        T,
        replicate=(5, 5, 5),
        n_hops=20_000,
        seed=1,
        charge={"Li": 1.0, "vacancy": -1.0},
        interactions=law,
    )
    assert run.energy[0, -1] < 0
    assert run.energy_error == 0.0
    with pytest.raises(kmc.GraphError, match="several charges"):
        kmc.mobility(run, check=False)


def test_sites_without_shells_are_refused(graphs):
    graph = graphs.disordered(20, seed=3)
    with pytest.raises(kmc.GraphError, match="no shells"):
        kmc.simulate_gas(graph, 10, T, n_hops=100, interactions=[0.1])


@pytest.mark.parametrize("bad", [{"permittivity": 0.0}, {"screening_length": -1.0}])
def test_impossible_screening(bad):
    with pytest.raises(kmc.GraphError, match="above 0"):
        kmc.ScreenedCoulomb(**({"permittivity": 10.0, "screening_length": 3.0} | bad))


@pytest.mark.slow
def test_energies_after_a_hundred_million_hops(graphs):
    """The books agree with a sum from scratch over all pairs, to 1e-9 eV."""
    run = kmc.simulate_gas(
        ring(graphs),
        24,
        T,
        replicate=(48, 1, 1),
        n_hops=100_000_000,
        seed=1,
        interactions=[0.05, 0.021, 0.007],
    )
    sites, n = np.sort(run.sites[0]), 48
    total = 0.0
    for i, j in combinations(sites.tolist(), 2):
        total += {1: 0.05, 2: 0.021, 3: 0.007}.get(min(j - i, n - j + i), 0.0)
    assert abs(run.energy[0, -1] - total) < 1e-9
    assert run.energy_error < 1e-9


class PulledPlugError(BaseException):
    pass


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"n_carriers": 70, "clock": "exponential"},
        {"algorithm": "sum-tree"},
        {"interactions": lambda r: 0.05 / r, "cutoff": 3.0},
        {"n_carriers": None, "source": kmc.Reservoir(occupation=0.7), "drain": kmc.Reservoir(occupation=0.2)},
    ],
)
def test_an_interrupted_run_ends_as_an_unbroken_one(graphs, tmp_path, monkeypatch, more):
    graph = graphs.disordered(10, seed=1)
    system = {"n_carriers": 20, "temperature": T, "replicate": (2, 2, 2), "n_hops": 3000, "seed": 3} | more
    unbroken = kmc.simulate_gas(graph, replicas=2, **system)
    path = tmp_path / "gas.npz"
    monkeypatch.setattr(checkpoints, "INTERVAL", 0.0)
    save, count = checkpoints.save_arrays, 0

    def fail_later(*arguments):
        nonlocal count
        save(*arguments)
        count += 1
        if count == 11:
            raise PulledPlugError

    monkeypatch.setattr(checkpoints, "save_arrays", fail_later)
    with pytest.raises(PulledPlugError):
        kmc.simulate_gas(graph, replicas=2, checkpoint=path, threads=1, **system)
    monkeypatch.setattr(checkpoints, "INTERVAL", 1e9)
    resumed = kmc.simulate_gas(graph, replicas=2, checkpoint=path, threads=1, **system)
    for name in (
        "durations",
        "moved",
        "squares",
        "cross",
        "occupied",
        "crossings",
        "sites",
        "made",
        "energy",
    ):
        assert np.array_equal(getattr(resumed, name), getattr(unbroken, name)), name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gas.npz", "gas.npz.1"]
    with pytest.raises(kmc.GraphError, match="belongs to another walk"):
        kmc.simulate_gas(graph, checkpoint=path, **(system | {"seed": 4}))


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["lattice", "disordered"])
def test_95_percent_intervals_hold_the_truth_in_95_percent(graphs, kind):
    """Numbers and tensors; the truth is exact or the mean over all seeds."""
    if kind == "lattice":
        graph = graphs.lattice(np.eye(3) * 2.0, [(0, 0, 0)], [2.0])
        system = {"n_carriers": 62, "replicate": (5, 5, 5)}
    else:
        graph, system = graphs.disordered(15, seed=5, spread=0.3), {"n_carriers": 20, "replicate": (2, 2, 1)}
    seeds = 400
    measures = {
        "tracer": kmc.tracer_diffusivity,
        "charge": kmc.charge_diffusivity,
        "haven": kmc.haven_ratio,
        "factor": kmc.correlation_factor,
        "tracer tensor": lambda run, check: kmc.tracer_diffusivity(run, tensor=True, check=check),
        "charge tensor": lambda run, check: kmc.charge_diffusivity(run, tensor=True, check=check),
    }
    found = {name: [] for name in measures}
    for seed in range(seeds):
        run = kmc.simulate_gas(graph, temperature=T, n_hops=200_000, seed=seed, **system)
        for name, measure in measures.items():
            found[name].append(measure(run, check=False))
    for name, estimates in found.items():
        values = np.array([one.value for one in estimates])
        weights = 1.0 / np.array([np.mean(one.error) for one in estimates]) ** 2
        truth = np.average(values, axis=0, weights=weights)
        if kind == "lattice" and name == "charge":
            truth = kmc.diffusion_tensor(graph, T)[0, 0] * 63 / 124
        inside = np.mean([(one.interval()[0] < truth) & (truth < one.interval()[1]) for one in estimates])
        assert 0.93 <= inside <= 0.97, (name, inside)
