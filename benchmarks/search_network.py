"""Measures how complete, how cheap and how fast the network of an 84-atom random host is.

Prints a table and, last, one JSON line. The reference follows eigenvectors on the landscape itself from every
point of a grid below the cap; it takes most of the time. Usage: python benchmarks/search_network.py [seed]
"""

import itertools
import json
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.mep import NEB
from ase.optimize import FIRE
from numba import njit

import search
from iondiff.potentials import load
from search import neb
from search.lattice import merge_labels, nearest, wrap

BOLTZMANN = 8.617333262e-5
CAP = 2.0


@njit(cache=True)
def morse_sum(points, atoms, depth, length, reach, energies, gradients):
    for p in range(len(points)):
        for i in range(len(atoms)):
            d = points[p] - atoms[i]
            r2 = d[0] ** 2 + d[1] ** 2 + d[2] ** 2
            if r2 >= reach * reach:
                continue
            r = np.sqrt(r2) + 1e-12
            x = np.exp(-1.5 * (r - length[i]))
            t = r / reach
            window, tilt = (1 - t * t) ** 3, -6 * t / reach * (1 - t * t) ** 2
            value, slope = depth[i] * (x * x - 2 * x), -3.0 * depth[i] * (x * x - x)
            energies[p] += value * window
            gradients[p] += d * ((slope * window + value * tilt) / r)


class MorseHost:
    """84 atoms in a cubic cell of 10.28 Å, a guest bound by Morse pairs; counts and times its calls."""

    def __init__(self, seed, n_atoms=84, length=10.28, reach=6.0):
        random = np.random.default_rng(seed)
        self.cell, self.evaluations, self.seconds = length * np.eye(3), 0, 0.0
        chosen, distance = [], 2.2
        while len(chosen) < n_atoms:
            trial = random.random(3) * length
            steps = trial - np.array(chosen).reshape(-1, 3)
            apart = np.linalg.norm(steps - length * np.round(steps / length), axis=1)
            if apart.min(initial=np.inf) > distance:
                chosen.append(trial)
            else:
                distance *= 0.9999
        shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) * length
        atoms = (np.array(chosen)[:, None] + shifts).reshape(-1, 3)
        near = ((atoms > -reach) & (atoms < length + reach)).all(axis=1)
        self.atoms, self.reach = atoms[near], reach
        self.depth = np.repeat(0.5 + 0.05 * random.standard_normal(n_atoms), 27)[near]
        self.length = np.repeat(2.1 + 0.15 * random.standard_normal(n_atoms), 27)[near]

    def energy_and_gradient(self, points):
        """Energies (n,), eV, and gradients (n, 3), eV/Å."""
        began = time.process_time()
        energies, gradients = np.zeros(len(points)), np.zeros((len(points), 3))
        inside = points % self.cell[0, 0]
        morse_sum(inside, self.atoms, self.depth, self.length, self.reach, energies, gradients)
        self.evaluations += len(points)
        self.seconds += time.process_time() - began
        return energies, gradients


