"""Behler-Parrinello symmetry functions of one central atom, as data.

Radial (G2 of Behler, J. Chem. Phys. 134, 074106 (2011)):

    G = Σ_j exp(−η (r_j − r_s)²) f(r_j)

Angular, wide (G5 of the same paper, with a radial shift):

    G = 2^(1−ζ) Σ_{j<k} (1 + λ cos θ_jk)^ζ exp(−η [(r_j − r_s)² + (r_k − r_s)²]) f(r_j) f(r_k)

The cutoff function is the polynomial f(r) = 1 − 10x³ + 15x⁴ − 6x⁵, x = r/r_c. Its first *and second*
derivatives vanish at r_c, so that curvatures, which decide what is a minimum and what a saddle, are
continuous.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iondiff.errors import PotentialError

_LARGEST_CUTOFF = 50.0  # Å; farther is a slip of units, and would gather millions of images
_LARGEST_ZETA = 256


@dataclass(frozen=True)
class Radial:
    """G2: neighbours of `species` in a shell. `eta` in 1/Å², `shift` and `cutoff` in Å."""

    species: str
    eta: float
    shift: float
    cutoff: float


@dataclass(frozen=True)
class Angular:
    """G5: pairs of neighbours of `species`. `eta` in 1/Å², `shift`, `cutoff` in Å, `lam` ±1, `zeta` ≥ 1."""

    species: tuple[str, str]
    eta: float
    shift: float
    lam: int
    zeta: int
    cutoff: float


@dataclass(frozen=True)
class DescriptorSet:
    """An ordered list of symmetry functions around one element: radial first, then angular."""

    radial: tuple[Radial, ...]
    angular: tuple[Angular, ...]
    elements: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = {r.species for r in self.radial} | {s for a in self.angular for s in a.species}
        object.__setattr__(self, "elements", tuple(sorted(names)))
        if not names:
            raise PotentialError("the list of symmetry functions is empty; wanted at least one")
        every: list[Radial | Angular] = [*self.radial, *self.angular]
        for function in every:
            if not (0 < function.cutoff <= _LARGEST_CUTOFF):
                raise PotentialError(f"{function}: wanted a cutoff above 0 and up to {_LARGEST_CUTOFF} Å")
            if not (0 <= function.eta < math.inf and math.isfinite(function.shift)):
                raise PotentialError(f"{function}: wanted an eta of at least 0 and a shift, both finite")
        for angular in self.angular:
            if angular.lam not in (-1, 1) or angular.zeta not in range(1, _LARGEST_ZETA + 1):
                raise PotentialError(
                    f"{angular}: wanted lam of +1 or -1 and a whole zeta from 1 to {_LARGEST_ZETA}"
                )

    def __len__(self) -> int:
        return len(self.radial) + len(self.angular)

    @property
    def cutoff(self) -> float:
        """Largest cutoff, Å."""
        return max([r.cutoff for r in self.radial] + [a.cutoff for a in self.angular])

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Flat arrays for the kernels: elements as indices into :attr:`elements`."""
        index = {name: i for i, name in enumerate(self.elements)}
        radial_species = np.array([index[r.species] for r in self.radial], dtype=np.int64)
        radial = np.array([(r.eta, r.shift, r.cutoff) for r in self.radial], dtype=float).reshape(-1, 3)
        pairs = [sorted(index[s] for s in a.species) for a in self.angular]
        angular_species = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        angular = np.array([(a.eta, a.shift, a.cutoff) for a in self.angular], dtype=float).reshape(-1, 3)
        powers = np.array([(a.lam, a.zeta) for a in self.angular], dtype=np.int64).reshape(-1, 2)
        return radial_species, radial, angular_species, angular, powers

    def to_dict(self) -> dict[str, Any]:
        """Plain data, read back by :meth:`from_dict`."""
        return {
            "radial": [[r.species, r.eta, r.shift, r.cutoff] for r in self.radial],
            "angular": [[*a.species, a.eta, a.shift, a.lam, a.zeta, a.cutoff] for a in self.angular],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DescriptorSet:
        """Inverse of :meth:`to_dict`."""
        try:
            radial = tuple(Radial(str(s), float(e), float(r), float(c)) for s, e, r, c in data["radial"])
            angular = tuple(
                Angular((str(s), str(t)), float(e), float(r), _whole(lam), _whole(z), float(c))
                for s, t, e, r, lam, z, c in data["angular"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PotentialError(f"the list of symmetry functions cannot be read: {error!r}") from error
        return cls(radial, angular)

    def table(self) -> str:
        """One line a function, for people."""
        lines = [
            f"G2 {r.species:<6} eta {r.eta:8.3f}  shift {r.shift:6.3f}  cutoff {r.cutoff:5.2f}"
            for r in self.radial
        ]
        lines += [
            f"G5 {'-'.join(a.species):<6} eta {a.eta:8.3f}  shift {a.shift:6.3f}  cutoff {a.cutoff:5.2f}"
            f"  lambda {a.lam:+d}  zeta {a.zeta}"
            for a in self.angular
        ]
        return "\n".join(lines)


def _whole(value: Any) -> int:
    """An integer that was written as one: int() alone would cut 1.5 to 1 without a word."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def default_guest_set(
    elements: tuple[str, ...], cutoff: float = 6.5, angular_cutoff: float = 5.5
) -> DescriptorSet:
    """Functions for a guest in a host of the given elements, the anion last.

    For two elements they are thirty-six, 16 radial and 20 angular: the split of a 36-input guest network (Li,
    Ando and Watanabe, J. Phys. Soc. Jpn. 86, 104004 (2017)). Radial shells are evenly spaced from a short
    bond to the cutoff; angular shells stand at bond length, narrow and wide where the anion takes part, wide
    between cations. A host of one element has 16, of three 60.

    Raises
    ------
    PotentialError
        No element, or the same one twice among three or more.
    """
    names = tuple(dict.fromkeys(elements))
    if not names:
        raise PotentialError("elements is empty; name the elements of the host, the anion last")
    anion = names[-1]
    spacing = (cutoff - 1.7) / 7
    radial = tuple(
        Radial(element, 0.5 / (0.7 * spacing) ** 2, 1.2 + spacing * k, cutoff)
        for element in names
        for k in range(8)
    )
    shells = ((1.8, 1), (1.8, -1), (2.6, 1), (2.6, -1))
    angular = tuple(
        # Pairs with the larger cations sit farther out.
        Angular(
            pair,
            1.0,
            shift + 0.4 * sum(name != anion or len(names) == 1 for name in pair),
            lam,
            zeta,
            angular_cutoff,
        )
        for pair in itertools.combinations_with_replacement(names[::-1], 2)
        for zeta in ((1, 4) if anion in pair else (1,))
        for shift, lam in shells
    )
    return DescriptorSet(radial, angular)
