"""The symmetry functions a configuration asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ase.data import atomic_numbers

from iondiff.descriptors import SymmetryFunction, sort_functions
from iondiff.errors import TrainingError
from iondiff.potentials import load
from iondiff.potentials._n2p2_functions import read_functions
from iondiff.potentials._n2p2_text import Settings, unit_factors
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
    """Functions of a potential file, or of n2p2's input.nn."""
    path = section.file
    assert path is not None  # noqa: S101 - the caller looked
    if path.suffix == ".nn":
        settings = Settings(path)
        known = tuple(settings.one("elements")[0]) if "elements" in settings else tuple(species)
        found = read_functions(settings, known, unit_factors(section.units)[0])
    else:
        potential = load(path)
        found = [f for element in potential.descriptor.elements for f in element.functions]
    chosen = sort_functions([f for f in found if {f.centre, *f.neighbours} <= set(species)])
    functions = {centre: tuple(f for f in chosen if f.centre == centre) for centre in species}
    missing = [centre for centre, own in functions.items() if not own]
    if missing:
        raise TrainingError(f"{path} has no symmetry functions of {', '.join(missing)}, which is in the data")
    return functions
