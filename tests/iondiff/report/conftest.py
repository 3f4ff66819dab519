"""A run folder made up in a moment: a skewed host, a network with known hops, every file of the report."""

import json

import ase.io
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.units import kB

CELL = np.array([[10.3, 0.0, 0.0], [1.9, 9.8, 0.0], [-0.8, 1.1, 10.6]])
ENERGY_CAP = 2.0


@pytest.fixture(scope="session")
def make_run():
    """A function that writes a synthetic run into a folder and returns the folder."""
    return write_run


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path / "run")


@pytest.fixture
def empty_run_folder(run_folder):
    """A run that found one site and no hops, so that nothing can be said of its transport."""
    network = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL.tolist(), guest="Cu")
    network.add_node(0, position=[1.0, 2.0, 3.0], energy=0.0)
    dump(run_folder / "network.json", nx.node_link_data(network, edges="edges"))
    dump(run_folder / "transport.json", {"activation_energy_eV": None, "percolation": {"rank": 0}})
    (run_folder / "diffusivity.csv").write_text("temperature,D,D_error,method\n500,0.0,,exact\n")
    (run_folder / "current_hops.csv").write_text("source,target,key,image,barrier,share\n")
    return run_folder


def write_run(folder, n_sites=14, neighbours=3, seed=5):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    network = make_network(rng, n_sites, neighbours)
    (folder / "config.toml").write_text('[host]\nfile = "host.extxyz"\n\n[search]\ngrid = [50, 50, 50]\n')
    ase.io.write(folder / "host.extxyz", make_host(rng), format="extxyz")
    dump(folder / "network.json", nx.node_link_data(network, edges="edges"))
    write_tables(folder, network)
    dump(folder / "training.json", make_training(rng))
    dump(folder / "evidence.json", make_evidence())
    write_transport(folder, network, rng)
    dump(folder / "teacher_check.json", make_teacher_check(network, rng))
    dump(
        folder / "certificate.json",
        {
            "complete": False,
            "text": "2 cells of 1,331 stay undecided.",
            "undecided_cells": 2,
            "surface_error_eV": 0.004,
        },
    )
    dump(folder / "checks.json", make_checks())
    (folder / "literature.csv").write_text(
        "temperature,D,source\n650,4e-10,Someone 1999\n750,3e-9,Someone 1999\n"
    )
    seconds = {"host": 0.4, "train": 61.0, "search": 93.0, "network": 1.0, "transport": 22.0}
    dump(folder / "summary.json", {"n_sites": n_sites, "wall_seconds": seconds})
    versions = {"numpy": "2.0.0", "torch": "2.13.0"}
    dump(
        folder / "provenance.json",
        {"versions": versions, "seed": 1, "hashes": {"labels": "a1b2"}, "platform": "Linux"},
    )
    return folder


def dump(path, data):
    path.write_text(json.dumps(data))


def make_host(rng):
    symbols = ["Ta"] * 8 + ["O"] * 20
    return Atoms(symbols, scaled_positions=rng.random((len(symbols), 3)), cell=CELL, pbc=True)


def make_network(rng, n_sites, neighbours):
    """Random sites, each joined to its nearest ones; both directions of a hop agree on the saddle."""
    network = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL.tolist(), guest="Cu")
    network.graph["search"] = {"evaluations": 125000, "grid": [50, 50, 50], "failed_bands": 1}
    positions = rng.random((n_sites, 3)) @ CELL
    energies = rng.gamma(2.0, 0.25, n_sites)
    for site in range(n_sites):
        network.add_node(site, position=positions[site].tolist(), energy=float(energies[site]))
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for site in range(n_sites):
        ends = positions[None, :, :] + (images @ CELL)[:, None, :]
        distance = np.linalg.norm(ends - positions[site], axis=-1)
        distance[:, site] += 100.0
        for flat in np.argsort(distance, axis=None)[:neighbours]:
            image, other = np.unravel_index(flat, distance.shape)
            add_hop(network, rng, site, int(other), images[image].tolist())
    return network


def add_hop(network, rng, source, target, image):
    already = network.get_edge_data(source, target) or {}
    if any(data["image"] == image for data in already.values()):
        return
    start, low = np.array(network.nodes[source]["position"]), network.nodes[source]["energy"]
    end, high = np.array(network.nodes[target]["position"]) + image @ CELL, network.nodes[target]["energy"]
    saddle = float(max(low, high) + 0.1 + 0.25 * rng.gamma(2.0))
    where = ((start + end) / 2 + 0.2 * rng.normal(size=3)).tolist()
    shared = {"prefactor": 5e12, "saddle_position": where, "saddle_energy": saddle, "converged": True}
    network.add_edge(source, target, barrier=saddle - low, image=image, **shared)
    network.add_edge(target, source, barrier=saddle - high, image=[-i for i in image], **shared)


