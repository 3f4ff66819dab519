"""ASE calculators of potentials for all atoms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from iondiff.neighbours import VerletList
from iondiff.potentials.evaluation import Evaluation, Extrapolation
from iondiff.potentials.evaluator import Evaluator, check_policy
from iondiff.potentials.hdnnp import HDNNP

if TYPE_CHECKING:
    from iondiff.potentials.committee import Committee
    from iondiff.potentials.engine import Plan


class CommitteeResults(dict[str, Any]):
    """Results with ``force_spread``, which is worked out when it is first looked up."""

    def __init__(self, found: Evaluation, results: dict[str, Any]) -> None:
        super().__init__(results)
        self._found = found

    def __missing__(self, name: str) -> Any:
        if name != "force_spread":
            raise KeyError(name)
        self[name] = self._found.force_spread
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name == "force_spread" or super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any dictionary."""
        try:
            return self[name]
        except KeyError:
            return default


class PotentialCalculator(Calculator):
    """Energy, forces, stress and energies of the atoms, in ASE's units.

    Parameters
    ----------
    potential
        An :class:`HDNNP` or a :class:`Committee`; of the latter the mean, and in ``results`` also
        ``energy_spread`` (eV) and ``force_spread`` (n,), eV/Å; the latter costs a second pass when it is looked at,
        unless the structure was first asked for it, ``calc.get_property("force_spread", atoms)``.
    extrapolation
        What to do where an atom leaves the range of the training set: "ignore", "warn", "raise", or
        "collect": look into :attr:`extrapolations`.
    method, precision, device
        See :class:`iondiff.potentials.evaluator.Evaluator`.
    skin
        Å; neighbours are listed that much beyond the cutoff, so that the list lives for several steps.

    Attributes
    ----------
    extrapolations
        Of the last structure; empty with "ignore".
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012 - ASE's
    name = "iondiff"

    def __init__(
        self,
        potential: HDNNP | Committee,
        *,
        extrapolation: str = "collect",
        method: str = "auto",
        precision: str = "double",
        device: str | None = None,
        skin: float = 0.5,
    ) -> None:
        super().__init__()
        check_policy(extrapolation)
        self.potential = potential
        self.extrapolation = extrapolation
        self.extrapolations: tuple[Extrapolation, ...] = ()
        members = (potential,) if isinstance(potential, HDNNP) else potential.members
        self._evaluator = Evaluator(members, method, precision, device)
        self._neighbours = VerletList(potential.cutoff, skin)
        if len(members) > 1:
            self.implemented_properties = [*self.implemented_properties, "energy_spread", "force_spread"]

    @property
    def plan(self) -> Plan | None:
        """What compiled loops take in place of the calculator, in its precision.

        None where only the calculator itself will do: with torch, and where extrapolation warns or raises.
        """
        if self._evaluator.method == "torch" or self.extrapolation in ("warn", "raise"):
            return None
        return self._evaluator.plan

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Everything at once, whatever is asked."""
        super().calculate(atoms, properties, system_changes)
        found = self._evaluator.one(
            self.atoms, self.extrapolation, self._neighbours, member_forces="force_spread" in properties
        )
        self.extrapolations = found.extrapolations
        results: dict[str, Any] = {
            "energy": found.energy,
            "free_energy": found.energy,
            "energies": found.energies,
            "forces": found.forces,
        }
        if found.volume > 0:
            results["stress"] = found.stress
        if len(found.member_energies):
            results["energy_spread"] = found.energy_spread
            results = CommitteeResults(found, results)
        self.results = results
