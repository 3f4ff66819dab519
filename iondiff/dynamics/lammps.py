"""The same protocol for LAMMPS: data file, potential in n2p2's format, input script.

Thermostats become LAMMPS's own: ``"bussi"`` is ``fix temp/csvr``, ``"langevin"`` ``fix langevin``,
``"nose-hoover"``
``fix nvt``, a moving cell ``fix npt`` (same ensemble, deterministic cell). Random numbers differ, so that
stochastic runs agree in distribution; ``"nve"`` and ``"nose-hoover"`` agree step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ase import Atoms, units

from iondiff.dynamics._setup import check_structure, make_rules, make_state, mobile_atoms
from iondiff.dynamics.ensembles import Ensemble, as_ensemble
from iondiff.dynamics.runner import check_numbers, schedules
from iondiff.dynamics.schedules import Ramp
from iondiff.errors import DynamicsError
from iondiff.files import write_atomically
from iondiff.potentials.committee import Committee
from iondiff.potentials.compiled_calculator import species_indices

_FTM2V = 1.0 / 1.0364269e-4  # eV/Å/amu in Å/ps², as `units metal` of LAMMPS rounds it
_PS = 1000.0 * units.fs
_BAR = 1e4  # in a GPa
_MARGIN = 1e-3  # Å beyond the cutoff, for rounding in conversions


@runtime_checkable
class _Exportable(Protocol):
    species: tuple[str, ...]
    cutoff: float

    def export_n2p2(self, directory: str | Path, units: tuple[str, str] = ...) -> None: ...


def export_lammps(
    directory: str | Path,
    atoms: Atoms,
    potential: Any,
    ensemble: str | Ensemble = "nvt",
    timestep_fs: float = 1.0,
    n_steps: int | None = None,
    temperature: float | tuple[float, float] | Ramp | None = None,
    pressure_GPa: float | tuple[float, float] | Ramp = 0.0,
    seed: int = 0,
    every: int = 100,
    *,
    fix_centre_of_mass: bool = True,
    pair: Sequence[str] | None = None,
) -> Path:
    """Write ``structure.data``, ``potential/`` and ``in.lammps``, which repeat :func:`iondiff.dynamics.run`.

    Run it with ``lmp -in in.lammps`` in `directory`; ``pair_style hdnnp`` needs a LAMMPS with the package
    ML-HDNNP.

    Parameters
    ----------
    directory
        Made where absent.
    atoms, ensemble, timestep_fs, n_steps, temperature, pressure_GPa, seed, every, fix_centre_of_mass
        As of :func:`iondiff.dynamics.run`; the velocities written are those it would begin with.
    potential
        A potential with ``export_n2p2``: :class:`iondiff.potentials.HDNNP`, or a committee, whose mean becomes
        ``pair_style hybrid/scaled`` over its members; not needed with `pair`.
    pair
        LAMMPS commands that define other interactions instead.

    Returns
    -------
    Path
        Of the input script.

    Raises
    ------
    HostError, PotentialError, DynamicsError
        As :func:`iondiff.dynamics.run`, or the potential has no n2p2 format.
    """
    rules_of = as_ensemble(ensemble)
    check_structure(atoms, open_boundaries=False, moves_cell=rules_of.moves_cell)
    warm, squeezed = schedules(rules_of, temperature, pressure_GPa)
    steps = check_numbers(timestep_fs, n_steps, every, None, 1.0, 1.0, seed, warm, squeezed)
    length_ps = steps * timestep_fs * 1e-3
    rules = make_rules(
        atoms,
        rules_of,
        timestep_fs,
        length_ps,
        warm,
        squeezed,
        fix_centre_of_mass,
        (None, (0.0, math.inf), 1.0),
    )
    state = make_state(atoms, rules, float(rules.temperatures[0, 1]), seed)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    species = tuple(dict.fromkeys(atoms.get_chemical_symbols())) if pair else tuple(potential.species)
    if pair is None:
        if not isinstance(potential, _Exportable):
            raise DynamicsError(
                f"potential {type(potential).__name__} has no n2p2 format that LAMMPS could read; export an "
                "HDNNP or a committee of them, or pass pair=[...] with LAMMPS commands"
            )
        potential.export_n2p2(directory / "potential")
        pair = _interactions(potential)
    write_atomically(directory / "structure.data", _data(atoms, state.velocities * _PS, species))
    script = _script(
        atoms, rules_of, pair, timestep_fs, every, seed, fix_centre_of_mass,
        _segments(steps, timestep_fs, warm.rows(length_ps), squeezed.rows(length_ps)),
    )  # fmt: skip
    write_atomically(directory / "in.lammps", script)
    return directory / "in.lammps"


def _interactions(potential: _Exportable) -> list[str]:
    """Commands that read what `export_n2p2` wrote; of a committee the mean, by scaling each member."""
    style = (
        f"hdnnp {potential.cutoff + _MARGIN:.6f} dir {{}} showew no showewsum 1000 maxew 100000 resetew yes "
        "cflength 1.0 cfenergy 1.0"
    )
    symbols = " ".join(potential.species)
    if not isinstance(potential, Committee):
        return ["pair_style " + style.format("potential/"), f"pair_coeff * * {symbols}"]
    folders = [f"potential/member_{k + 1}/" for k in range(len(potential))]
    if len(folders) == 1:
        return ["pair_style " + style.format(folders[0]), f"pair_coeff * * {symbols}"]
    share = f"{1.0 / len(folders):.17g}"
    styles = " ".join(f"{share} {style.format(folder)}" for folder in folders)
    return [
        f"pair_style hybrid/scaled {styles}",
        *(f"pair_coeff * * hdnnp {k + 1} {symbols}" for k in range(len(folders))),
    ]


def lammps_frame(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower triangular cell with positive diagonal, and the matrix that turns row vectors into its frame."""
    turned, lower = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(lower))
    return np.tril(lower.T * signs), turned * signs


