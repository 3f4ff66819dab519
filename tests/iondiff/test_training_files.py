"""Every kind of data file says the same: energies, forces and stresses of the same structures."""

import gzip

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.units import Bohr, GPa, Hartree

from iondiff.errors import TrainingError
from iondiff.training import read_structures
from iondiff.training.settings import DataSection

KBAR = 0.1 * GPa
SMEARING = 0.5  # eV between VASP's free energy and the one extrapolated to no smearing


@pytest.fixture
def frames():
    """Triclinic cells with random labels; the atoms of an element stand together, as in VASP's files."""
    generator = np.random.default_rng(4)
    made = []
    for _ in range(3):
        cell = 4.0 * np.eye(3) + 0.4 * generator.normal(size=(3, 3))
        atoms = Atoms("Cu2Au2", scaled_positions=generator.random((4, 3)), cell=cell, pbc=True)
        energy, forces, stress = (
            generator.normal(-12.0),
            generator.normal(size=(4, 3)),
            0.1 * generator.normal(size=6),
        )
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
        made.append(atoms)
    return made


def matrix(stress):
    return stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)


def vasprun(frames):
    """As VASP writes it: scaled positions, stress in kbar with the other sign, two energies."""

    def block(name, rows):
        lines = "".join(f"<v> {' '.join(f'{x:.9f}' for x in row)} </v>" for row in rows)
        return f'<varray name="{name}">{lines}</varray>'

    def structure(atoms):
        positions = block("positions", atoms.get_scaled_positions())
        return f"<crystal>{block('basis', atoms.cell.array)}</crystal>{positions}"

    steps = ""
    for atoms in frames:
        r = atoms.calc.results
        energies = (
            f'<energy><i name="e_fr_energy"> {r["energy"] - SMEARING:.8f} </i>'
            f'<i name="e_wo_entrp"> 0.0 </i><i name="e_0_energy"> {r["energy"]:.8f} </i></energy>'
        )
        steps += (
            f"<calculation><scstep>{energies}</scstep><structure>{structure(atoms)}</structure>"
            f"{block('forces', r['forces'])}{block('stress', -matrix(r['stress']) / KBAR)}{energies}</calculation>"
        )
    types = "".join(f"<rc><c>{symbol}</c><c>1</c></rc>" for symbol in frames[0].symbols)
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?><modeling><incar/><kpoints/><parameters/><atominfo>'
        f'<atoms>4</atoms><types>2</types><array name="atoms"><set>{types}</set></array></atominfo>'
        f'<structure name="initialpos">{structure(frames[0])}</structure>{steps}'
        f'<structure name="finalpos">{structure(frames[-1])}</structure></modeling>'
    )


def outcar(frames):
    """The lines that ASE looks for; shear components in VASP's order xy, yz, zx."""
    kinds = list(dict.fromkeys(frames[0].symbols))
    text = " vasp.6.3.0\n"
    text += "".join(f" POTCAR:    PAW_PBE {s} 01Jan2000\n" for s in [*kinds, *kinds])
    text += f"   ions per type =  {' '.join(str(list(frames[0].symbols).count(s)) for s in kinds)}\n"
    text += (
        "   ISPIN  =      1    spin polarized calculation?\n"
        "   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=    9\n"
        "  k-points in reciprocal lattice and weights: G\n  0.0 0.0 0.0  1.0\n"
        "  LNONCOLLINEAR =      F non collinear calculations\n"
    )
    for k, atoms in enumerate(frames):
        r = atoms.calc.results
        pressure = -r["stress"][[0, 1, 2, 5, 3, 4]] / KBAR
        text += (
            f"----- Iteration {k + 1:6d}(   1)  -----\n  in kB  {' '.join(f'{x:.6f}' for x in pressure)}\n"
        )
        text += "      direct lattice vectors                 reciprocal lattice vectors\n"
        text += "".join(f" {' '.join(f'{x:.9f}' for x in row)} 0.0 0.0 0.0\n" for row in atoms.cell.array)
        text += " POSITION                                       TOTAL-FORCE (eV/Angst)\n -----\n"
        text += "".join(
            f" {' '.join(f'{x:.8f}' for x in row)}\n" for row in np.hstack([atoms.positions, r["forces"]])
        )
        text += (
            " -----\n  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  -----\n"
            f"  free  energy   TOTEN  =  {r['energy'] - SMEARING:.8f} eV\n\n"
            f"  energy  without entropy=  0.0  energy(sigma->0) =  {r['energy']:.8f}\n"
        )
    return text


