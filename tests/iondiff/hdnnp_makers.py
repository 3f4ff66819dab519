"""Potentials with random weights, structures without symmetry, and where the shared data is."""

import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.symbols import Symbols

from iondiff.descriptors import Descriptor, Scaling, default_set
from iondiff.potentials import HDNNP, Network

TRICLINIC = np.array([[6.1, 0.3, -0.4], [1.9, 5.2, 0.6], [-1.1, 0.8, 5.9]])


def shared(name):
    """A folder of data that is not part of the project, or a skipped test."""
    for parent in Path(__file__).parents[2:5]:
        folder = parent / "shared" / "data" / name
        if folder.is_dir():
            return folder
    pytest.skip(f"shared/data/{name} is not on this machine")
    return None


def answers():
    """Small potentials as files of n2p2, and what n2p2 says about them; see tests/reference/n2p2."""
    path = Path(__file__).parent / "data" / "n2p2_answers.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def random_structure(symbols, cell=TRICLINIC, pbc=True, seed=0, apart=1.5):
    """Atoms of a formula (or list) at random places, none nearer than `apart` to another."""
    generator = np.random.default_rng(seed)
    cell = np.asarray(cell, dtype=float)
    atoms = Atoms(cell=cell, pbc=pbc)
    for symbol in Symbols.fromsymbols(symbols) if isinstance(symbols, str) else symbols:
        while True:
            trial = atoms + Atoms(symbol, [generator.random(3) @ cell])
            if len(trial) == 1 or trial.get_all_distances(mic=True)[-1, :-1].min() > apart:
                atoms = trial
                break
    return atoms


def random_potential(species=("O", "Cu"), cutoff=4.5, seed=0, descriptor=None, layers=(8, 6), letters="tpl"):
    """Random weights on the default functions; energies and forces of some eV and eV/Å."""
    generator = np.random.default_rng(seed)
    descriptor = descriptor or scaled(default_set(species, cutoff, radial=4, zetas=(1.0, 2.0)))
    networks = []
    for element in descriptor.elements:
        sizes = (len(element), *layers, 1)
        weights = tuple(generator.normal(0, 1 / np.sqrt(a), (a, b)) for a, b in itertools.pairwise(sizes))
        networks.append(
            Network(weights, tuple(generator.normal(0, 0.3, b) for b in sizes[1:]), tuple(letters))
        )
    energies = generator.normal(0, 2, len(networks))
    return HDNNP(descriptor, tuple(networks), energies, 1.5, -0.75, summary={"made": "by a test"})


def scaled(descriptor):
    """Centred and scaled by numbers of the right size."""
    elements = []
    for element in descriptor.elements:
        n = len(element)
        low = np.linspace(0, 0.1, n)
        scaling = Scaling("scale-centre", low, low + np.linspace(1, 2, n), low + 0.4, np.ones(n), -0.5, 1.0)
        elements.append(replace(element, scaling=scaling))
    return Descriptor(tuple(elements))
