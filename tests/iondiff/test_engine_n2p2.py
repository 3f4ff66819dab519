"""The engine against n2p2's own numbers for its public potentials, in the units of the files."""

from pathlib import Path

import numpy as np
import pytest

from iondiff.potentials import engine
from iondiff.potentials.n2p2 import read_directory

ROOT = Path(__file__).parents[2]
DATA = next(
    (p / "shared/data/n2p2" for p in (ROOT.parent, *ROOT.parents) if (p / "shared/data/n2p2").is_dir()), None
)
pytestmark = pytest.mark.skipif(DATA is None, reason="n2p2's examples (../shared/data/n2p2) are not here")


def structures(path):
    """(positions, cell, symbols, periodic) of every structure of an input.data file."""
    found = []
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["begin"]:
            positions, cell, symbols = [], [], []
        elif words[:1] == ["lattice"]:
            cell.append([float(w) for w in words[1:4]])
        elif words[:1] == ["atom"]:
            positions.append([float(w) for w in words[1:4]])
            symbols.append(words[4])
        elif words[:1] == ["end"]:
            box = np.array(cell) if cell else np.zeros((3, 3))
            found.append((np.array(positions), box, symbols, [bool(cell)] * 3))
    return found


def test_water_as_n2p2_says():
    potential = read_directory(DATA / "h2o_rpbe-d3")
    plan = engine.compile(potential).with_threads(1)
    reference = np.load(DATA / "h2o_rpbe-d3/reference.npz")
    for s, (positions, cell, symbols, pbc) in enumerate(structures(DATA / "h2o_rpbe-d3/input.data")):
        species = np.array([potential.species.index(e) for e in symbols])
        found = engine.evaluate(plan, positions, cell, pbc, species)
        np.testing.assert_allclose(found.energy, reference["energy"][s], rtol=1e-12)
        np.testing.assert_allclose(found.forces, reference[f"s{s}_forces"], atol=1e-12)
        for k, element in enumerate(potential.species):
            raw = reference[f"s{s}_G_raw_{element}"]
            np.testing.assert_allclose(found.functions[species == k, : raw.shape[1]], raw, atol=1e-12)
        rough = engine.evaluate(plan, positions, cell, pbc, species, precision="mixed")
        # Hartree/bohr: 1e-4 eV/Å is 2e-6.
        np.testing.assert_allclose(rough.forces, found.forces, atol=1e-6)


@pytest.mark.parametrize("name", ["cu2s_pbe", "dmabn_scan", "ethylbenzene_scan", "lj_ne"])
def test_forces_are_slopes_of_the_energy(name):
    potential = read_directory(DATA / name)
    plan = engine.compile(potential).with_threads(1)
    positions, cell, symbols, pbc = structures(DATA / name / "input.data")[0]
    species = np.array([potential.species.index(e) for e in symbols])
    found = engine.evaluate(plan, positions, cell, pbc, species)
    direction = np.random.default_rng(0).normal(size=positions.shape)
    step = 1e-4

    def energy(t):
        return engine.evaluate(plan, positions + t * step * direction, cell, pbc, species).energy

    slope = (8 * (energy(1) - energy(-1)) - (energy(2) - energy(-2))) / (12 * step)
    np.testing.assert_allclose(-(found.forces * direction).sum(), slope, rtol=1e-7, atol=1e-8)
