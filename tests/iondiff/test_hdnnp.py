"""Potentials for all atoms: what they say, what they refuse, what they remember on disk."""

import json
import pickle
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from iondiff.descriptors import Descriptor, Scaling
from iondiff.errors import HostError, PotentialError
from iondiff.potentials import HDNNP, Committee, ExtrapolationWarning, Network, engine, load
from iondiff.potentials.__main__ import main
from tests.iondiff.hdnnp_makers import TRICLINIC, random_potential, random_structure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def potential():
    return random_potential()


@pytest.fixture(scope="module")
def atoms():
    return random_structure("CuOOCuOO")


def shaken(potential, count=3, size=0.05):
    generator = np.random.default_rng(1)

    def moved(network):
        return replace(
            network, weights=tuple(w + size * generator.normal(size=w.shape) for w in network.weights)
        )

    return tuple(replace(potential, networks=tuple(map(moved, potential.networks))) for _ in range(count))


@pytest.mark.parametrize("pbc", [True, False, (True, False, True)])
def test_the_two_implementations_agree(potential, pbc):
    """Kernels and torch share no arithmetic; small cells, open and mixed boundaries."""
    structures = [random_structure("CuOO", TRICLINIC * 0.7, pbc, 3), random_structure("CuOOCuOO", pbc=pbc)]
    for ours, theirs in zip(
        potential.evaluate(structures),
        potential.evaluate(structures, method="torch", device="cpu"),
        strict=True,
    ):
        assert ours.energy == pytest.approx(theirs.energy, rel=1e-12)
        np.testing.assert_allclose(ours.energies, theirs.energies, atol=1e-11)
        np.testing.assert_allclose(ours.forces, theirs.forces, atol=1e-10)
        np.testing.assert_allclose(ours.virial, theirs.virial, atol=1e-10)
        assert [e[:3] for e in ours.extrapolations] == [e[:3] for e in theirs.extrapolations]


@pytest.mark.gpu
def test_a_gpu_gives_the_same_numbers(potential, atoms):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    (cpu,), (gpu,) = potential.evaluate([atoms]), potential.evaluate([atoms], method="torch", device="cuda")
    assert gpu.energy == pytest.approx(cpu.energy, rel=1e-8)
    np.testing.assert_allclose(gpu.forces, cpu.forces, atol=1e-8)


@pytest.mark.parametrize("method", ["compiled", "torch"])
def test_mixed_precision_is_close(potential, atoms, method):
    (double,), (mixed,) = (
        potential.evaluate([atoms], method=method, precision=p) for p in ("double", "mixed")
    )
    assert mixed.energy == pytest.approx(double.energy, abs=1e-4)
    np.testing.assert_allclose(mixed.forces, double.forces, atol=1e-4)


def test_calculator_has_what_ase_asks_for(potential, atoms):
    atoms = atoms.copy()
    atoms.calc = potential.calculator()
    assert atoms.get_potential_energy() == atoms.get_potential_energy(force_consistent=True)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-10)
    assert atoms.get_stress().shape == (6,)
    molecule = Atoms("CuO", [[0, 0, 0], [1.8, 0, 0]], calculator=potential.calculator())
    assert np.isfinite(molecule.get_potential_energy())
    with pytest.raises(NotImplementedError):
        molecule.get_stress()


def test_a_lone_atom_has_its_constant(potential):
    lone = Atoms("Cu", [[1, 2, 3]])
    (found,) = potential.evaluate([lone])
    G = np.zeros(len(potential.descriptor["Cu"]))
    scaling = potential.descriptor["Cu"].scaling
    network = potential.networks[1]
    x = (G - scaling.shift) * scaling.factor
    x = np.tanh(x @ network.weights[0] + network.biases[0])
    x = np.log1p(np.exp(x @ network.weights[1] + network.biases[1]))
    wanted = 1.5 * (x @ network.weights[2] + network.biases[2])[0] + potential.offsets()[1]
    assert found.energy == pytest.approx(wanted, rel=1e-12)
    assert not found.forces.any()


