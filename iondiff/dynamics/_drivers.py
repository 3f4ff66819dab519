"""Who computes the forces: a compiled potential in the compiled loop, or an ASE calculator from Python."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol, runtime_checkable

import numba
import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import PropertyNotImplementedError

from iondiff.dynamics import _loop
from iondiff.dynamics._integrators import FINE, POTENTIAL, Rules, State, first_half, second_half
from iondiff.errors import CalculatorError, DynamicsError
from iondiff.neighbours import neighbour_table, stretched
from iondiff.potentials.calculator import PotentialCalculator
from iondiff.potentials.compiled import CompiledPotential
from iondiff.potentials.compiled_calculator import CompiledCalculator, species_indices


@runtime_checkable
class Compilable(Protocol):
    """A potential that compiled code can call; see :mod:`iondiff.potentials.compiled`."""

    species: tuple[str, ...]
    cutoff: float

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters."""
        ...


class Driver(Protocol):
    """What the runner asks of a source of forces."""

    longest_call: int  # steps
    has_pressure: bool

    def identity(self) -> str: ...
    def begin(self, state: State) -> None: ...
    def evaluate(self, state: State) -> None: ...
    def memory(self) -> dict[str, np.ndarray]: ...
    def recall(self, memory: dict[str, np.ndarray]) -> None: ...
    def advance(
        self, state: State, rules: Rules, steps: int, log_every: int, log: np.ndarray
    ) -> tuple[int, int]: ...


class CompiledDriver:
    """Everything stays in compiled code for `steps` steps.

    Parameters
    ----------
    potential
        Compiled potential.
    atoms
        For species and boundary.
    skin
        Å.
    """

    longest_call = 1_000_000_000
    has_pressure = True

    def __init__(self, potential: Compilable, atoms: Atoms, skin: float) -> None:
        self.potential = potential
        self.kernel, integers, reals = potential.compiled()
        self.integers = np.ascontiguousarray(integers, dtype=np.int64)
        self.reals = np.ascontiguousarray(reals, dtype=np.float64)
        self.species = species_indices(atoms.get_chemical_symbols(), tuple(potential.species))
        self.near = _loop.Near(
            np.ascontiguousarray(atoms.positions).copy(),
            np.ascontiguousarray(atoms.cell.array).copy(),
            np.ascontiguousarray(atoms.pbc),
            np.array([float(potential.cutoff), float(skin)]),
            np.ones(1, np.int64),
        )
        self.table = self._table()

    def _table(self) -> _loop.Table:
        near = self.near
        return _loop.Table(
            *neighbour_table(near.reference, near.reference_cell, near.pbc, near.ranges[0] + near.ranges[1])
        )

    def identity(self) -> str:
        """Digest of the potential and the list; the number of threads, which changes no bit, is left out."""
        threads = numba.get_num_threads()
        try:
            numba.set_num_threads(1)
            _, integers, reals = self.potential.compiled()
        finally:
            numba.set_num_threads(threads)
        parts = np.asarray(integers, np.int64), np.asarray(reals, np.float64), self.near.ranges
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def begin(self, state: State) -> None:
        """Forces of the first configuration."""
        state.scalars[POTENTIAL] = self.kernel(
            state.positions, state.cell, self.species, *self.table, self.integers, self.reals,
            state.forces, state.energies, state.virial,
        )  # fmt: skip

    def evaluate(self, state: State) -> None:
        """Forces of any configuration, from a list made anew where the old one is stale."""
        near = self.near
        if stretched(state.positions, near.reference, state.cell, near.reference_cell, *near.ranges):
            self.recall({
                "reference": state.positions, "reference_cell": state.cell, "builds": near.builds + 1,
            })  # fmt: skip
        self.begin(state)

    def memory(self) -> dict[str, np.ndarray]:
        """Where the neighbour list was made: the order of its entries decides the last bits of the forces."""
        return {
            "reference": self.near.reference.copy(),
            "reference_cell": self.near.reference_cell.copy(),
            "builds": self.near.builds.copy(),
        }

    def recall(self, memory: dict[str, np.ndarray]) -> None:
        """Make the same list again."""
        self.near.reference[:] = memory["reference"]
        self.near.reference_cell[:] = memory["reference_cell"]
        self.near.builds[:] = memory["builds"]
        self.table = self._table()

    def advance(
        self, state: State, rules: Rules, steps: int, log_every: int, log: np.ndarray
    ) -> tuple[int, int]:
        """See :func:`iondiff.dynamics._loop.advance`."""
        status, rows, table = _loop.advance(
            self.kernel, self.integers, self.reals, self.species, state, rules, self.near, self.table,
            steps, log_every, log,
        )  # fmt: skip
        self.table = _loop.Table(*table)
        return int(status), int(rows)


