"""n2p2's files: the numbers that n2p2 gets, and a sentence with file and line for every malformed one."""

from dataclasses import replace
from pathlib import Path

import ase.units
import numpy as np
import pytest

from iondiff.descriptors import Descriptor
from iondiff.errors import PotentialError
from iondiff.potentials import load
from iondiff.potentials._n2p2_functions import read_functions
from iondiff.potentials._n2p2_text import Settings
from iondiff.potentials.n2p2 import read_directory
from iondiff.potentials.n2p2_data import read_structures, write_structures
from iondiff.potentials.n2p2_export import write_directory
from iondiff.potentials.structure import surroundings
from iondiff.potentials.torch_path import TorchHDNNP
from tests.iondiff.hdnnp_makers import answers, random_potential, random_structure, shared

ANSWERS = answers()


def unpacked(name, folder):
    for file, text in ANSWERS[name]["files"].items():
        (folder / file).write_text(text)
    return folder


@pytest.fixture
def toy(tmp_path):
    return unpacked("cutoff1", tmp_path)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("method", ["compiled", "torch"])
def test_every_function_cutoff_scaling_and_activation_as_n2p2(name, method, tmp_path):
    """Types 2, 3, 9, 12, 13, 20 to 25, cutoffs 0 to 8, every scaling, every activation.

    The second structure is a cell smaller than the cutoff. There n2p2's forces are not the derivative of its
    energy (0.01153 eV/Å, numerically 0.01415, for the first atom of "cutoff5"), and its polynomial
    functions drop triples that lie exactly on a line, so only the energies of the others are compared.
    """
    directory = unpacked(name, tmp_path)
    structures = read_structures(directory / "input.data")
    found = load(directory).evaluate(structures, method=method)
    for k, (ours, theirs) in enumerate(zip(found, ANSWERS[name]["n2p2"], strict=True)):
        if k != 1 or name.startswith("cutoff"):
            assert ours.energy == pytest.approx(theirs["energy"], rel=1e-12, abs=1e-12)
        if k != 1:
            size = max(1.0, np.abs(theirs["forces"]).max())
            np.testing.assert_allclose(ours.forces, theirs["forces"], atol=1e-12 * size)


def test_water_as_n2p2():
    """Energies and forces of n2p2 itself."""
    directory = shared("n2p2") / "h2o_rpbe-d3"
    units = ("bohr", "hartree")
    reference = np.load(directory / "reference.npz")
    potential = load(directory, units=units)
    for k, atoms in enumerate(read_structures(directory / "input.data", units)):
        atoms.calc = potential.calculator()
        energy = atoms.get_potential_energy() / ase.units.Hartree
        assert energy == pytest.approx(reference["energy"][k], rel=1e-12)
        forces = atoms.get_forces() * ase.units.Bohr / ase.units.Hartree
        np.testing.assert_allclose(forces, reference[f"s{k}_forces"], atol=1e-11)


def test_symmetry_functions_of_water_one_by_one():
    directory = shared("n2p2") / "h2o_rpbe-d3"
    units = ("bohr", "hartree")
    reference = np.load(directory / "reference.npz")
    potential = load(directory, units=units)
    atoms = read_structures(directory / "input.data", units)[1]
    around = surroundings(atoms, potential.species, potential.cutoff)
    energies, forces, _, raw = TorchHDNNP(potential).evaluate([around])[0]
    assert energies.sum() / ase.units.Hartree == pytest.approx(reference["energy"][1], rel=1e-12)
    forces *= ase.units.Bohr / ase.units.Hartree
    np.testing.assert_allclose(forces, reference["s1_forces"], atol=1e-11)
    for element, G in zip(potential.descriptor.elements, raw, strict=True):
        np.testing.assert_allclose(G, reference[f"s1_G_raw_{element.centre}"], rtol=1e-10, atol=1e-13)
        scaled = (G - element.scaling.shift) * element.scaling.factor
        np.testing.assert_allclose(scaled, reference[f"s1_G_scaled_{element.centre}"], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "units", "energy_error", "force_error"),
    [
        ("cu2s_pbe", ("Angstrom", "eV"), 0.5e-3, 0.05),
        ("dmabn_scan", ("bohr", "hartree"), 1e-3, 0.1),
        ("h2o_rpbe-d3", ("bohr", "hartree"), 3e-3, 0.1),
        ("lj_ne", ("Angstrom", "eV"), 5e-3, 1.0),
    ],
)
def test_the_potentials_are_as_good_as_their_makers_say(name, units, energy_error, force_error):
    """Errors against DFT of fitted quality: a wrong scaling or cutoff would be off by far more."""
    directory = shared("n2p2") / name
    structures = read_structures(directory / "input.data", units)
    found = load(directory, units=units).evaluate(structures)
    for answer, atoms in zip(found, structures, strict=True):
        assert abs(answer.energy - atoms.get_potential_energy()) / len(atoms) < energy_error
        assert np.sqrt(np.mean((answer.forces - atoms.get_forces()) ** 2)) < force_error