# -- extrapolation


def narrow_range(potential, element, function, low, high):
    """The same potential with the known range of one function changed, and nothing else."""
    elements = list(potential.descriptor.elements)
    k = potential.species.index(element)
    n = len(elements[k])
    wide = Scaling("none", np.full(n, -1e9), np.full(n, 1e9), np.zeros(n), np.ones(n))
    minimum, maximum = wide.minimum.copy(), wide.maximum.copy()
    minimum[function], maximum[function] = low, high
    others = [
        replace(e, scaling=Scaling("none", *[np.full(len(e), v) for v in (-1e9, 1e9, 0.0, 1.0)]))
        for e in elements
    ]
    others[k] = replace(elements[k], scaling=replace(wide, minimum=minimum, maximum=maximum))
    return replace(potential, descriptor=Descriptor(tuple(others)))


@pytest.mark.parametrize("method", ["compiled", "torch"])
def test_extrapolation_names_atom_function_and_amount(potential, atoms, method):
    from iondiff.potentials.structure import surroundings
    from iondiff.potentials.torch_path import TorchHDNNP

    _, _, _, raw = TorchHDNNP(potential).evaluate([surroundings(atoms, potential.species, potential.cutoff)])[
        0
    ]
    values = raw[0][:, 3]  # of the four O, in the order of the atoms
    order = np.sort(values)
    low, high = order[0] - 1.0, 0.5 * (order[-1] + order[-2])
    known = narrow_range(potential, "O", 3, low, high)
    (found,) = known.evaluate([atoms], method=method)
    (one,) = found.extrapolations
    assert one.atom == np.flatnonzero(atoms.symbols == "O")[np.argmax(values)]
    assert (one.element, one.function, one.minimum, one.maximum) == ("O", 3, low, high)
    assert one.value == pytest.approx(order[-1])
    assert one.excess == pytest.approx((order[-1] - high) / (high - low))
    assert "outside" in str(one)
    assert not known.evaluate([atoms], method=method, extrapolation="ignore")[0].extrapolations
    with pytest.warns(ExtrapolationWarning, match=f"1 symmetry functions of 1 atoms .* atom {one.atom}"):
        known.evaluate([atoms], method=method, extrapolation="warn")
    with pytest.raises(PotentialError, match="outside the range of the training set"):
        known.evaluate([atoms], method=method, extrapolation="raise")
    quiet = atoms.copy()
    quiet.calc = known.calculator(method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.get_forces()
    assert quiet.calc.extrapolations[0][:3] == one[:3]


def test_policies_and_methods_that_are_none(potential, atoms):
    for options in ({"extrapolation": "shout"}, {"method": "magic"}, {"precision": "half"}):
        with pytest.raises(PotentialError, match="wanted one of"):
            potential.calculator(**options)
        with pytest.raises(PotentialError, match="wanted one of"):
            potential.evaluate([atoms], **options)


# -- structures that mean nothing


@pytest.mark.parametrize("method", ["compiled", "torch"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a.positions.__setitem__((2, 1), np.nan), "structure 1: atom 2 is at .*nan"),
        (lambda a: a.positions.__setitem__((2, 1), np.inf), "structure 1: atom 2 is at .*inf"),
        (lambda a: a.symbols.__setitem__(3, "Xe"), "structure 1: atom 3 is Xe; the potential knows O, Cu"),
        (lambda a: a.set_cell(np.zeros((3, 3))), "structure 1: .* periodic along a, b, c, .*volume 0"),
        (lambda a: a.set_cell([[5, 0, 0], [0, 5, 0], [5, 5, 0]]), "volume 0"),
        (lambda a: a.set_cell(np.full((3, 3), np.nan)), "cell holds numbers that are not finite"),
        (lambda a: a.positions.__setitem__(4, a.positions[1]), r"atoms 1 \(.*\) and 4 \(.*\) are 0 Å apart"),
        (
            lambda a: a.positions.__setitem__(4, a.positions[1] + a.cell[0] + 1e-3),
            r"atoms 1 .* and 4 .* apart; wanted",
        ),
        (lambda a: a.__delitem__(slice(None)), "structure 1: the structure has no atoms"),
        (lambda a: a.set_cell(np.eye(3) * 0.01), "structure 1: .*more than a million images"),
    ],
)
def test_structures_that_mean_nothing_are_refused(potential, atoms, method, damage, message):
    broken = atoms.copy()
    damage(broken)
    with pytest.raises(PotentialError, match=message):
        potential.evaluate([atoms, broken], method=method)
    broken.calc = potential.calculator(method=method)
    with pytest.raises(PotentialError):
        broken.get_forces()


