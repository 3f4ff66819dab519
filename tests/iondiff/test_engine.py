"""The compiled engine: every kind of function, every activation, any cell, any number of threads."""

import dataclasses
import itertools

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import float64, types

from iondiff.descriptors import Descriptor, ElementDescriptor, Scaling, SymmetryFunction
from iondiff.errors import PotentialError
from iondiff.neighbours import neighbour_table
from iondiff.potentials import engine
from iondiff.potentials.compiled import KERNEL, KERNEL_POINTER
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.network import ACTIVATIONS, Network
from tests.iondiff.plain_functions import functions_of

CUTOFF = 4.0
TRICLINIC = np.array([[6.1, 0.3, -0.4], [1.9, 5.2, 0.6], [-1.1, 0.8, 5.9]])
ELEMENTS = ("S", "Cu")


def angular(kind, centre="S", neighbours=("S", "Cu"), **numbers):
    return SymmetryFunction(kind, centre, neighbours, CUTOFF, **numbers)


def plain_network(network, x):
    functions = {
        "l": lambda z: z, "t": np.tanh, "s": lambda z: 1 / (1 + np.exp(-z)),
        "p": lambda z: np.log1p(np.exp(z)),
        "r": lambda z: np.maximum(z, 0), "g": lambda z: np.exp(-(z**2) / 2), "c": np.cos,
        "S": lambda z: 1 - 1 / (1 + np.exp(-z)), "e": lambda z: np.exp(-z), "h": lambda z: z**2,
    }  # fmt: skip
    for weights, biases, letter in zip(network.weights, network.biases, network.activations, strict=True):
        x = functions[letter](x @ weights + biases)
    return float(x[0])


def make_potential(functions, layers=(7, 5), letters="tpl", seed=1):
    """Random networks on the given functions; an element without any gets one."""
    generator = np.random.default_rng(seed)
    elements, networks = [], []
    for symbol in ELEMENTS:
        own = tuple(dict.fromkeys(f for f in functions if f.centre == symbol))
        own = own or (SymmetryFunction("G2", symbol, ("S",), CUTOFF, eta=0.5),)
        n = len(own)
        scaling = Scaling("scale-centre", np.zeros(n), np.full(n, 2.0), np.linspace(0, 1, n), np.ones(n))
        elements.append(ElementDescriptor(symbol, own, scaling))
        sizes = (n, *layers, 1)
        networks.append(
            Network(
                tuple(generator.normal(size=pair) / np.sqrt(pair[0]) for pair in itertools.pairwise(sizes)),
                tuple(0.3 * generator.normal(size=m) for m in sizes[1:]),
                tuple(letters),
            )
        )
    return HDNNP(Descriptor(tuple(elements)), tuple(networks), np.array([-1.0, -3.0]), 2.5, 0.25)


def make_structure(n=9, cell=TRICLINIC, seed=2, apart=1.3):
    """Random atoms no closer than `apart`, some of them outside the cell."""
    generator = np.random.default_rng(seed)
    points = []
    while len(points) < n:
        trial = generator.random(3) @ cell
        near = [
            np.linalg.norm(trial - p + np.array(s) @ cell)
            for p in points
            for s in itertools.product((-1, 0, 1), repeat=3)
        ]
        if not near or min(near) > apart:
            points.append(trial)
    positions = np.array(points) + generator.integers(-1, 2, size=(n, 3)) @ cell
    return positions, cell, generator.integers(0, 2, size=n)