def followed(landscape, index, points=28):
    """Critical points of one index, by eigenvector following from every grid point below the cap."""
    grid = np.stack(np.meshgrid(*[(np.arange(points) + 0.3) / points] * 3, indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    x = grid @ landscape.cell
    energies, _ = landscape.energy_and_gradient(x)
    x = x[energies < energies.min() + CAP + 0.3]
    sign, shifts, found = (
        np.where(np.arange(3) < index, -1.0, 1.0),
        1e-4 * np.vstack([np.eye(3), -np.eye(3)]),
        [],
    )
    for _ in range(80):
        if len(x) == 0:
            break
        energies, gradients = landscape.energy_and_gradient(x)
        around = landscape.energy_and_gradient((x[:, None] + shifts).reshape(-1, 3))[1].reshape(-1, 2, 3, 3)
        hessians = (around[:, 0] - around[:, 1]) / 2e-4
        values, vectors = np.linalg.eigh(0.5 * (hessians + hessians.transpose(0, 2, 1)))
        slopes = np.einsum("nji,nj->ni", vectors, gradients)
        step = -np.einsum("nij,nj->ni", vectors, sign * slopes / np.maximum(np.abs(values), 1e-6))
        length = np.linalg.norm(step, axis=1)
        rest = (length < 1e-8) & ((values < 0).sum(axis=1) == index)
        found.append(x[rest])
        x = (x + step * np.minimum(1.0, 0.1 / np.maximum(length, 1e-300))[:, None])[
            ~rest & (energies < 100.0)
        ]
    found = wrap(np.concatenate(found), landscape.cell)
    found = found[np.unique(merge_labels(found, landscape.cell, 1e-4), return_index=True)[1]]
    return found, landscape.energy_and_gradient(found)[0]


def diffusivity(network, temperature=500.0):
    """A third of the trace of the exact diffusion tensor, cm²/s, equal prefactors."""
    n, beta, cell = len(network), 1 / (BOLTZMANN * temperature), np.array(network.graph["cell"])
    positions = np.array([network.nodes[i]["position"] for i in range(n)])
    energies = np.array([network.nodes[i]["energy"] for i in range(n)])
    weight = np.exp(-beta * (energies - energies.min()))
    weight /= weight.sum()
    laplacian, drift, tensor = np.zeros((n, n)), np.zeros((n, 3)), np.zeros((3, 3))
    for i, j, data in network.edges(data=True):
        flow = weight[i] * data["prefactor"] * np.exp(-beta * data["barrier"])
        step = positions[j] + np.array(data["image"]) @ cell - positions[i]
        laplacian[i, i] += flow
        laplacian[i, j] -= flow
        drift[i] += flow * step
        tensor += 0.5 * flow * np.outer(step, step)
    corrector = np.linalg.lstsq(laplacian, drift, rcond=1e-13)[0]
    return float(np.trace(tensor - 0.5 * drift.T @ corrector)) / 3 * 1e-16


class OneAtom(Calculator):
    """The landscape as an ASE calculator, for ASE's own bands."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE wants a list

    def __init__(self, landscape):
        super().__init__()
        self.landscape = landscape

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy, eV, and forces, eV/Å, of the one atom."""
        super().calculate(atoms, list(properties), system_changes)
        energies, gradients = self.landscape.energy_and_gradient(atoms.positions)
        self.results = {"energy": float(energies[0]), "forces": -gradients}


def ase_band(landscape, start, saddle, end, settings):
    """Barrier by ASE's climbing-image band with the same start, springs, images and thresholds; NEB first."""
    path = neb.spread(np.array([start, saddle, end]), settings.n_images)
    images = [Atoms("Cu", positions=[p], calculator=OneAtom(landscape)) for p in path]
    band = NEB(images, k=settings.spring, climb=False, method="improvedtangent")
    FIRE(band, logfile=None).run(fmax=settings.climb_below, steps=settings.steps)
    band.climb = True
    FIRE(band, logfile=None).run(fmax=settings.fmax, steps=settings.steps)
    energies = [image.get_potential_energy() for image in images]
    return max(energies) - energies[0]


def band_rates(landscape, network, count=8):
    """Bands a CPU-second through the hops of a network, by `search.neb` and by ASE; and their difference."""
    settings = neb.Settings()
    neb.refine(landscape, network)  # compiled and warm
    began = time.process_time()
    hops = neb.refine(landscape, network, settings=settings)
    ours = len(hops) / (time.process_time() - began)
    began, differences = time.process_time(), []
    for hop in [hop for hop in hops if hop.elementary and hop.converged][:count]:
        start, end = hop.positions[0], hop.positions[-1]
        saddle = np.array(network.edges[hop.edge]["saddle_position"])
        differences.append(abs(ase_band(landscape, start, saddle, end, settings) - hop.barrier))
    theirs = len(differences) / (time.process_time() - began)
    away = [abs(hop.barrier - hop.network_barrier) for hop in hops if hop.elementary and hop.converged]
    return {
        "bands": len(hops),
        "bands_converged": sum(hop.converged for hop in hops),
        "bands_per_cpu_second": round(ours, 1),
        "ase_bands_per_cpu_second": round(theirs, 2),
        "bands_ratio": round(ours / theirs, 1),
        "barrier_difference_to_ase_meV": 1e3 * max(differences),
        "band_barrier_difference_to_saddle_meV": 1e3 * max(away),
    }


def guest_in_glass():
    """The copper network of the case study in its glass, and its hopping graph."""
    folder = Path(__file__).parents[1] / "case_studies" / "cu_ta2o5"
    landscape = load(folder / "cu.nnp").landscape(ase.io.read(folder / "host.extxyz"))
    return landscape, search.build_network(landscape, guest="Cu")


def timed(landscape, work):
    """The answer of `work` with CPU seconds outside the landscape, inside it, and evaluations."""
    evaluations, inside, began = landscape.evaluations, landscape.seconds, time.process_time()
    answer = work()
    spent, inside = time.process_time() - began, landscape.seconds - inside
    return answer, spent - inside, inside, landscape.evaluations - evaluations


def main(seed):
    landscape = MorseHost(seed)
    small = search.build_network(landscape, grid=(16, 16, 16), energy_cap=0.5)
    search.certify(landscape, small)
    neb.refine(landscape, small)  # compiled now, not measured
    network, outside, inside, evaluations = timed(
        landscape, lambda: search.build_network(landscape, energy_cap=CAP)
    )
    certificate, outside_2, inside_2, _ = timed(landscape, lambda: search.certify(landscape, network))
    (minima, low), (saddles, high) = followed(landscape, 0), followed(landscape, 1)
    ceiling = low.min() + CAP
    minima, saddles = minima[low <= ceiling], saddles[high <= ceiling]
    sites = np.array([d["position"] for _, d in network.nodes(data=True)])
    passes = np.array([d["saddle_position"] for _, _, d in network.edges(data=True)] + network.graph["loops"])

    def apart(these, those):
        return int((nearest(these, those, landscape.cell, 1e-3) < 0).sum())

    # With the complete network, which it compares itself with.
    usual, outside_3, inside_3, _ = timed(
        landscape, lambda: search.build_network(landscape, energy_cap=CAP, method="pairs")
    )
    bands = band_rates(landscape, network)
    guest_host, guest_network = guest_in_glass()
    on_guest = band_rates(guest_host, guest_network, count=4)
    beside = search.compare_networks(usual, network)
    result = {
        "seed": seed,
        "sites": len(network),
        "hops": network.number_of_edges() // 2,
        "loops": len(network.graph["loops"]),
        "evaluations": evaluations,
        "cpu_seconds_outside_landscape": round(outside, 2),
        "cpu_seconds_inside_landscape": round(inside, 2),
        "certificate_cpu_seconds": round(outside_2 + inside_2, 2),
        "certificate_complete": certificate.complete,
        "undecided_cells": certificate.undecided,
        "surface_error_meV": 1e3 * certificate.surface_error,
        "reference_minima": len(minima),
        "reference_saddles": len(saddles),
        "minima_missed": apart(minima, sites),
        "minima_false": apart(sites, minima),
        "saddles_missed": apart(saddles, passes),
        "saddles_false": apart(passes, saddles),
        "D_500K_cm2_s": diffusivity(network),
        "pairs_sites": len(usual),
        "pairs_evaluations": usual.graph["search"]["evaluations"],
        "pairs_cpu_seconds": round(outside_3 + inside_3 - outside - inside, 2),
        "pairs_not_elementary": usual.graph["search"]["bands_not_elementary"],
        "pairs_bands": usual.graph["search"]["pairs"],
        "pairs_D_over_complete_D": diffusivity(usual) / diffusivity(network),
        "pairs_elementary_D_over_complete_D": beside.elementary_diffusivity / beside.reference_diffusivity,
        "pairs_hops_missing": len(beside.missing_hops) // 2,
        "pairs_hops_extra": len(beside.extra_hops) // 2,
        **bands,
        "guest_network_evaluations": guest_network.graph["search"]["evaluations"],
        **{f"guest_network_{name}": value for name, value in on_guest.items()},
    }
    for name, value in result.items():
        print(f"{name:40s} {value}")
    print(certificate)
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