def write_tables(folder, network):
    sites = [
        {"site": n, "energy_eV": d["energy"], "x": d["position"][0]} for n, d in network.nodes(data=True)
    ]
    pd.DataFrame(sites).to_csv(folder / "sites.csv", index=False)
    hops = [
        {"source": s, "target": t, "key": k, "image": " ".join(map(str, d["image"])), "barrier": d["barrier"]}
        for s, t, k, d in network.edges(keys=True, data=True)
    ]
    pd.DataFrame(hops).to_csv(folder / "hops.csv", index=False)
    current = pd.DataFrame(hops).sort_values("barrier").iloc[:10].copy()
    current["share"] = 0.5 ** np.arange(1, len(current) + 1)
    current.to_csv(folder / "current_hops.csv", index=False)


def make_training(rng):
    reference = np.concatenate([rng.gamma(3.0, 0.4, 400), rng.gamma(3.0, 0.4, 60)])
    predicted = reference + 0.03 * rng.normal(size=len(reference)) * (0.3 + reference)
    bins = [(1.4, 1.7, 40, 90.0), (1.7, 2.0, 100, 25.0), (2.0, None, 60, 14.0)]
    errors = {"rmse_meV": 31.4, "rmse_low_meV": 16.2, "median_meV": 5.5, "gradient_rmse_eV_A": 0.094}
    return {
        "label_count": 460, "train_count": 400, "test_count": 60, "layers": [36, 9, 9, 1],
        "parity": {
            "split": ["train"] * 340 + ["validation"] * 60 + ["test"] * 60,
            "reference_eV": reference.tolist(), "predicted_eV": predicted.tolist(),
        },
        "test_rmse_meV": 31.4, "test_rmse_low_meV": 16.2, "low_count": 35, "gradient_rmse_eV_A": 0.094,
        "by_distance": [{"from_A": a, "to_A": b, "count": n, "rmse_meV": e} for a, b, n, e in bins],
        "by_energy": [
            {"from_eV": n, "to_eV": n + 1, "count": 35 - 9 * n, "rmse_meV": 16.0 + 20 * n} for n in range(4)
        ],
        "variants": {"one network": errors | {"rmse_meV": 44.0}, "committee": errors},
    }  # fmt: skip


def write_transport(folder, network, rng):
    rows = []
    for temperature in (500.0, 600.0, 700.0, 800.0):
        exact = 1.7e-3 * np.exp(-0.83 / (kB * temperature))
        rows.append((temperature, exact, 0.0, "exact"))
        rows.append((temperature, exact * (1 + 0.05 * rng.normal()), 0.06 * exact, "walk"))
    pd.DataFrame(rows, columns=["temperature", "D", "D_error", "method"]).to_csv(
        folder / "diffusivity.csv", index=False
    )
    fit = {"activation_energy_eV": 0.831, "activation_energy_error_eV": 0.0214, "D0_cm2_s": 1.7e-3}
    percolation = {"rank": 3, "barrier_1d_eV": 0.71, "barrier_2d_eV": 0.79, "barrier_3d_eV": 0.84}
    dump(folder / "transport.json", fit | {"percolation": percolation, "notes": ["walk at 500 K: short"]})


def make_teacher_check(network, rng):
    hops = []
    for source, target, data in list(network.edges(data=True))[:5]:
        distance = np.linspace(0.0, 2.4, 9)
        energy = data["barrier"] * np.sin(np.pi * distance / 2.4) ** 2
        hops.append({
            "source": source, "target": target, "image": data["image"],
            "barrier_network_eV": data["barrier"], "barrier_teacher_eV": data["barrier"] + 0.02,
            "distance_A": distance.tolist(), "energy_network_eV": energy.tolist(),
            "energy_teacher_eV": (energy + 0.02 * rng.normal(size=9)).tolist(),
        })  # fmt: skip
    return {"max_error_eV": 0.0412, "hops": hops, "teacher": "CHGNet 0.4.2"}


def make_checks():
    hops = [{"hops": 10**n, "D": 4e-9 * (1 + 0.5 / n), "D_error": 4e-9 / 2**n} for n in (4, 5, 6)]
    labels = [{"labels": n, "D": 5e-9 * (1 + 100 / n)} for n in (100, 200, 400)]
    place = {"place": "pass 0 → 3", "functions_outside": 2, "farthest_sigma": 0.7, "spread_eV": 0.031}
    extrapolation = {"looked_at": 35, "outside": 1, "functions": 36, "places": [place]}
    extrapolation |= {"largest_spread_eV": 0.031, "median_spread_eV": 0.004}
    return {"temperature": 650.0, "hops": hops, "labels": labels, "extrapolation": extrapolation}


def make_evidence():
    springs = (0.5, 1.0, 2.0, 0.0)
    rows = [{"spring_eV_A2": k, "hops": [0.5 + 0.1 * k, 0.7], "largest_displacement_A": 0.3} for k in springs]
    return {
        "label_noise_meV": 1.3,
        "label_noise": {"count": 20, "median_meV": 0.2, "largest_meV": 4.1, "points": []},
        "learning_curve": [
            {"labels": n, "rmse_meV": 2300 / n**0.6, "rmse_low_meV": 1100 / n**0.6}
            for n in (200, 500, 1000, 1800)
        ],
        "spring_study": {"pairs": [[0, 3], [2, 7]], "studies": rows},
    }