def check(potential, positions, cell, species, pbc=(True, True, True)):
    """Functions against the papers' formulas, energies against plain networks, forces by differences."""
    plan = engine.compile(potential)
    found = engine.evaluate(plan, positions, cell, pbc, species)
    wanted = functions_of(potential.descriptor, positions, cell, pbc, species)
    np.testing.assert_allclose(found.functions, wanted, rtol=1e-10, atol=1e-11)
    for i, s in enumerate(species):
        element = potential.descriptor.elements[s]
        scaled = (wanted[i, : len(element)] - element.scaling.shift) * element.scaling.factor
        energy = (
            potential.energy_scale * plain_network(potential.networks[s], scaled) + potential.offsets()[s]
        )
        np.testing.assert_allclose(found.atom_energies[i], energy, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.energy, found.atom_energies.sum(), rtol=1e-13)

    def energy_at(places, box=cell):
        return engine.evaluate(plan, places, box, pbc, species).energy

    step = 1e-4
    scale = max(np.abs(found.forces).max(), 1.0)
    for i, a in ((0, 0), (len(positions) // 2, 1), (len(positions) - 1, 2)):

        def along(t, i=i, a=a):
            moved = positions.copy()
            moved[i, a] += t * step
            return energy_at(moved)

        slope = (8 * (along(1) - along(-1)) - (along(2) - along(-2))) / (12 * step)
        assert abs(slope + found.forces[i, a]) < 1e-7 * scale
    np.testing.assert_allclose(found.forces.sum(axis=0), 0.0, atol=1e-10 * scale)
    for a, b in ((0, 0), (1, 2)):

        def strained(t, a=a, b=b):
            strain = np.eye(3)
            strain[a, b] += t * step
            return energy_at(positions @ strain.T, cell @ strain.T)

        slope = (8 * (strained(1) - strained(-1)) - (strained(2) - strained(-2))) / (12 * step)
        assert abs(slope - found.virial[a, b]) < 1e-6 * max(np.abs(found.virial).max(), 1.0)
    mixed = engine.evaluate(plan, positions, cell, pbc, species, precision="mixed")
    # Weighted functions are sums of products of atomic numbers: hundreds, of which singles keep seven digits.
    weighted = any("W" in f.kind for element in potential.descriptor.elements for f in element.functions)
    np.testing.assert_allclose(mixed.forces, found.forces, atol=(3e-4 if weighted else 3e-5) * scale)
    np.testing.assert_allclose(mixed.energy, found.energy, atol=1e-4 * len(positions))


GAUSSIANS = ((0.1, 0.0), (2.0, 1.5))
ANGLES = ((0.05, 1, 1, 0), (0.3, -1, 4, 0), (0.1, 1, 2.5, 0.7), (0.1, -1, 12, 0.7), (0.01, 1, 8, 1))
KINDS = {
    "G1": [SymmetryFunction("G1", "S", (e,), CUTOFF) for e in ELEMENTS],
    "G2": [SymmetryFunction("G2", "S", (e,), CUTOFF, eta=n, shift=s) for e in ELEMENTS for n, s in GAUSSIANS],
    "G3": [SymmetryFunction("G3", "S", (e,), CUTOFF, kappa=1.7) for e in ELEMENTS],
    "W2": [SymmetryFunction("W2", "S", (), CUTOFF, eta=0.5, shift=1.0)],
    "W4": [SymmetryFunction("W4", "S", (), CUTOFF, eta=0.05, zeta=2.0, lam=-1.0)],
    "P2": [
        SymmetryFunction("P2", "S", ("Cu",), CUTOFF, r_low=low, core=core)
        for low in (-4, 1.0)
        for core in ("p1a", "p3", "e")
    ],
    "PW2": [SymmetryFunction("PW2", "S", (), CUTOFF, r_low=0.5, core="p2a")],
}  # fmt: skip
KINDS |= {
    f"{kind} {'-'.join(pair)}": [
        angular(kind, neighbours=pair, eta=eta, lam=lam, zeta=zeta, shift=shift)
        for eta, lam, zeta, shift in ANGLES
    ]
    for kind in ("G4", "G5")
    for pair in (("S", "S"), ("S", "Cu"), ("Cu", "Cu"))
}  # fmt: skip
KINDS |= {
    kind: [
        SymmetryFunction(
            kind, "S", () if kind.startswith("PW") else pair, CUTOFF, r_low=-4, angle_left=left,
            angle_right=right, core=core,
        )
        for pair in (("S", "S"), ("S", "Cu"))
        for left, right in ((-90, 90), (40, 170), (100, 260))
        for core in ("p2", "p2a", "p4")
    ]
    for kind in ("P4", "P5", "PW4", "PW5")
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_every_kind_and_their_slopes(kind):
    check(make_potential(KINDS[kind]), *make_structure())


@pytest.mark.parametrize("cutoff_kind", range(9))
def test_every_cutoff_function(cutoff_kind):
    functions = [
        SymmetryFunction("G2", "Cu", ("S",), CUTOFF, cutoff_kind, inner, eta=0.2) for inner in (0.0, 0.4)
    ]
    functions += [SymmetryFunction("G4", "Cu", ("S", "Cu"), 5.0, cutoff_kind, 0.3, eta=0.02, zeta=2.0)]
    check(make_potential(functions), *make_structure(6))


@pytest.mark.parametrize("letter", sorted(ACTIVATIONS))
def test_every_activation_and_depth(letter):
    for layers in ((), (3,), (17, 9, 4)):
        check(make_potential(KINDS["G2"], layers, letter * len(layers) + "l"), *make_structure(4))
    check(make_potential(KINDS["G2"], (5,), "t" + letter), *make_structure(4))


NUMBERS = st.floats(0.0, 1.5).map(lambda x: round(x, 2))


@st.composite
def function(draw):
    kind = draw(
        st.sampled_from(["G1", "G2", "G3", "G4", "G5", "W2", "W4", "P2", "P4", "P5", "PW2", "PW4", "PW5"])
    )
    centre = draw(st.sampled_from(ELEMENTS))
    radial = kind in {"G1", "G2", "G3", "W2", "P2", "PW2"}
    size = 0 if "W" in kind else 1 if radial else 2
    numbers = {"eta": draw(NUMBERS), "shift": draw(NUMBERS)}
    if not radial:
        numbers |= {
            "lam": draw(st.sampled_from([-1.0, 1.0])),
            "zeta": draw(st.sampled_from([1.0, 2.0, 3.5, 7.0, 16.0])),
        }
    if kind == "G3":
        numbers = {"kappa": draw(NUMBERS)}
    cutoff = draw(st.sampled_from([3.1, CUTOFF]))
    if kind.startswith("P"):
        numbers = {
            "r_low": draw(st.sampled_from([-cutoff, 0.5])),
            "core": draw(st.sampled_from(["p2", "p2a", "p3", "e"])),
        }
        if not radial:
            numbers |= {"angle_left": draw(st.sampled_from([-60.0, 20.0])), "angle_right": 60.0}
    neighbours = tuple(draw(st.sampled_from(ELEMENTS)) for _ in range(size))
    # Kind 0 jumps at the cutoff, kinds 1 and 5 bend: differences of energies would see it.
    return SymmetryFunction(
        kind, centre, neighbours, cutoff, draw(st.sampled_from([2, 3, 4, 6, 7, 8])), **numbers
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(function(), min_size=1, max_size=9), st.integers(0, 10**6))
def test_any_mixture_of_functions(functions, seed):
    check(make_potential(functions, seed=seed), *make_structure(7, seed=seed))


MIXTURE = [f for kind in ("G2", "W4", "G4 S-Cu", "G5 S-Cu", "G5 S-S", "P5", "G3") for f in KINDS[kind]]
MIXTURE += [SymmetryFunction("G4", "Cu", ("Cu", "Cu"), 3.3, eta=0.1, zeta=3.0, lam=-1.0)]


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False), (False, False, False)])
def test_open_and_mixed_boundaries(pbc):
    check(make_potential(MIXTURE), *make_structure(8), pbc)


