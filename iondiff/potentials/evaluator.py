"""Runs a potential, or a committee whose members share their symmetry functions, on structures."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from iondiff.errors import PotentialError
from iondiff.neighbours import VerletList
from iondiff.potentials import engine
from iondiff.potentials.evaluation import Evaluation, Extrapolation, find_extrapolations
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.structure import Surroundings, surroundings

if TYPE_CHECKING:
    from iondiff.potentials.torch_path import TorchHDNNP

POLICIES = ("ignore", "warn", "raise", "collect")
METHODS = ("auto", "compiled", "torch")
_TRIAL = 32  # structures with which a GPU is tried against the processor


class ExtrapolationWarning(UserWarning):
    """A potential was asked about surroundings that its training set did not hold."""


@dataclass(frozen=True)
class Evaluator:
    """A potential ready to be asked.

    Attributes
    ----------
    members
        One potential, or several with the same symmetry functions and scaling.
    method
        "compiled" (Numba, the processor), "torch" (the device below), or "auto": compiled, but where there is
        a GPU, the first structures of a list are given to both and the whole list to the faster.
    precision
        "double", or "mixed" for single inside and sums in double.
    device
        Of torch; a GPU where there is one, unless named.
    """

    members: tuple[HDNNP, ...]
    method: str = "auto"
    precision: str = "double"
    device: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise PotentialError(f"method is {self.method!r}; wanted one of {', '.join(METHODS)}")
        if self.precision not in engine.PRECISIONS:
            raise PotentialError(
                f"precision is {self.precision!r}; wanted one of {', '.join(engine.PRECISIONS)}"
            )

    @cached_property
    def plan(self) -> engine.Plan:
        """The members laid out for the compiled engine."""
        if len(self.members) == 1:
            return self.members[0].plan.with_precision(self.precision)
        return engine.compile(self.members, self.precision)

    @cached_property
    def _torch(self) -> tuple[TorchHDNNP, ...]:
        import torch

        from iondiff.potentials.torch_path import TorchHDNNP

        dtype = torch.float64 if self.precision == "double" else torch.float32
        return tuple(TorchHDNNP(member, self._device(), dtype) for member in self.members)

    def _device(self) -> str:
        if self.device is not None:
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def one(
        self,
        atoms: Atoms,
        extrapolation: str = "collect",
        neighbours: VerletList | None = None,
        member_forces: bool = False,
    ) -> Evaluation:
        """Energy, forces and virial of one structure; with the forces of every member in the same pass."""
        check_policy(extrapolation)
        lead = self.members[0]
        around = surroundings(atoms, lead.species, lead.cutoff, neighbours)
        if self.method == "torch":
            return self._by_torch([around], [atoms], extrapolation)[0]
        return self._by_engine(around, atoms, extrapolation, member_forces)

    def prepared(self, around: Surroundings, atoms: Atoms) -> Evaluation:
        """One structure whose neighbours are known; nothing is checked."""
        if self.method == "torch":
            return self._by_torch([around], [atoms], "ignore")[0]
        return self._by_engine(around, atoms, "ignore")

    def many(
        self, structures: Sequence[Atoms], extrapolation: str = "collect", member_forces: bool = False
    ) -> list[Evaluation]:
        """The same for a list; by torch in batches."""
        check_policy(extrapolation)
        around = []
        lead = self.members[0]
        for number, atoms in enumerate(structures):
            try:
                around.append(surroundings(atoms, lead.species, lead.cutoff))
            except PotentialError as error:
                raise PotentialError(f"structure {number}: {error}") from error
        if not around:
            return []
        if self.method == "torch" or (self.method == "auto" and self._gpu_is_faster(around, structures)):
            return self._by_torch(around, structures, extrapolation)
        return [
            self._by_engine(s, atoms, extrapolation, member_forces)
            for s, atoms in zip(around, structures, strict=True)
        ]

    def _gpu_is_faster(self, around: Sequence[Surroundings], structures: Sequence[Atoms]) -> bool:
        """Measured on the first structures, each path warmed up first."""
        if len(around) <= _TRIAL or not self._device().startswith("cuda"):
            return False
        seconds = []
        for run in (
            lambda: self._by_torch(around[:_TRIAL], structures[:_TRIAL], "ignore"),
            lambda: [
                self._by_engine(s, a, "ignore") for s, a in zip(around[:4], structures[:4], strict=True)
            ],
        ):
            run()
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        atoms_of = [sum(len(s.species) for s in around[:count]) for count in (_TRIAL, 4)]
        return seconds[0] / atoms_of[0] < seconds[1] / atoms_of[1]

    def _by_engine(
        self, s: Surroundings, atoms: Atoms, extrapolation: str, member_forces: bool = False
    ) -> Evaluation:
        found = engine.evaluate(
            self.plan, s.positions, s.cell, atoms.pbc, s.species, (s.first, s.index, s.image),
            member_forces=member_forces,
        )  # fmt: skip
        members: dict[str, Any] = {}
        if len(self.members) > 1:
            # Copies: the structure may have moved on when somebody asks. The list of neighbours is made anew.
            structure = s.positions.copy(), s.cell.copy(), np.array(atoms.pbc), s.species
            members = {
                "member_energies": found.member_energies,
                "forces_of_members": partial(np.asarray, found.member_forces)
                if member_forces
                else partial(_forces_of_members, self.plan, *structure),
            }
        rows = [np.flatnonzero(s.species == k) for k in range(len(self.members[0].species))]
        values = [found.functions[r, :n] for r, n in zip(rows, self.plan.n_functions, strict=True)]
        return Evaluation(
            found.energy,
            found.atom_energies,
            found.forces,
            found.virial,
            volume_of(atoms),
            self._extrapolations(values, rows, extrapolation),
            **members,
        )

    def _by_torch(
        self, around: Sequence[Surroundings], structures: Sequence[Atoms], extrapolation: str
    ) -> list[Evaluation]:
        answers = [member.evaluate(around) for member in self._torch]
        results = []
        for k, (s, atoms) in enumerate(zip(around, structures, strict=True)):
            energies, forces, virials = (np.array([a[k][part] for a in answers]) for part in range(3))
            rows = [np.flatnonzero(s.species == e) for e in range(len(self.members[0].species))]
            members: dict[str, Any] = {}
            if len(self.members) > 1:
                members = {"member_energies": energies, "forces_of_members": partial(np.asarray, forces)}
            mean = energies.mean(axis=0)
            results.append(
                Evaluation(
                    float(mean.sum()),
                    mean,
                    forces.mean(axis=0),
                    virials.mean(axis=0),
                    volume_of(atoms),
                    self._extrapolations(answers[0][k][3], rows, extrapolation),
                    **members,
                )
            )
        return results

    def _extrapolations(
        self, values: Sequence[np.ndarray], rows: Sequence[np.ndarray], policy: str
    ) -> tuple[Extrapolation, ...]:
        if policy == "ignore":
            return ()
        found = find_extrapolations(self.members[0].descriptor, values, rows)
        if found and policy in ("warn", "raise"):
            worst = max(found, key=lambda e: e.excess)
            sentence = (
                f"{len(found)} symmetry functions of {len({e.atom for e in found})} atoms are outside the "
                f"range of the training set; the farthest: {worst}"
            )
            if policy == "raise":
                raise PotentialError(sentence + "; extrapolation='ignore' would go on")
            warnings.warn(sentence, ExtrapolationWarning, stacklevel=4)
        return found


def _forces_of_members(
    plan: engine.Plan, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
) -> np.ndarray:
    return engine.evaluate(plan, positions, cell, pbc, species).member_forces


def check_policy(extrapolation: str) -> None:
    """Refuse a policy that is none."""
    if extrapolation not in POLICIES:
        raise PotentialError(f"extrapolation is {extrapolation!r}; wanted one of {', '.join(POLICIES)}")


def volume_of(atoms: Atoms) -> float:
    """Å³, 0 where the cell has no volume."""
    return float(abs(atoms.cell.volume))