def test_a_slab_may_have_an_empty_vector(potential):
    slab = random_structure("CuOOCu", pbc=(True, True, False))
    (with_vector,) = potential.evaluate([slab])
    slab.cell[2] = 0
    (without,) = potential.evaluate([slab])
    assert without.energy == pytest.approx(with_vector.energy, rel=1e-12)
    with pytest.raises(ValueError, match="no cell"):
        _ = without.stress


def test_nothing_to_evaluate(potential):
    assert potential.evaluate([]) == []


# -- committees


@pytest.mark.parametrize("method", ["compiled", "torch"])
def test_a_committee_is_the_mean_and_the_spread_of_its_members(potential, atoms, method):
    members = shaken(potential)
    (found,) = Committee(members).evaluate([atoms], method=method)
    alone = [member.evaluate([atoms], method=method)[0] for member in members]
    energies = np.array([a.energy for a in alone])
    forces = np.array([a.forces for a in alone])
    assert found.energy == pytest.approx(energies.mean(), rel=1e-12)
    assert found.energy_spread == pytest.approx(energies.std(), rel=1e-8)
    np.testing.assert_allclose(found.forces, forces.mean(axis=0), atol=1e-10)
    spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    np.testing.assert_allclose(found.force_spread, spread, rtol=1e-8)
    calculated = atoms.copy()
    calculated.calc = Committee(members).calculator(method=method)
    calculated.get_potential_energy()
    assert calculated.calc.results["energy_spread"] == pytest.approx(energies.std(), rel=1e-8)
    assert "force_spread" in calculated.calc.results
    np.testing.assert_allclose(calculated.calc.results["force_spread"], spread, rtol=1e-8)
    np.testing.assert_allclose(calculated.calc.get_property("force_spread"), spread, rtol=1e-8)


def test_the_spread_of_forces_is_of_the_structure_that_was_asked_for(potential, atoms):
    """It is worked out when somebody looks, and the structure may have moved on by then."""
    committee, atoms = Committee(shaken(potential)), atoms.copy()
    wanted = committee.evaluate([atoms])[0].force_spread
    (found,) = committee.evaluate([atoms])
    calculator = committee.calculator()
    calculator.get_property("energy", atoms)
    results = calculator.results
    atoms.positions[0] += 0.3
    calculator.get_property("energy", atoms)
    atoms.cell *= 1.1
    assert np.array_equal(found.force_spread, wanted)
    assert np.array_equal(results.get("force_spread"), wanted)
    assert not np.allclose(calculator.results["force_spread"], wanted)
    again = pickle.loads(pickle.dumps(committee.evaluate([atoms])[0]))  # noqa: S301
    assert again.force_spread.shape == wanted.shape