def test_cells_smaller_than_the_cutoff():
    check(make_potential(MIXTURE), *make_structure(2, 0.45 * TRICLINIC))


def test_an_atom_alone_has_no_force():
    potential = make_potential(MIXTURE)
    found = engine.evaluate(
        engine.compile(potential), np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3, np.array([1])
    )
    assert np.isfinite(found.energy)
    assert not found.forces.any()
    assert not found.functions.any()


def many_atoms():
    positions, cell, species = make_structure(9)
    shifts = np.array(list(itertools.product(range(2), repeat=3)))
    generator = np.random.default_rng(3)
    places = np.concatenate([positions + s @ cell for s in shifts])
    return places + 0.05 * generator.normal(size=places.shape), 2 * cell, np.tile(species, len(shifts))


@pytest.mark.parametrize("precision", engine.PRECISIONS)
def test_threads_do_not_change_a_bit(precision):
    positions, cell, species = many_atoms()
    plan = engine.compile(make_potential(MIXTURE), precision)
    one, two, five = (
        engine.evaluate(plan.with_threads(t), positions, cell, [True] * 3, species) for t in (1, 2, 5)
    )
    for other in (two, five):
        assert one.energy == other.energy
        assert np.array_equal(one.forces, other.forces)
        assert np.array_equal(one.virial, other.virial)
        assert np.array_equal(one.functions, other.functions)


