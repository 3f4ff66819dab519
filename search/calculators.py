"""Any ASE calculator as a force on the moving atoms of one structure: counted, journalled, batched."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from search.errors import SearchError
from search.journal import Journal
from search.landscape import Progress
from search.lattice import Floats, Ints

Batch = Callable[[list[Atoms]], tuple[Floats, Floats]]
"""Many structures -> energies (n,), eV, and forces (n, n_atoms, 3), eV/Å."""


class Evaluations:
    """Positions of the moving atoms of `template`, flattened, -> energies and gradients.

    Parameters
    ----------
    template:
        the structure; its FixAtoms stay where they are, any other constraint is refused.
    calculator:
        any ASE calculator; not used where `batch` computes many images in one call.
    checkpoint:
        a file (or an open Journal) of finished evaluations; nothing in it is computed again.
    progress:
        called as progress(stage, evaluations so far, 0) after every call.
    """

    def __init__(
        self,
        template: Atoms,
        calculator: Any,  # any ASE calculator
        batch: Batch | None = None,
        checkpoint: str | Path | Journal | None = None,
        progress: Progress | None = None,
    ) -> None:
        if calculator is None and batch is None:
            raise SearchError("calculator is None; wanted an ASE calculator, such as ase's EMT() for metals.")
        self.moving = moving_atoms(template)
        self.base: Atoms = template.copy()  # type: ignore[no-untyped-call]
        self.base.set_constraint()
        self.calculator, self.batch, self.progress = calculator, batch, progress
        self.computed = 0
        self.asked = 0
        self._own = isinstance(checkpoint, str | Path)
        self.journal = Journal(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint

    def __call__(self, x: Floats, stage: str = "evaluate") -> tuple[Floats, Floats]:
        """Positions (n, 3k), Å, of the k moving atoms -> energies (n,), eV, gradients (n, 3k), eV/Å."""
        images = self.structures(x)
        answers: list[tuple[float, Floats] | None] = [None] * len(images)
        if self.journal is not None:
            answers = [self._stored(self.journal, atoms) for atoms in images]
        todo = [number for number, answer in enumerate(answers) if answer is None]
        step = len(todo) if self.batch is not None else 1
        for first in range(0, len(todo), max(step, 1)):
            part = todo[first : first + step]
            for number, answer in zip(part, self._compute([images[n] for n in part], part), strict=True):
                answers[number] = answer
                if self.journal is not None:
                    self.journal.put(images[number], *answer)
        self.asked += len(images)
        if self.progress is not None:
            self.progress(stage, self.asked, 0)
        whole = [answer for answer in answers if answer is not None]
        energies = np.array([energy for energy, _ in whole])
        forces = np.array([forces for _, forces in whole]).reshape(len(x), len(self.base), 3)
        return energies, -forces[:, self.moving].reshape(len(x), -1)

    def _stored(self, journal: Journal, atoms: Atoms) -> tuple[float, Floats] | None:
        found = journal.get(atoms)
        if found is not None and not journal.checked:
            journal.check(found[0], self._compute([atoms], [0])[0][0])
        return found

    def structures(self, x: Floats) -> list[Atoms]:
        """The structures (n) with the moving atoms at x (n, 3k), Å."""
        made = []
        for row in x:
            atoms: Atoms = self.base.copy()  # type: ignore[no-untyped-call]
            atoms.positions[self.moving] = row.reshape(-1, 3)
            made.append(atoms)
        return made

    def _compute(self, images: list[Atoms], numbers: list[int]) -> list[tuple[float, Floats]]:
        self.computed += len(images)
        if self.batch is not None:
            try:
                energies, forces = self.batch(images)
            except Exception as error:
                raise SearchError(
                    f"batch raised {type(error).__name__} for {len(images)} images: {error}"
                ) from error
            energies, forces = np.asarray(energies, dtype=float), np.asarray(forces, dtype=float)
            if energies.shape != (len(images),) or forces.shape != (len(images), len(self.base), 3):
                raise SearchError(
                    f"batch returned shapes {energies.shape} and {forces.shape} for {len(images)} images of "
                    f"{len(self.base)} atoms; wanted ({len(images)},) eV and "
                    f"({len(images)}, {len(self.base)}, 3) eV/Å."
                )
            return [(float(e), f) for e, f in zip(energies, forces, strict=True)]
        return [self._one(atoms, number, len(numbers)) for atoms, number in zip(images, numbers, strict=True)]

    def _one(self, atoms: Atoms, number: int, of: int) -> tuple[float, Floats]:
        bare: Any = atoms.copy()  # type: ignore[no-untyped-call]
        bare.calc = self.calculator
        try:
            return float(bare.get_potential_energy()), np.array(bare.get_forces(), dtype=np.float64)
        except Exception as error:
            raise SearchError(
                f"The calculator raised {type(error).__name__} at image {number} of a batch of {of}: {error}"
            ) from error

    def __enter__(self) -> "Evaluations":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own and self.journal is not None:
            self.journal.close()


def moving_atoms(atoms: Atoms) -> Ints:
    """Indices (k,) of the atoms that no FixAtoms holds; any other constraint is refused."""
    fixed: set[int] = set()
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise SearchError(f"Bands know FixAtoms only; the structure has a {type(constraint).__name__}.")
        fixed |= {int(i) for i in constraint.index}
    return np.array([i for i in range(len(atoms)) if i not in fixed], dtype=np.int64)
