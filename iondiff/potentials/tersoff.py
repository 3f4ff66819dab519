"""Tersoff's bond-order potential of one element, compiled: a teacher and a test bed for amorphous silicon."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from iondiff.errors import PotentialError
from iondiff.potentials import _kernels_tersoff as kernels
from iondiff.potentials.classical import _checked_species, _Classical, _kernel
from iondiff.potentials.compiled import CompiledPotential


@dataclass(frozen=True)
class Tersoff(_Classical):
    """E = ½ Σ f(r) [A exp(−λr) − b B exp(−μr)], b = (1 + (βζ)ⁿ)^(−1/2n), ζ = Σ f(r_ik) g(θ_ijk).

    The defaults are silicon as in Tersoff, Phys. Rev. B 39, 5566 (1989), with the erratum 41, 3248 (1990): T3, the
    same numbers as ``SiC_1989.tersoff`` of LAMMPS. There is no factor of distance differences in ζ (λ₃ = 0).

    Parameters
    ----------
    species
        The one element it describes.
    A, B
        eV.
    steep, flat
        λ and μ, 1/Å.
    beta, n, c, d, h
        Of the bond order; without unit.
    inner, outer
        Å; the cutoff function f falls from one to zero between them.

    Raises
    ------
    PotentialError
        More than one element, or numbers that are not positive and finite (h may have either sign).
    """

    species: tuple[str, ...] = ("Si",)
    A: float = 1830.8
    B: float = 471.18
    steep: float = 2.4799
    flat: float = 1.7322
    beta: float = 1.1e-6
    n: float = 0.78734
    c: float = 1.0039e5
    d: float = 16.217
    h: float = -0.59825
    inner: float = 2.7
    outer: float = 3.0
    cutoff: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "species", _checked_species(self.species))
        if len(self.species) != 1:
            raise PotentialError(f"species is {self.species}; Tersoff here describes one element")
        positive = {
            name: getattr(self, name) for name in ("A", "B", "steep", "flat", "beta", "n", "c", "d", "inner")
        }
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise PotentialError(f"{name} is {value!r}; wanted a positive number")
        if not (math.isfinite(self.h) and self.inner < self.outer < math.inf):
            raise PotentialError(
                f"h is {self.h}, inner {self.inner} Å and outer {self.outer} Å; wanted a finite h and inner < outer"
            )
        object.__setattr__(self, "cutoff", float(self.outer))

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters."""
        reals = (
            self.A, self.B, self.steep, self.flat, self.beta, self.n, self.c, self.d, self.h, self.inner, self.outer
        )  # fmt: skip
        return CompiledPotential(_kernel(kernels.tersoff), np.zeros(1, np.int64), np.array(reals))
