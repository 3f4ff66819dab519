"""``input.data`` of n2p2 and RuNNer: structures with energies and forces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers

from iondiff.errors import PotentialError
from iondiff.files import write_atomically
from iondiff.potentials._n2p2_text import fail, number, read_lines, unit_factors


def read_structures(path: str | Path, units: tuple[str, str] = ("Angstrom", "eV")) -> list[Atoms]:
    """All structures of an ``input.data``, in Å and eV.

    Parameters
    ----------
    units
        Of the file, which does not say so: a length and an energy.

    Returns
    -------
    list of Atoms
        Energies and forces in a single-point calculator, charges as initial charges, the comment in
        ``info["comment"]``.

    Raises
    ------
    PotentialError
        With file and line.
    """
    path = Path(path)
    length, energy = unit_factors(units)
    structures: list[Atoms] = []
    block: list[tuple[list[str], int]] | None = None
    for line, text in enumerate(read_lines(path, "structure file"), start=1):
        words = text.split()
        if not words:
            continue
        if words[0] == "begin":
            if block is not None:
                fail(path, line, f"a structure begins before that of line {block[0][1]} ends")
            block = [(words, line)]
        elif block is None:
            fail(path, line, f"{words[0]!r} outside a structure; wanted begin")
        elif words[0] == "end":
            structures.append(_structure(block, path, length, energy))
            block = None
        else:
            block.append((words, line))
    if block is not None:
        fail(path, block[0][1], "the structure that begins here has no end; the file may be cut off")
    return structures


def _structure(  # noqa: C901 - one branch a keyword
    block: list[tuple[list[str], int]], path: Path, length: float, energy: float
) -> Atoms:
    start = block[0][1]
    lattice: list[list[float]] = []
    symbols: list[str] = []
    rows: list[list[float]] = []
    info: dict[str, str] = {}
    total = None
    for words, line in block[1:]:
        if words[0] == "lattice":
            lattice.append(_numbers(words[1:], 3, path, line, "a lattice vector"))
        elif words[0] == "atom":
            if len(words) != 10:
                fail(
                    path,
                    line,
                    f"an atom has {len(words) - 1} columns; wanted x y z element charge 0 fx fy fz",
                )
            if atomic_numbers.get(words[4], 0) == 0:
                fail(path, line, f"{words[4]!r} is no chemical symbol")
            symbols.append(words[4])
            rows.append(_numbers(words[1:4] + words[5:6] + words[7:10], 7, path, line, "an atom"))
        elif words[0] == "energy":
            (total,) = _numbers(words[1:], 1, path, line, "energy")
        elif words[0] == "charge":
            _numbers(words[1:], 1, path, line, "charge")
        elif words[0] == "comment":
            info["comment"] = " ".join(words[1:])
        else:
            fail(
                path,
                line,
                f"keyword {words[0]!r} is not known; wanted lattice, atom, energy, charge, comment",
            )
    if len(lattice) not in (0, 3):
        fail(path, start, f"{len(lattice)} lattice vectors; wanted none or three")
    if total is None or not rows:
        fail(path, start, f"{len(rows)} atoms and {'no' if total is None else 'an'} energy; wanted both")
    table = np.array(rows)
    cell = np.array(lattice) * length if lattice else None
    atoms = Atoms(
        symbols, table[:, :3] * length, cell=cell, pbc=bool(lattice), charges=table[:, 3], info=info
    )
    atoms.calc = SinglePointCalculator(
        atoms, energy=total * energy, free_energy=total * energy, forces=table[:, 4:] * energy / length
    )
    return atoms


def _numbers(words: list[str], count: int, path: Path, line: int, what: str) -> list[float]:
    if len(words) < count:
        fail(path, line, f"{what} has {len(words)} numbers; wanted {count}")
    return [number(word, path, line, what) for word in words[:count]]


def write_structures(
    path: str | Path, structures: Sequence[Atoms], units: tuple[str, str] = ("Angstrom", "eV")
) -> None:
    """Write structures with their energies and forces; :func:`read_structures` reads them back.

    Raises
    ------
    PotentialError
        A structure without energy or forces, or periodic in one or two directions only.
    """
    length, energy = unit_factors(units)
    lines = []
    for k, atoms in enumerate(structures):
        if atoms.pbc.any() and not atoms.pbc.all():
            raise PotentialError(
                f"structure {k} is periodic in some directions only; the format holds all or none"
            )
        try:
            total, forces = atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False)
        except (RuntimeError, PropertyNotImplementedError) as error:
            raise PotentialError(f"structure {k} has no energy and forces; wanted both ({error})") from error
        lines.append("begin")
        if "comment" in atoms.info:
            lines.append("comment " + " ".join(str(atoms.info["comment"]).split()))
        if atoms.pbc.all():
            lines += ["lattice " + _row(vector / length) for vector in atoms.cell.array]
        charges = atoms.get_initial_charges()
        for symbol, r, q, f in zip(atoms.symbols, atoms.positions, charges, forces, strict=True):
            lines.append(f"atom {_row(r / length)} {symbol} {_row([q, 0.0])} {_row(f * length / energy)}")
        lines += [f"energy {_row([total / energy])}", f"charge {_row([charges.sum()])}", "end"]
    write_atomically(path, "\n".join(lines) + "\n")


def _row(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{value:23.16E}" for value in values)
