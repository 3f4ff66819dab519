"""Sums of a learned potential and other terms: a core for close encounters, a tail, a dispersion term.

A network knows nothing of distances that its training set did not hold, and hot dynamics goes there: a
:class:`~iondiff.potentials.classical.ZBL` core repels where no data is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from iondiff.errors import PotentialError
from iondiff.potentials.classical import SumPotential
from iondiff.potentials.compiled import CompiledPotential
from iondiff.potentials.compiled_calculator import CompiledCalculator
from iondiff.potentials.evaluation import Evaluation, Extrapolation
from iondiff.potentials.evaluator import volume_of


class Hybrid:
    """A potential and what is added to it.

    Parameters
    ----------
    potential
        An :class:`HDNNP`, a :class:`Committee`, or another compiled potential; decides the species.
    terms
        Compiled potentials (anything with `species`, `cutoff` and `compiled()`) or ASE calculators.

    Raises
    ------
    PotentialError
        No terms, a term that is neither, or a compiled term that lacks an element of the potential.
    """

    def __init__(self, potential: Any, *terms: Any) -> None:
        if not terms:
            raise PotentialError("a hybrid has nothing to add; wanted at least one term")
        for term in terms:
            if not isinstance(term, Calculator) and not _compiles(term):
                raise PotentialError(
                    f"a term of the hybrid is a {type(term).__name__}; wanted an ASE calculator or a "
                    "compiled potential (species, cutoff, compiled())"
                )
        self.potential = potential
        self.terms = terms
        self.species: tuple[str, ...] = tuple(potential.species)
        self.cutoff = max([potential.cutoff] + [t.cutoff for t in terms if _compiles(t)])
        if any(_compiles(term) for term in terms):
            self._sum([term for term in terms if _compiles(term)])  # looks at the elements

    def _sum(self, terms: Sequence[Any]) -> Any:
        total = self.potential
        for term in terms:
            total = SumPotential(total, term)
        return total

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters of the sum, for compiled loops.

        Raises
        ------
        PotentialError
            A term is an ASE calculator.
        """
        for term in self.terms:
            if not _compiles(term):
                raise PotentialError(
                    f"{type(term).__name__} is an ASE calculator, which no compiled loop can call; use "
                    "calculator()"
                )
        return self._sum(self.terms).compiled()

    def calculator(self, **options: Any) -> HybridCalculator:
        """An ASE calculator; options go to the potential's own calculator."""
        others = [t if isinstance(t, Calculator) else CompiledCalculator(t) for t in self.terms]
        return HybridCalculator([self.potential.calculator(**options), *others])

    def evaluate(self, structures: Sequence[Atoms], **options: Any) -> list[Evaluation]:
        """Energies, forces and virials; energies of atoms are nan where a term has none."""
        calculator = self.calculator(**options)
        results = []
        for atoms in structures:
            calculator.calculate(atoms)
            found = calculator.results
            volume = volume_of(atoms)
            stress = found.get("stress", np.zeros(6))
            xx, yy, zz, yz, xz, xy = stress * volume
            results.append(
                Evaluation(
                    found["energy"],
                    found.get("energies", np.full(len(atoms), np.nan)),
                    found["forces"],
                    np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
                    volume,
                    calculator.extrapolations,
                )
            )
        return results


def _compiles(term: Any) -> bool:
    return not isinstance(term, Calculator) and all(
        hasattr(term, name) for name in ("species", "cutoff", "compiled")
    )


class HybridCalculator(Calculator):
    """Adds up ASE calculators: energy and forces, and stress and energies of atoms where all have them.

    Attributes
    ----------
    extrapolations
        Of the learned part, for the last structure.
    """

    name = "iondiff-hybrid"

    def __init__(self, calculators: Sequence[Any]) -> None:
        super().__init__()
        self.calculators = list(calculators)
        shared = set.intersection(*(set(c.implemented_properties) for c in self.calculators))
        wanted = ("energy", "free_energy", "energies", "forces", "stress")
        self.implemented_properties = [p for p in wanted if p in shared or p == "free_energy"]

    @property
    def extrapolations(self) -> tuple[Extrapolation, ...]:
        """Which atoms left the range of which functions."""
        return tuple(getattr(self.calculators[0], "extrapolations", ()))

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Everything at once; the stress only where the cell has a volume."""
        super().calculate(atoms, properties, system_changes)
        names = [p for p in self.implemented_properties if p != "free_energy"]
        if volume_of(self.atoms) == 0:
            names = [p for p in names if p != "stress"]
        results: dict[str, Any] = {}
        for name in names:
            results[name] = sum(c.get_property(name, self.atoms) for c in self.calculators)
        results["free_energy"] = results["energy"]
        self.results = results