def test_the_spread_of_forces_asked_for_at_once_takes_one_pass(potential, atoms, monkeypatch):
    committee = Committee(shaken(potential))
    wanted = committee.evaluate([atoms])[0]
    wanted_spread = wanted.force_spread
    passes = []
    whole = engine.evaluate

    def counted(*arguments, **options):
        passes.append(options)
        return whole(*arguments, **options)

    monkeypatch.setattr(engine, "evaluate", counted)
    calculator = committee.calculator()
    spread = calculator.get_property("force_spread", atoms)
    np.testing.assert_allclose(spread, wanted_spread, rtol=1e-10)
    np.testing.assert_allclose(calculator.results["forces"], wanted.forces, atol=1e-12)
    (found,) = committee.evaluate([atoms], member_forces=True)
    np.testing.assert_allclose(found.force_spread, wanted_spread, rtol=1e-10)
    assert len(passes) == 2
    calculator = committee.calculator()
    calculator.get_property("forces", atoms)
    assert len(passes) == 3
    np.testing.assert_allclose(calculator.results["force_spread"], wanted_spread, rtol=1e-10)
    assert len(passes) == 4


def test_a_committee_writes_a_directory_a_member(potential, atoms, tmp_path):
    members = shaken(potential)
    Committee(members).export_n2p2(tmp_path)
    for number, member in enumerate(members, start=1):
        found = load(tmp_path / f"member_{number}").evaluate([atoms])[0].energy
        assert found == pytest.approx(member.evaluate([atoms])[0].energy, rel=1e-12)


def test_what_a_compiled_loop_takes_in_place_of_a_calculator(potential):
    """Its own precision, and nothing where a loop could not do what the calculator was told to do."""
    double, mixed = (potential.calculator(precision=p).plan for p in ("double", "mixed"))
    assert not np.array_equal(double.integers, mixed.integers)
    assert Committee(shaken(potential)).calculator().plan.n_members > 1
    for options in ({"method": "torch"}, {"extrapolation": "warn"}, {"extrapolation": "raise"}):
        assert potential.calculator(**options).plan is None


def test_members_of_a_committee_see_the_same(potential):
    with pytest.raises(PotentialError, match="no members"):
        Committee(())
    with pytest.raises(PotentialError, match="member 1 has other symmetry functions"):
        Committee((potential, random_potential(cutoff=4.0)))


# -- files


def test_round_trip_to_the_last_bit(potential, atoms, tmp_path):
    for made in (replace(potential, units=("bohr", "hartree")), Committee(shaken(potential))):
        made.save(tmp_path / "p.nnp")
        again = load(tmp_path / "p.nnp")
        assert type(again) is type(made)
        assert again.evaluate([atoms])[0].energy == made.evaluate([atoms])[0].energy
        again.save(tmp_path / "q.nnp")
        assert (tmp_path / "p.nnp").read_bytes() == (tmp_path / "q.nnp").read_bytes()
    lead = again.members[0]
    assert lead.summary == {"made": "by a test"}
    assert lead.descriptor.elements[0].functions == potential.descriptor.elements[0].functions


