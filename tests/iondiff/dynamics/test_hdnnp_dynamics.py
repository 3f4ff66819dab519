"""A real network in the compiled loop, its range watched, its files written for LAMMPS."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from iondiff.dynamics import MDUnstable, export_lammps, run
from iondiff.errors import DynamicsError
from iondiff.potentials import Committee
from iondiff.potentials.classical import ZBL, StillingerWeber, SumPotential
from iondiff.potentials.n2p2 import read_directory
from iondiff.potentials.n2p2_data import read_structures

ROOT = Path(__file__).parents[3]
FOLDERS = [parent / "shared" / "data" / "n2p2" / "cu2s_pbe" for parent in (ROOT.parent, ROOT.parents[1])]
FOLDER = next((folder for folder in FOLDERS if (folder / "input.nn").exists()), None)
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the n2p2 example potentials are not here")


@pytest.fixture(scope="module")
def potential():
    return read_directory(FOLDER)


@pytest.fixture(scope="module")
def atoms():
    return read_structures(FOLDER / "input.data")[0]


def test_the_network_runs_compiled_and_as_a_calculator_alike(potential, atoms):
    options = {"n_steps": 6, "temperature": 300.0, "every": 1, "seed": 2}
    compiled = run(atoms, potential, "nvt", 1.0, **options)
    assert compiled.neighbour_builds > 0
    unwrapped = run(atoms, potential.calculator(), "nvt", 1.0, **options)
    assert unwrapped.log.equals(compiled.log)
    committee = run(atoms, Committee((potential,)).calculator(), "nvt", 1.0, **options)
    assert committee.neighbour_builds > 0
    assert np.abs(committee.atoms.positions - compiled.atoms.positions).max() < 1e-9
    driven = run(atoms, potential.calculator(extrapolation="warn"), "nvt", 1.0, **options)
    assert driven.neighbour_builds == 0
    assert np.abs(driven.atoms.positions - compiled.atoms.positions).max() < 1e-9
    energies = compiled.log["conserved_eV"]
    assert np.ptp(energies) < 0.01 * np.ptp(compiled.log["kinetic_eV"])


def test_a_committee_s_calculator_is_unwrapped_in_its_own_precision(potential, atoms):
    committee = Committee((potential, potential))
    options = {"n_steps": 3, "temperature": 300.0, "every": 1, "seed": 2}
    compiled = run(atoms, committee, "nve", 1.0, **options)
    unwrapped = run(atoms, committee.calculator(), "nve", 1.0, **options)
    assert unwrapped.log.equals(compiled.log)
    mixed = run(atoms, committee.calculator(precision="mixed"), "nve", 1.0, **options)
    assert mixed.neighbour_builds > 0
    far = np.abs(mixed.atoms.positions - compiled.atoms.positions).max()
    assert 0 < far < 1e-5


def test_a_run_stops_where_the_network_was_not_trained(potential, atoms, tmp_path):
    squeezed = atoms.copy()
    squeezed.set_cell(atoms.cell.array * 0.9, scale_atoms=True)
    with pytest.raises(MDUnstable, match=r"symmetry functions are outside.*more than 0; the farthest: atom"):
        run(
            squeezed, potential, "nvt", 0.5, 5, 300.0, every=5, max_extrapolations=0, max_temperature=1e7,
            unstable_frames=tmp_path / "label.extxyz",
        )  # fmt: skip
    assert (tmp_path / "label.extxyz").exists()
    both = Committee((potential, potential))
    with pytest.raises(MDUnstable, match="symmetry functions are outside"):
        run(squeezed, both, "nvt", 0.5, 5, 300.0, every=5, max_extrapolations=0, max_temperature=1e7)
    with pytest.raises(DynamicsError, match="needs an HDNNP"):
        run(bulk("Si"), StillingerWeber(), n_steps=1, temperature=300.0, max_extrapolations=3)


def first_energy(atoms, potential):
    return run(atoms, potential, "nve", 1.0, 0).log["potential_eV"][0]


def test_a_core_can_be_added_under_the_network(potential, atoms):
    both = SumPotential(potential, ZBL(potential.species, 1.0, 1.8))
    plain = run(atoms, potential, "nve", 1.0, 2, every=1)
    cored = run(atoms, both, "nve", 1.0, 2, every=1)
    assert np.allclose(plain.log["potential_eV"], cored.log["potential_eV"], atol=1e-9)  # no pair is so near
    near = atoms.copy()
    near.positions[1] = near.positions[0] + [1.2, 0, 0]
    assert first_energy(near, both) > first_energy(near, potential) + 1.0


def test_the_export_for_lammps_holds_the_network(potential, atoms, tmp_path):
    script = export_lammps(tmp_path, atoms, potential, "npt", 1.0, 100, 300.0).read_text()
    assert f"pair_style hdnnp {potential.cutoff + 1e-3:.6f} dir potential/" in script
    assert "pair_coeff * * " + " ".join(potential.species) in script
    assert first_energy(atoms, read_directory(tmp_path / "potential")) == pytest.approx(
        first_energy(atoms, potential), abs=1e-8
    )
