"""Every potential of the suite passes the conformance kit, and the kit fails what is wrong."""

import dataclasses

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones as LennardJonesOfASE

from iondiff.potentials import ZBL, Committee, Hybrid, LennardJones, StillingerWeber, SumPotential
from iondiff.testing import LandscapeConformance, PotentialConformance
from tests.iondiff.hdnnp_makers import TRICLINIC, random_potential, random_structure


@pytest.fixture(scope="module")
def structures():
    return [
        random_structure("CuOOCuO"),
        random_structure("CuO", 0.6 * TRICLINIC, seed=1),
        random_structure("OCuO", pbc=(True, False, True), seed=2),
        random_structure("CuOO", pbc=False, seed=3),
    ]


class TestHDNNP(PotentialConformance):
    cutoff = 4.5

    @pytest.fixture
    def calculator(self):
        return random_potential().calculator()


@pytest.mark.slow
class TestTorch(PotentialConformance):
    cutoff = 4.5

    @pytest.fixture
    def calculator(self):
        return random_potential().calculator(method="torch", device="cpu")


class TestCommittee(PotentialConformance):
    cutoff = 4.5

    @pytest.fixture
    def calculator(self):
        first = random_potential()
        second = type(first)(
            first.descriptor, random_potential(seed=1).networks, first.atom_energies, 1.5, 0.2
        )
        return Committee((first, second)).calculator()


class TestHybrid(PotentialConformance):
    cutoff = 4.5

    @pytest.fixture
    def calculator(self):
        return Hybrid(random_potential(), ZBL(("O", "Cu"), 1.0, 2.4)).calculator()


class TestLennardJones(PotentialConformance):
    cutoff = 5.0

    @pytest.fixture
    def calculator(self):
        return LennardJones(("O", "Cu"), epsilon=0.01, sigma=1.8, cutoff=5.0).calculator()


class TestZBL(PotentialConformance):
    cutoff = 2.6

    @pytest.fixture
    def calculator(self):
        return ZBL(("O", "Cu"), 1.2, 2.6).calculator()


class TestSum(PotentialConformance):
    cutoff = 5.0

    @pytest.fixture
    def calculator(self):
        tail = LennardJones(("O", "Cu"), epsilon=0.01, sigma=1.8, cutoff=5.0)
        return SumPotential(tail, ZBL(("O", "Cu"), 1.2, 2.6)).calculator()


class TestStillingerWeber(PotentialConformance):
    cutoff = StillingerWeber().cutoff

    @pytest.fixture
    def calculator(self):
        return StillingerWeber().calculator()

    @pytest.fixture
    def structures(self):
        return [
            random_structure("Si4", apart=2.0),
            random_structure("Si", 0.6 * TRICLINIC, seed=1),
            random_structure("Si3", pbc=False, seed=3, apart=2.0),
        ]


class TestMixed(PotentialConformance):
    """Single precision inside: rounding is all that differs."""

    cutoff = 4.5
    tolerance = 3e-6
    derivative_tolerance = 1e-3
    step = 2e-2

    @pytest.fixture
    def calculator(self):
        return random_potential().calculator(precision="mixed")


HOSTS = [
    random_structure("O3Cu", 2.0 * TRICLINIC, seed=4),
    random_structure("O2", np.diag([9.5, 10.0, 10.5]), seed=5),
]


class TestGuest(LandscapeConformance):
    @pytest.fixture
    def landscape_of(self, make):
        return make.potential().landscape

    @pytest.fixture
    def hosts(self, make):
        return [make.host(2.0 * TRICLINIC, 20), make.host(np.diag([9.5, 10.0, 10.5]), 12)]


class TestRigidHost(LandscapeConformance):
    points = 12

    @pytest.fixture
    def landscape_of(self):
        potential = random_potential(("O", "Cu", "Li"))
        return lambda host: potential.landscape(host, guest="Li")

    @pytest.fixture
    def hosts(self):
        return HOSTS


class TestRigidHostOfACommittee(TestRigidHost):
    @pytest.fixture
    def landscape_of(self):
        first = random_potential(("O", "Cu", "Li"))
        second = dataclasses.replace(first, networks=random_potential(("O", "Cu", "Li"), seed=1).networks)
        return lambda host: Committee((first, second)).landscape(host, guest="Li")


class Broken(Calculator):
    """Lennard-Jones with one mistake."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, mistake):
        super().__init__()
        self.mistake = mistake
        self.inner = LennardJonesOfASE(sigma=1.8, epsilon=0.01, rc=5.0, smooth=mistake != "truncated")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        results = {p: self.inner.get_property(p, atoms) for p in ("energy", "forces")}
        if atoms.pbc.all():
            results["stress"] = self.inner.get_property("stress", atoms)
        if self.mistake == "forces":
            results["forces"] = 1.001 * results["forces"]
        if self.mistake == "stress" and "stress" in results:
            results["stress"] = 2.0 * results["stress"]
        if self.mistake == "place":
            results["energy"] += 1e-3 * np.sin(atoms.positions).sum()
        if self.mistake == "order":
            results["energy"] += 1e-3 * float(atoms.numbers[0])
        if self.mistake == "size":
            results["energy"] += 1.0
        self.results = results


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        ("forces", "test_forces_are_minus_the_gradient"),
        ("stress", "test_stress_is_the_strain_derivative"),
        ("place", "test_translation"),
        ("place", "test_rotation"),
        ("place", "test_periodic_images"),
        ("order", "test_permutation"),
        ("size", "test_supercell"),
        ("truncated", "test_smooth_at_the_cutoff"),
    ],
)
def test_the_kit_finds_what_is_wrong(mistake, test, structures):
    kit = PotentialConformance()
    kit.cutoff = 5.0
    with pytest.raises(AssertionError):
        getattr(kit, test)(Broken(mistake), structures)
    if mistake != "truncated":
        getattr(kit, test)(Broken(None), structures)