def _data(atoms: Atoms, velocities: np.ndarray, species: tuple[str, ...]) -> str:
    """LAMMPS data file, units metal, atom style atomic; all digits."""
    cell, turn = lammps_frame(np.asarray(atoms.cell.array))
    kinds = species_indices(atoms.get_chemical_symbols(), species) + 1
    masses: dict[int, float] = {}
    for kind, mass in zip(kinds, atoms.get_masses(), strict=True):
        if abs(masses.setdefault(int(kind), mass) - mass) > 1e-9:
            raise DynamicsError(
                f"atoms of {species[kind - 1]} have different masses ({masses[int(kind)]:g} and {mass:g} "
                "amu); LAMMPS takes one an element"
            )
    fractional = np.linalg.solve(np.asarray(atoms.cell.array).T, atoms.positions.T).T
    whole = np.floor(fractional).astype(int) * atoms.pbc
    inside = (atoms.positions - whole @ atoms.cell.array) @ turn
    # Times LAMMPS's rounded constant over the exact one: accelerations then agree to all digits.
    adjust = _FTM2V / _PS**2
    default = {k + 1: atoms.get_masses()[0] for k in range(len(species))}
    lines = [
        "Written by iondiff.dynamics.export_lammps; masses carry the 1e-8 by which LAMMPS rounds its units",
        "",
        f"{len(atoms)} atoms",
        f"{len(species)} atom types",
        "",
        *(f"0.0 {cell[k, k]:.17g} {name}lo {name}hi" for k, name in enumerate("xyz")),
        f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz",
        "",
        "Masses",
        "",
        *(f"{k} {(default | masses)[k] * adjust:.17g} # {species[k - 1]}" for k in sorted(default)),
        "",
        "Atoms # atomic",
        "",
        *(
            f"{i + 1} {kinds[i]} " + " ".join(f"{x:.17g}" for x in inside[i]) + " {} {} {}".format(*whole[i])
            for i in range(len(atoms))
        ),
        "",
        "Velocities",
        "",
        *(f"{i + 1} " + " ".join(f"{x:.17g}" for x in row) for i, row in enumerate(velocities @ turn)),
    ]
    return "\n".join(lines) + "\n"