def input_data(frames):
    """n2p2's, in bohr and Hartree."""
    text = ""
    for atoms in frames:
        r = atoms.calc.results
        text += "begin\ncomment made for a test\n"
        text += "".join(f"lattice {' '.join(f'{x / Bohr:.12f}' for x in row)}\n" for row in atoms.cell.array)
        for position, symbol, force in zip(atoms.positions, atoms.symbols, r["forces"], strict=True):
            a, b = (" ".join(f"{x:.12f}" for x in v) for v in (position / Bohr, force * Bohr / Hartree))
            text += f"atom {a} {symbol} 0.0 0.0 {b}\n"
        text += f"energy {r['energy'] / Hartree:.12f}\ncharge 0.0\nend\n"
    return text


def write_file(path, frames):
    match path.name:
        case "vasprun.xml":
            path.write_text(vasprun(frames))
        case "OUTCAR":
            path.write_text(outcar(frames))
        case "input.data":
            path.write_text(input_data(frames))
        case "data.extxyz.gz":
            write(path.with_suffix(""), frames)
            path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
        case _:
            write(path, frames, **({"format": "extxyz"} if "xyz" in path.suffix else {}))


@pytest.mark.parametrize(
    "name",
    [
        "data.extxyz", "data.xyz", "data.extxyz.gz", "data.db", "data.json", "data.traj", "vasprun.xml", "OUTCAR",
        "input.data",
    ],
)  # fmt: skip
def test_the_same_data_in_several_files(tmp_path, frames, name):
    write_file(tmp_path / name, frames)
    found = read_structures(tmp_path / name, DataSection(units=("bohr", "hartree")))
    assert len(found) == 3
    for atoms, one in zip(frames, found, strict=True):
        r = atoms.calc.results
        assert one.energy == pytest.approx(r["energy"], abs=1e-7)
        np.testing.assert_allclose(one.forces, r["forces"], atol=1e-7)
        np.testing.assert_allclose(one.atoms.cell.array, atoms.cell.array, atol=1e-7)
        if name != "input.data":
            np.testing.assert_allclose(one.virial / atoms.get_volume(), r["stress"], atol=1e-6)


@pytest.mark.parametrize("name", ["vasprun.xml", "OUTCAR"])
def test_the_free_energy_of_a_smeared_calculation(tmp_path, frames, name):
    write_file(tmp_path / name, frames)
    found = read_structures(tmp_path / name, DataSection(energy_key="free_energy"))
    for atoms, one in zip(frames, found, strict=True):
        assert one.energy == pytest.approx(atoms.calc.results["energy"] - SMEARING, abs=1e-7)


def test_keys_of_a_database_come_along(tmp_path, frames):
    for name in ("data.db", "data.json"):
        with ase.db.connect(tmp_path / name) as database:
            for k, atoms in enumerate(frames):
                database.write(atoms, config_type="hot" if k else "cold", weight=2.0 + k)
        found = read_structures(tmp_path / name, DataSection())
        assert [s.config_type for s in found] == ["cold", "hot", "hot"]
        assert [s.weight for s in found] == [2.0, 3.0, 4.0]


def test_energies_and_forces_under_other_names(tmp_path, frames):
    bare = []
    for atoms in frames:
        copy = atoms.copy()
        copy.info["dft_energy"] = atoms.calc.results["energy"]
        copy.arrays["dft_forces"] = atoms.calc.results["forces"]
        copy.info["dft_stress"] = matrix(atoms.calc.results["stress"]).ravel()
        bare.append(copy)
    write(tmp_path / "data.extxyz", bare)
    section = DataSection(energy_key="dft_energy", forces_key="dft_forces", stress_key="dft_stress")
    for atoms, one in zip(frames, read_structures(tmp_path / "data.extxyz", section), strict=True):
        assert one.energy == pytest.approx(atoms.calc.results["energy"])
        np.testing.assert_allclose(one.forces, atoms.calc.results["forces"], atol=1e-7)
        np.testing.assert_allclose(one.virial / atoms.get_volume(), atoms.calc.results["stress"], atol=1e-7)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("OUTCAR", "nothing of VASP\n"),
        ("vasprun.xml", "<modeling>"),
        ("input.data", "begin\natom 1 2 x Cu\nend\n"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_file(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(TrainingError, match=name):
        read_structures(tmp_path / name, DataSection())