@pytest.mark.parametrize("name", ["cutoff3", "p2a"])
@pytest.mark.parametrize("units", [("Angstrom", "eV"), ("bohr", "hartree")])
def test_export_and_back_gives_the_same_numbers(name, units, tmp_path):
    directory = unpacked(name, tmp_path)
    potential = load(directory)
    potential.export_n2p2(tmp_path / "again", units)
    again = load(tmp_path / "again", units)
    assert again.units == units
    atoms = random_structure(potential.species * 4)
    first, second = potential.evaluate([atoms])[0], again.evaluate([atoms])[0]
    assert second.energy == pytest.approx(first.energy, rel=1e-13)
    np.testing.assert_allclose(second.forces, first.forces, atol=1e-12)


def test_export_sorts_functions_as_n2p2_does(tmp_path):
    """Inputs of the network move with their functions."""
    potential = random_potential()
    elements, networks = [], []
    for element, network in zip(potential.descriptor.elements, potential.networks, strict=True):
        order = np.random.default_rng(3).permutation(len(element))
        statistics = {n: getattr(element.scaling, n)[order] for n in ("minimum", "maximum", "mean", "sigma")}
        shuffled = replace(element.scaling, **statistics)
        elements.append(
            replace(element, functions=tuple(element.functions[k] for k in order), scaling=shuffled)
        )
        networks.append(replace(network, weights=(network.weights[0][order], *network.weights[1:])))
    other = replace(potential, descriptor=Descriptor(tuple(elements)), networks=tuple(networks))
    write_directory(other, tmp_path)
    atoms = random_structure("CuOOCuO")
    wanted = potential.evaluate([atoms])[0].energy
    assert other.evaluate([atoms])[0].energy == pytest.approx(wanted, rel=1e-12)
    assert read_directory(tmp_path).evaluate([atoms])[0].energy == pytest.approx(wanted, rel=1e-12)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def append(path, text):
    path.write_text(path.read_text().rstrip("\n") + "\n" + text)


def cut(path, count):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:count]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "input.nn").unlink(), "cannot be read: it has no input.nn"),
        (lambda d: (d / "scaling.data").unlink(), r"scaling.data cannot be read"),
        (lambda d: (d / "weights.029.data").unlink(), r"weights.029.data cannot be read"),
        (lambda d: cut(d / "weights.029.data", 20), r"weights.029.data ends after 20 weights and biases"),
        (lambda d: append(d / "weights.029.data", "1.0\n"), r"weights.029.data, line \d+: more than"),
        (
            lambda d: edit(d / "weights.016.data", "-", "x"),
            r"weights.016.data, line \d+: a weight is 'x.*number",
        ),
        (lambda d: cut(d / "scaling.data", 8), r"scaling.data has 7 lines .* input.nn 20"),
        (lambda d: append(d / "scaling.data", "3 1 0 1 0.5 1\n"), r"scaling.data, line 22: more lines"),
        (
            lambda d: edit(d / "scaling.data", "2 3 ", "2 4 "),
            r"line 14: element 2, function 4; wanted element 2",
        ),
        (lambda d: edit(d / "scaling.data", "1 1 ", "1 1 nan "), r"scaling.data, line 2"),
        (lambda d: edit(d / "input.nn", "elements S Cu", "elements S Cux"), r"input.nn, line 2: 'Cux'"),
        (lambda d: edit(d / "input.nn", "of_elements 2", "of_elements 3"), r"number_of_elements is 3"),
        (lambda d: edit(d / "input.nn", "cutoff_type 1", "cutoff_type 9"), r"line 3: cutoff_type 9"),
        (lambda d: edit(d / "input.nn", "cutoff_type 1", "cutoff_type one"), r"line 3: cutoff_type is 'one'"),
        (lambda d: edit(d / "input.nn", "cutoff_type", "#"), r"no keyword cutoff_type"),
        (
            lambda d: edit(d / "input.nn", "nodes_short 4 3", "nodes_short 4"),
            r"line 5: 1 numbers of nodes for S",
        ),
        (
            lambda d: edit(d / "input.nn", "activation_short p", "activation_short q"),
            r"activation 'q' is not known",
        ),
        (lambda d: edit(d / "input.nn", "mean_energy", "#"), r"but not mean_energy; wanted all or none"),
        (lambda d: edit(d / "input.nn", " 2 S", " 7 S"), r"type 7 is not known"),
        (lambda d: edit(d / "input.nn", " 2 S", " 2 H"), r"element 'H' is not among the elements"),
        (lambda d: append(d / "input.nn", "symfunction_short S 2 S 1.0 0.0\n"), r"has 2 parameters"),
        (lambda d: append(d / "input.nn", "symfunction_short S 2 S 1 0 -3\n"), r"cutoff is -3"),
        (lambda d: append(d / "input.nn", "nnp_type 4G-HDNNP\n"), r"only short-range potentials"),
        (lambda d: append(d / "input.nn", "cutoff_type 2\n"), r"cutoff_type stands here and in line 3"),
        (lambda d: (d / "input.nn").write_bytes(b"\xff\xfe\x00"), r"input.nn cannot be read"),
    ],
)
def test_malformed_files_have_an_address(toy, damage, message):
    damage(toy)
    with pytest.raises(PotentialError, match=message):
        load(toy)


