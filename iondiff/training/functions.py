"""The symmetry functions a configuration asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ase.data import atomic_numbers

from iondiff.descriptors import SymmetryFunction, sort_functions
from iondiff.errors import TrainingError
from iondiff.training.settings import AngularSection, DescriptorSection, RadialSection


def build_functions(
    section: DescriptorSection, species: Sequence[str]
) -> dict[str, tuple[SymmetryFunction, ...]]:
    """Functions of every element, in n2p2's order.

    Raises
    ------
    TrainingError
        A file that lacks an element of the data.
    """
    species = sorted(species, key=atomic_numbers.__getitem__)
    if section.file is not None:
        return _from_file(section, species)
    functions: list[SymmetryFunction] = []
    for centre in species:
        for radial in section.radial:
            functions += _shells(radial, section.cutoff_function, centre, species)
        for angular in section.angular:
            functions += _angles(angular, section.cutoff_function, centre, species)
    unique = sort_functions(list(dict.fromkeys(functions)))
    return {centre: tuple(f for f in unique if f.centre == centre) for centre in species}


def _shells(
    radial: RadialSection, cutoff_kind: int, centre: str, species: Sequence[str]
) -> list[SymmetryFunction]:
    spacing = (radial.cutoff - radial.first) / radial.count
    if spacing <= 0:
        raise TrainingError(
            f"[descriptors.radial] first is {radial.first} Å and cutoff {radial.cutoff} Å; wanted first below cutoff"
        )
    return [
        SymmetryFunction(
            "G2", centre, (element,), radial.cutoff, cutoff_kind,
            eta=0.5 / (radial.width * spacing) ** 2, shift=radial.first + k * spacing,
        )
        for element in species for k in range(radial.count)
    ]  # fmt: skip


def _angles(
    angular: AngularSection, cutoff_kind: int, centre: str, species: Sequence[str]
) -> list[SymmetryFunction]:
    if not all(math.isfinite(x) for x in (*angular.etas, *angular.shifts)):
        raise TrainingError("[descriptors.angular] etas and shifts must be finite numbers")
    return [
        SymmetryFunction(
            "G5" if angular.kind == "wide" else "G4", centre, pair, angular.cutoff, cutoff_kind,
            eta=eta, shift=shift, lam=float(lam), zeta=zeta,
        )
        for pair in itertools.combinations_with_replacement(species, 2)
        for eta in angular.etas for shift in angular.shifts for zeta in angular.zetas for lam in angular.lambdas
    ]  # fmt: skip


def _from_file(section: DescriptorSection, species: Sequence[str]) -> dict[str, tuple[SymmetryFunction, ...]]:
    from iondiff.potentials.n2p2 import read_functions_file

    assert section.file is not None  # noqa: S101 - the caller looked
    found = read_functions_file(section.file, section.units)
    missing = [s for s in species if not found.get(s)]
    if missing:
        raise TrainingError(f"{section.file} has no symmetry functions of {', '.join(missing)}, which is in the data")
    return {s: tuple(f for f in found[s] if set(f.neighbours) <= set(species)) for s in species}
