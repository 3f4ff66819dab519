"""Several potentials asked as one: the mean is the answer, the spread says how far to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from iondiff.errors import PotentialError
from iondiff.potentials.hdnnp import HDNNP

if TYPE_CHECKING:
    from iondiff.potentials.calculator import PotentialCalculator
    from iondiff.potentials.compiled import CompiledPotential
    from iondiff.potentials.engine import Plan
    from iondiff.potentials.evaluation import Evaluation
    from iondiff.potentials.rigid import RigidHost


@dataclass(frozen=True)
class Committee:
    """Members with the same symmetry functions and scaling, which are computed once for all.

    Attributes
    ----------
    members
        At least one :class:`HDNNP`.

    Raises
    ------
    PotentialError
        No members, or members that differ in their descriptors.
    """

    members: tuple[HDNNP, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if not self.members:
            raise PotentialError("a committee has no members; wanted at least one potential")
        lead = self.members[0]
        for number, member in enumerate(self.members[1:], start=1):
            if not same_descriptor(lead, member):
                raise PotentialError(
                    f"member {number} has other symmetry functions or scaling than member 0; wanted the same"
                )

    def __len__(self) -> int:
        return len(self.members)

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols, by atomic number."""
        return self.members[0].species

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.members[0].cutoff

    @cached_property
    def plan(self) -> Plan:
        """All members laid out for the compiled engine."""
        from iondiff.potentials import engine

        return engine.compile(self.members)

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters of the mean, for compiled loops."""
        return self.plan.compiled()

    def calculator(self, **options: Any) -> PotentialCalculator:
        """An ASE calculator of the mean, with ``energy_spread`` and ``force_spread`` among its results."""
        from iondiff.potentials.calculator import PotentialCalculator

        return PotentialCalculator(self, **options)

    def evaluate(
        self,
        structures: Sequence[Atoms],
        *,
        extrapolation: str = "collect",
        method: str = "auto",
        precision: str = "double",
        device: str | None = None,
        member_forces: bool = False,
    ) -> list[Evaluation]:
        """As :meth:`HDNNP.evaluate`, of the mean; with the energies and, where asked for, forces of the members.

        `member_forces` works the latter out in the same pass, where an answer is sure to be asked for its
        `force_spread`; else they come from a second pass when first looked at.
        """
        from iondiff.potentials.evaluator import Evaluator

        structures = [structures] if isinstance(structures, Atoms) else structures
        return Evaluator(self.members, method, precision, device).many(
            structures, extrapolation, member_forces
        )

    def landscape(self, host: Atoms, guest: str | None = None, wall_A: float | None = None) -> RigidHost:
        """As :meth:`HDNNP.landscape`, of the mean."""
        from iondiff.potentials.rigid import RigidHost

        return RigidHost(self, host, guest, wall_A)

    def save(self, path: str | Path) -> None:
        """Write one file; :func:`iondiff.potentials.load` reads it back."""
        from iondiff.potentials.files import save

        save(self, path)

    def export_n2p2(self, directory: str | Path, units: tuple[str, str] = ("Angstrom", "eV")) -> None:
        """Write a directory of n2p2 a member: ``member_1``, ``member_2``, ... below `directory`."""
        for number, member in enumerate(self.members, start=1):
            member.export_n2p2(Path(directory) / f"member_{number}", units)


def same_descriptor(a: HDNNP, b: HDNNP) -> bool:
    """Whether two potentials see the same numbers: their symmetry functions can be computed once."""
    if a.species != b.species:
        return False
    return all(
        one.functions == other.functions
        and np.array_equal(one.scaling.shift, other.scaling.shift)
        and np.array_equal(one.scaling.factor, other.scaling.factor)
        for one, other in zip(a.descriptor.elements, b.descriptor.elements, strict=True)
    )