def test_a_changed_file_is_refused(potential, tmp_path):
    """Every array and the header are under the checksum: these are valid archives of changed content."""
    potential.save(tmp_path / "p.nnp")
    with np.load(tmp_path / "p.nnp") as archive:
        content = {name: archive[name] for name in archive.files}
    for name, array in content.items():
        changed = dict(content)
        if name == "header":
            header = json.loads(content["header"].tobytes())
            header["members"][0]["energy_scale"] *= 1 + 1e-15
            changed["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        else:
            changed[name] = array * (1 + 1e-15) + 1e-300
        if all(np.array_equal(changed[n], content[n]) for n in content):
            continue
        np.savez(tmp_path / "c.npz", **changed)
        with pytest.raises(PotentialError, match="checksum"):
            load(tmp_path / "c.npz")
    del content["weights_0_0"]
    np.savez(tmp_path / "c.npz", **content)
    with pytest.raises(PotentialError, match=r"potential file .*c.npz"):
        load(tmp_path / "c.npz")


def test_what_no_potential_can_be(potential):
    with pytest.raises(PotentialError, match="wanted one an element"):
        replace(potential, networks=potential.networks[:1])
    with pytest.raises(PotentialError, match="inputs"):
        replace(
            potential, networks=(potential.networks[0], Network((np.zeros((2, 1)),), (np.zeros(1),), "l"))
        )
    with pytest.raises(PotentialError, match="positive scale"):
        replace(potential, energy_scale=0.0)
    with pytest.raises(PotentialError, match="atom energies have shape"):
        replace(potential, atom_energies=np.zeros(3))
    with pytest.raises(PotentialError, match="not finite"):
        Network((np.full((2, 1), np.nan),), (np.zeros(1),), "l")
    with pytest.raises(PotentialError, match="activation 'z'"):
        Network((np.zeros((2, 1)),), (np.zeros(1),), "z")


# -- landscapes


@pytest.fixture(scope="module")
def landscape():
    potential = random_potential(("O", "Cu", "Ta"))
    host = random_structure("TaOOTaO", seed=5)
    return potential, host, potential.landscape(host)


def test_landscape_is_the_energy_of_the_whole_less_that_of_the_host(landscape):
    potential, host, found = landscape
    assert found.guest == "Cu"
    points = np.random.default_rng(0).random((12, 3)) @ host.cell.array * 1.7
    energies, gradients = found.energy_and_gradient(points)
    walls = ~np.isfinite(energies)
    assert 0 < walls.sum() < 12
    empty = potential.evaluate([host])[0].energy
    for point, energy, gradient in zip(points[~walls], energies[~walls], gradients[~walls], strict=True):
        (whole,) = potential.evaluate([host + Atoms("Cu", [point])])
        assert energy == pytest.approx(whole.energy - empty, abs=1e-10)
        np.testing.assert_allclose(gradient, -whole.forces[-1], atol=1e-10)
    shifted, _ = found.energy_and_gradient(points + host.cell.array[0] - host.cell.array[2])
    np.testing.assert_allclose(shifted[~walls], energies[~walls], atol=1e-10)


def test_landscape_wants_a_guest_it_knows(landscape):
    potential, host, _ = landscape
    with pytest.raises(PotentialError, match="guest is 'Li'"):
        potential.landscape(host, guest="Li")
    with pytest.raises(PotentialError, match="give guest="):
        potential.landscape(host[[0, 3]])
    with pytest.raises(PotentialError, match="atom 0 is Xe"):
        potential.landscape(Atoms("Xe", cell=np.eye(3) * 6, pbc=True), guest="Cu")
    with pytest.raises(HostError, match="no atoms"):
        potential.landscape(Atoms(cell=np.eye(3) * 6, pbc=True), guest="Cu")
    with pytest.raises(PotentialError, match="wall_A"):
        potential.landscape(host, wall_A=-1)


# -- the shell


def test_the_shell_says_what_it_is_and_what_it_says(potential, tmp_path, capsys):
    potential.export_n2p2(tmp_path / "files", ("bohr", "hartree"))
    atoms = bulk("Cu", cubic=True)
    atoms.write(tmp_path / "cu.extxyz")
    assert main([str(tmp_path / "files"), str(tmp_path / "cu.extxyz"), "--units", "bohr,hartree"]) == 0
    text = capsys.readouterr().out
    assert "HDNNP of O, Cu" in text
    assert "units assumed of the files: bohr, hartree" in text
    printed = float(re.search(r"^energy (\S+) eV", text, re.MULTILINE).group(1))
    expected = potential.evaluate([read(tmp_path / "cu.extxyz")])[0].energy
    assert printed == pytest.approx(expected, abs=1e-8)  # ten decimals, through bohr and back
    assert "outside" in text
    assert main([str(tmp_path / "files"), "--functions"]) == 0
    assert "zeta" in capsys.readouterr().out
    assert main([str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_python_m_works(potential, tmp_path):
    potential.save(tmp_path / "p.nnp")
    done = subprocess.run(
        [sys.executable, "-m", "iondiff.potentials", str(tmp_path / "p.nnp")],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert isinstance(potential, HDNNP)
    assert "HDNNP of O, Cu" in done.stdout