def test_weights_of_another_shape_are_told_by_their_letters(toy):
    potential = load(toy)
    potential.export_n2p2(toy)
    edit(toy / "input.nn", "nodes_short 4 3", "nodes_short 3 4")
    with pytest.raises(PotentialError, match=r"belongs to a network of another shape|ends after|more than"):
        load(toy)


def test_a_function_that_never_varied_cannot_be_scaled(tmp_path):
    directory = unpacked("cutoff0", tmp_path)
    lines = (directory / "scaling.data").read_text().splitlines()
    words = lines[1].split()
    words[3] = words[2]
    lines[1] = " ".join(words)
    (directory / "scaling.data").write_text("\n".join(lines))
    with pytest.raises(PotentialError, match=r"scaling.data, line 2: .*function 1 never varied"):
        load(directory)


@pytest.mark.parametrize("units", [("bohr",), ("inch", "eV"), "bohr", None, ("eV", "bohr")])
def test_units_that_are_none(toy, units):
    with pytest.raises(PotentialError, match="units are"):
        load(toy, units=units)


def test_runner_s_short_forms_are_written_out(toy):
    lines = [t for t in (toy / "input.nn").read_text().splitlines() if not t.startswith("symfunction")]
    text = "\n".join(
        [*lines, "global_symfunction_short 2 0.5 0.0 5.0", "element_symfunction_short Cu 3 0.1 1 2 5"]
    )
    (toy / "input.nn").write_text(text)
    functions = read_functions(Settings(toy / "input.nn"), ("S", "Cu"), 1.0)
    found = [(f.centre, f.kind, f.neighbours) for f in functions]
    wanted = [("Cu", "G4", pair) for pair in (("S", "S"), ("S", "Cu"), ("Cu", "Cu"))]
    wanted += [(c, "G2", (n,)) for c in ("S", "Cu") for n in ("S", "Cu")]
    assert found == wanted


def test_structures_written_and_read(tmp_path):
    periodic, molecule = random_structure("CuOOCu"), random_structure("OOCu", pbc=False)
    molecule.cell[:] = 0
    potential = random_potential()
    for atoms in (periodic, molecule):
        atoms.calc = potential.calculator()
        atoms.info["comment"] = "made  by a test"
    units = ("bohr", "hartree")
    write_structures(tmp_path / "input.data", [periodic, molecule], units)
    for found, atoms in zip(
        read_structures(tmp_path / "input.data", units), (periodic, molecule), strict=True
    ):
        assert found.get_chemical_symbols() == atoms.get_chemical_symbols()
        np.testing.assert_allclose(found.positions, atoms.positions, atol=1e-14)
        np.testing.assert_allclose(found.cell.array, atoms.cell.array, atol=1e-14)
        np.testing.assert_allclose(found.get_forces(), atoms.get_forces(), atol=1e-13)
        assert found.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-14)
        assert found.info["comment"] == "made by a test"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("begin\natom 0 0 0 H 0 0 0 0 0\nenergy 1\n", "line 1: the structure that begins here has no end"),
        ("atom 0 0 0 H 0 0 0 0 0\n", "line 1: 'atom' outside a structure"),
        ("begin\nbegin\n", "line 2: a structure begins before"),
        ("begin\natom 0 0 0 H\nenergy 1\nend\n", "line 2: an atom has 4 columns"),
        ("begin\natom 0 0 x H 0 0 0 0 0\nenergy 1\nend\n", "line 2: an atom is 'x'"),
        ("begin\natom 0 0 0 Xx 0 0 0 0 0\nenergy 1\nend\n", "line 2: 'Xx' is no chemical symbol"),
        ("begin\nlattice 1 0 0\natom 0 0 0 H 0 0 0 0 0\nenergy 1\nend\n", "line 1: 1 lattice vectors"),
        ("begin\natom 0 0 0 H 0 0 0 0 0\nend\n", "line 1: 1 atoms and no energy"),
        ("begin\nhello\nend\n", "line 2: keyword 'hello' is not known"),
    ],
)
def test_malformed_structures_have_an_address(tmp_path, text, message):
    Path(tmp_path / "input.data").write_text(text)
    with pytest.raises(PotentialError, match=message):
        read_structures(tmp_path / "input.data")
