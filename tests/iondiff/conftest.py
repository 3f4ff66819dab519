"""Small hosts and potentials that several tests of the suite share."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from iondiff.descriptors import Angular, DescriptorSet, Radial
from iondiff.files import host_fingerprint
from iondiff.potentials import GuestNNP, KernelCorrection
from iondiff.potentials.guest import n_weights

FUNCTIONS = DescriptorSet(
    tuple(Radial(name, 1.5, shift, 4.5) for name in ("O", "Ta") for shift in (1.5, 2.5, 3.5)),
    (
        Angular(("O", "O"), 0.3, 1.5, 1, 1, 4.0),
        Angular(("O", "Ta"), 0.2, 1.0, -1, 3, 4.5),
        Angular(("Ta", "Ta"), 0.2, 1.0, 1, 2, 4.5),
    ),
)


def make_host(cell, count, seed=0):
    """Random places, none nearer than 1.6 Å to another: triclinic, so that a transposed axis shows."""
    generator = np.random.default_rng(seed)
    cell = np.asarray(cell, dtype=float)
    host = Atoms(cell=cell, pbc=True)
    while len(host) < count:
        trial = host + Atoms("Ta" if len(host) % 3 == 0 else "O", positions=[generator.random(3) @ cell])
        if len(trial) == 1 or trial.get_all_distances(mic=True)[-1, :-1].min() > 1.6:
            host = trial
    return host


def make_potential(functions=FUNCTIONS, members=3, hidden=(7, 5), wall=0.5, seed=0):
    """Random weights: nothing about the mathematics depends on the training."""
    generator = np.random.default_rng(seed)
    layers = (len(functions), *hidden, 1)
    return GuestNNP(
        "Cu", functions, generator.normal(1, 0.3, len(functions)), generator.uniform(0.5, 2, len(functions)),
        layers, generator.normal(0, 0.6, (members, n_weights(layers))), -1.3, 1.7, wall,
        summary={"made": "by a test"},
    )  # fmt: skip


def make_correction(host, count=25, support=2.5, seed=0):
    generator = np.random.default_rng(seed)
    return KernelCorrection(
        generator.uniform(-1, 2, (count, 3)) @ host.cell.array, generator.normal(0, 0.3, (count, 4)), support,
        host_fingerprint(host),
    )  # fmt: skip


@pytest.fixture(scope="session")
def make():
    """The makers above."""
    return SimpleNamespace(
        host=make_host, potential=make_potential, correction=make_correction, functions=FUNCTIONS
    )


@pytest.fixture(scope="session")
def host():
    """Fourteen atoms in a triclinic cell."""
    return make_host([[6.5, 0.3, -0.2], [2.4, 6.0, 0.4], [-1.5, 1.0, 6.2]], 14)