@numba.njit(
    types.Tuple((float64, float64[:, ::1], float64[::1], float64[:, ::1]))(KERNEL_POINTER, *KERNEL.args[:8])
)
def through_pointer(kernel, positions, cell, species, first, index, image, integers, reals):
    forces, energies, virial = np.empty_like(positions), np.empty(len(positions)), np.empty((3, 3))
    energy = kernel(positions, cell, species, first, index, image, integers, reals, forces, energies, virial)
    return energy, forces, energies, virial


def test_compiled_loops_get_the_same_and_a_skin_does_not_count():
    positions, cell, species = many_atoms()
    potential = make_potential(MIXTURE)
    plan = engine.compile(potential).with_threads(2)
    found = engine.evaluate(plan, positions, cell, [True] * 3, species)
    table = neighbour_table(positions, cell, np.array([True] * 3), potential.cutoff + 0.7)
    energy, forces, energies, virial = through_pointer(
        plan.compiled().kernel, positions, cell, species, *table, *plan.compiled()[1:]
    )
    np.testing.assert_allclose(energy, found.energy, rtol=1e-13)
    np.testing.assert_allclose(forces, found.forces, atol=1e-10)
    np.testing.assert_allclose(energies, found.atom_energies, rtol=1e-12)
    np.testing.assert_allclose(virial, found.virial, atol=1e-9)


def test_wrong_arguments_are_told():
    plan = engine.compile(make_potential(KINDS["G2"]))
    positions, cell, species = make_structure(3)
    with pytest.raises(PotentialError, match="species go from"):
        engine.evaluate(plan, positions, cell, [True] * 3, species + 2)
    with pytest.raises(PotentialError, match="wanted \\(n, 3\\)"):
        engine.evaluate(plan, positions, cell, [True] * 3, species[:2])
    positions[1, 2] = np.nan
    with pytest.raises(PotentialError, match="position of atom 1 is not finite"):
        engine.evaluate(plan, positions, cell, [True] * 3, species)
    with pytest.raises(PotentialError, match="precision is 'half'"):
        plan.with_precision("half")


def test_a_committee_is_its_members():
    positions, cell, species = make_structure()
    members = [make_potential(MIXTURE, seed=s) for s in (1, 2, 3)]
    members[1] = dataclasses.replace(members[1], energy_scale=0.7, atom_energies=np.array([0.5, 0.25]))
    found = engine.evaluate(engine.compile(members), positions, cell, [True] * 3, species)
    alone = [engine.evaluate(engine.compile(m), positions, cell, [True] * 3, species) for m in members]
    for k, one in enumerate(alone):
        np.testing.assert_allclose(found.member_energies[k], one.atom_energies, rtol=1e-12)
        np.testing.assert_allclose(found.member_forces[k], one.forces, atol=1e-11)
    np.testing.assert_allclose(found.energy, np.mean([one.energy for one in alone]), rtol=1e-12)
    np.testing.assert_allclose(found.forces, np.mean([one.forces for one in alone], axis=0), atol=1e-11)
    np.testing.assert_allclose(found.virial, np.mean([one.virial for one in alone], axis=0), atol=1e-10)
    short = engine.evaluate(
        engine.compile(members), positions, cell, [True] * 3, species, member_forces=False
    )
    np.testing.assert_allclose(short.forces, found.forces, atol=1e-11)
    assert np.array_equal(short.member_energies, found.member_energies)
    assert short.member_forces.shape == (0, 9, 3)
    with pytest.raises(PotentialError, match="member 2 of the committee has other symmetry functions"):
        engine.compile([members[0], make_potential(KINDS["G2"])])