class CalculatorDriver:
    """The same half steps, with an ASE calculator between them.

    Parameters
    ----------
    calculator
        Any ASE calculator with energy and forces.
    atoms
        The system.
    needs_stress
        Whether the cell moves.
    """

    longest_call = 10  # steps repeated at most to find the last good frame

    def __init__(self, calculator: Any, atoms: Atoms, needs_stress: bool) -> None:
        self.atoms = atoms.copy()
        self.atoms.set_constraint()
        self.atoms.calc = calculator
        self.needs_stress = needs_stress
        self.has_pressure = self.atoms.cell.rank == 3
        self.name = type(calculator).__name__

    def identity(self) -> str:
        """The name of the calculator; what else it is made of cannot be seen from here."""
        return self.name

    def begin(self, state: State) -> None:
        """Forces of the first configuration."""
        self._forces(state, stress=self.has_pressure)

    def evaluate(self, state: State) -> None:
        """Forces of any configuration."""
        self._forces(state, stress=False)

    def memory(self) -> dict[str, np.ndarray]:
        """Nothing of its own."""
        return {}

    def recall(self, memory: dict[str, np.ndarray]) -> None:
        """Nothing to do."""

    def _forces(self, state: State, stress: bool) -> None:
        self.atoms.positions[:] = state.positions
        self.atoms.cell[:] = state.cell
        try:
            state.forces[:] = self.atoms.get_forces()
            state.scalars[POTENTIAL] = self.atoms.get_potential_energy()
            if stress:
                state.virial[:] = self.atoms.get_stress(voigt=False) * self.atoms.get_volume()
        except PropertyNotImplementedError as error:
            if self.needs_stress:
                raise DynamicsError(
                    f"calculator {self.name} has no stress, which a cell that moves needs; "
                    "use an ensemble with a fixed cell"
                ) from error
            self.has_pressure = False
        except Exception as error:
            raise CalculatorError(
                f"calculator {self.name} failed at step {int(state.counter[0]) + 1} "
                f"({type(error).__name__}: {error})"
            ) from error

    def advance(
        self, state: State, rules: Rules, steps: int, log_every: int, log: np.ndarray
    ) -> tuple[int, int]:
        """As the compiled loop does it."""
        rows = 0
        for _ in range(steps):
            status = first_half(state, rules)
            if status != FINE:
                return int(status), rows
            due = (state.counter[0] + 1) % log_every == 0
            self._forces(state, stress=self.needs_stress or (due and self.has_pressure))
            status = second_half(state, rules)
            if due:
                _loop.write_row(log, rows, state, rules)
                rows += 1
            if status != FINE:
                return int(status), rows
        return FINE, rows


def make_driver(source: Any, atoms: Atoms, skin: float, needs_stress: bool) -> Driver:
    """A driver for a compiled potential or a calculator; our own calculators are unwrapped.

    Raises
    ------
    DynamicsError
        Neither of them.
    """
    if source is None:
        source = atoms.calc
    if isinstance(source, CompiledCalculator):
        source = source.potential
    elif isinstance(source, PotentialCalculator) and source.plan is not None:
        source = source.plan
    if isinstance(source, Compilable):
        return CompiledDriver(source, atoms, skin)
    if isinstance(source, GetPropertiesMixin):
        return CalculatorDriver(source, atoms, needs_stress)
    raise DynamicsError(
        f"potential is {type(source).__name__}; wanted a compiled potential (species, cutoff, compiled()) or "
        "an ASE calculator, here or as atoms.calc"
    )