def _segments(
    steps: int, timestep_fs: float, warm: np.ndarray, squeezed: np.ndarray
) -> list[tuple[int, float, float, float, float]]:
    """Pieces in which temperature and pressure are straight: steps, T and P at both ends."""
    length = steps * timestep_fs * 1e-3
    corners = {
        round(time * 1e3 / timestep_fs) for time in (*warm[:, 0], *squeezed[:, 0]) if 0 < time < length
    }
    edges = sorted({0, steps, *(corner for corner in corners if 0 < corner < steps)})
    pieces = []
    for begin, end in pairwise(edges):
        at = np.array([begin, end]) * timestep_fs * 1e-3
        pieces.append((end - begin, *np.interp(at, *warm.T), *np.interp(at, *squeezed.T)))
    return pieces


def _script(
    atoms: Atoms, ensemble: Ensemble, pair: Sequence[str], timestep_fs: float, every: int, seed: int,
    fix_centre_of_mass: bool, segments: list[tuple[int, float, float, float, float]],
) -> str:  # fmt: skip
    fixed = np.flatnonzero(~mobile_atoms(atoms)) + 1
    lines = [
        "# Written by iondiff.dynamics.export_lammps",
        "units metal",
        "atom_style atomic",
        "atom_modify map yes",
        "boundary " + " ".join("p" if flag else "f" for flag in atoms.pbc),
        "box tilt large",
        "read_data structure.data",
        *pair,
        "neighbor 0.6 bin",
        f"timestep {timestep_fs * 1e-3:.17g}",
        f"thermo {every}",
        "thermo_style custom step time temp pe ke etotal vol press",
        "thermo_modify format float %.15g",
    ]
    group = "all"
    if len(fixed):
        group = "mobile"
        lines += [
            "group fixed id " + " ".join(map(str, fixed)),
            "group mobile subtract all fixed",
            "fix hold fixed setforce 0.0 0.0 0.0",
            "velocity fixed set 0.0 0.0 0.0",
            "compute warm mobile temp",
            "thermo_modify temp warm",
        ]
    lines += [
        f"dump frames all custom {every} trajectory.lammpstrj id type xu yu zu",
        "dump_modify frames sort id format float %.10g",
    ]
    for number, piece in enumerate(segments):
        names, commands = _fixes(ensemble, group, piece, seed + number + 1)
        if fix_centre_of_mass and ensemble.thermostat == "langevin" and not len(fixed):
            commands[-1] += " zero yes"
        lines += ["", *commands, f"run {piece[0]}", *(f"unfix {name}" for name in names)]
    return "\n".join(lines) + "\n"


def _fixes(
    ensemble: Ensemble, group: str, piece: tuple[int, float, float, float, float], seed: int
) -> tuple[list[str], list[str]]:
    _, t0, t1, p0, p1 = piece
    heat = f"{t0:.12g} {t1:.12g} {ensemble.thermostat_fs * 1e-3:.12g}"
    if ensemble.moves_cell:
        style = {"isotropic": "iso", "anisotropic": "aniso", "flexible": "tri"}[ensemble.cell]
        press = f"{p0 * _BAR:.12g} {p1 * _BAR:.12g} {ensemble.barostat_fs * 1e-3:.12g}"
        return ["run"], [f"fix run {group} npt temp {heat} {style} {press}"]
    if ensemble.thermostat == "nose-hoover":
        return ["run"], [f"fix run {group} nvt temp {heat}"]
    move = f"fix run {group} nve"
    if ensemble.thermostat == "bussi":
        return ["run", "bath"], [move, f"fix bath {group} temp/csvr {heat} {seed}"]
    if ensemble.thermostat == "langevin":
        return ["run", "bath"], [move, f"fix bath {group} langevin {heat} {seed}"]
    return ["run"], [move]
