"""Sums of potentials: additive, in Python and in compiled loops."""

import numpy as np
import pytest
from ase.calculators.lj import LennardJones as LennardJonesOfASE

from iondiff.errors import PotentialError
from iondiff.potentials import ZBL, Hybrid, LennardJones
from iondiff.potentials.compiled_calculator import CompiledCalculator
from tests.iondiff.hdnnp_makers import random_potential, random_structure


@pytest.fixture(scope="module")
def potential():
    return random_potential()


def test_a_hybrid_is_the_sum_of_its_parts(potential):
    atoms = random_structure("CuOOCuO", apart=1.2)
    core = ZBL(("Cu", "O"), 0.8, 2.2)  # its own order of elements
    reference = LennardJonesOfASE(sigma=1.8, epsilon=0.01, rc=4.0, smooth=True)
    hybrid = Hybrid(potential, core, reference)
    (found,) = hybrid.evaluate([atoms])
    parts = [potential.calculator(), core.calculator(), reference]
    for name, value in (("energy", found.energy), ("forces", found.forces), ("stress", found.stress)):
        wanted = sum(calculator.get_property(name, atoms) for calculator in parts)
        np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-12)
    assert [e.atom for e in found.extrapolations] == [
        e.atom for e in potential.evaluate([atoms])[0].extrapolations
    ]
    with pytest.raises(PotentialError, match="ASE calculator, which no compiled loop"):
        hybrid.compiled()


def test_the_core_repels_where_the_network_knows_nothing(potential):
    """Without a core the force at 0.5 Å is whatever the network says; with it, it pushes apart."""
    atoms = random_structure("CuO", pbc=False)
    atoms.positions[:] = [[0, 0, 0], [0.5, 0, 0]]
    (alone,), (core,) = potential.evaluate([atoms]), Hybrid(potential, ZBL(("O", "Cu"))).evaluate([atoms])
    assert core.forces[1, 0] - alone.forces[1, 0] > 100
    assert core.energy - alone.energy > 100


@pytest.mark.slow
def test_the_compiled_sum_is_the_same(potential):
    """A kernel of two kernels is compiled anew in every process."""
    atoms = random_structure("CuOOCuO", apart=1.2)
    hybrid = Hybrid(potential, ZBL(("Cu", "O"), 0.8, 2.2))
    (found,) = hybrid.evaluate([atoms])
    calculator = CompiledCalculator(hybrid)
    assert calculator.get_property("energy", atoms) == pytest.approx(found.energy, rel=1e-13)
    np.testing.assert_allclose(calculator.get_property("forces", atoms), found.forces, atol=1e-11)


def test_what_cannot_be_added(potential):
    with pytest.raises(PotentialError, match="nothing to add"):
        Hybrid(potential)
    with pytest.raises(PotentialError, match="a term of the hybrid is a str"):
        Hybrid(potential, "ZBL")
    with pytest.raises(PotentialError, match="but not O"):
        Hybrid(potential, LennardJones(("Cu",)))
