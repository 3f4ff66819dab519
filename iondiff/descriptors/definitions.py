"""Symmetry functions of atoms as data: every kind that Behler's papers, RuNNer and n2p2 use.

With r_j the distance of neighbour j from the centre i, θ the angle j-i-k, f the cutoff function and Z atomic
numbers, sums over neighbours (j) or pairs of them (j < k) of the named elements:

==== ==== ==================================================================================================
kind type formula
==== ==== ==================================================================================================
G1      1 Σ f(r_j)
G2      2 Σ exp(−η (r_j − r_s)²) f(r_j)
G3      4 Σ cos(κ r_j) f(r_j)
G4      3 2^(1−ζ) Σ (1 + λ cos θ)^ζ exp(−η [(r_j−r_s)² + (r_k−r_s)² + (r_jk−r_s)²]) f(r_j) f(r_k) f(r_jk)
G5      9 2^(1−ζ) Σ (1 + λ cos θ)^ζ exp(−η [(r_j−r_s)² + (r_k−r_s)²]) f(r_j) f(r_k)
W2     12 as G2, each neighbour of any element counted Z_j times
W4     13 as G4, each pair of any elements counted Z_j Z_k times
P2     20 Σ C(r_j)
P4     21 Σ C(r_j) C(r_k) C(r_jk) A(θ)
P5     22 Σ C(r_j) C(r_k) A(θ)
PW2    23 as P2, weighted with Z_j
PW4    24 as P4, weighted with Z_j Z_k
PW5    25 as P5, weighted with Z_j Z_k
==== ==== ==================================================================================================

C and A are bells on [r_low, r_high] and [angle_left, angle_right]: core(|x − centre| / half width), zero
outside; ``core`` is one of ``"p1" ... "p4"`` (the polynomials of cutoff kinds 5 to 8) or ``"e"`` (kind 4). A
trailing ``a`` ("p2a") makes the radial bell asymmetric, core((2 − x) x); the angular bell never is.

Cutoff functions carry n2p2's numbers, with x = (r − a r_c) / (r_c − a r_c) and f = 1 below the inner radius
a r_c: 0 hard, 1 ½(cos πx + 1), 2 tanh³(1 − r/r_c), 3 the same over tanh³ 1, 4 exp(1 − 1/(1 − x²)), 5 to 8 the
polynomials with 1 to 4 continuous derivatives. Kinds 2 and 3 know no inner radius.

Sources: Behler, J. Chem. Phys. 134, 074106 (2011); Gastegger et al., J. Chem. Phys. 148, 241709 (2018), for
the weighted ones; Bircher, Singraber and Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021), for the
polynomial ones; the manuals of RuNNer and n2p2 for the type numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ase.data import atomic_numbers

from iondiff.errors import PotentialError

TYPE_NUMBERS = {
    "G1": 1, "G2": 2, "G3": 4, "G4": 3, "G5": 9, "W2": 12, "W4": 13,
    "P2": 20, "P4": 21, "P5": 22, "PW2": 23, "PW4": 24, "PW5": 25,
}  # fmt: skip
KINDS = {number: kind for kind, number in TYPE_NUMBERS.items()}
CUTOFF_NAMES = ("hard", "cos", "tanh3", "tanh3 (1 at 0)", "exp", "poly1", "poly2", "poly3", "poly4")
CORES = ("p1", "p2", "p3", "p4", "p1a", "p2a", "p3a", "p4a", "e")

_RADIAL = {"G1", "G2", "G3", "W2", "P2", "PW2"}
_WEIGHTED = {"W2", "W4", "PW2", "PW4", "PW5"}
_NARROW = {"G4", "W4", "P4", "PW4"}
_LARGEST_CUTOFF = 100.0  # Å; farther is a slip of units, and would gather millions of images


@dataclass(frozen=True)
class SymmetryFunction:
    """One symmetry function of one centre element.

    Attributes
    ----------
    kind
        A name of the table above.
    centre
        Chemical symbol of the atom that the function describes.
    neighbours
        Elements it looks at: one for radial kinds, two for angular ones (sorted by atomic number here), none
        for weighted kinds.
    cutoff
        Å. For polynomial kinds the same as `r_high`.
    cutoff_kind
        0 to 8; means nothing for polynomial kinds.
    inner
        Inner radius of the cutoff function as a fraction of `cutoff` (n2p2's alpha), 0 ≤ inner < 1.
    eta, shift
        1/Å², Å (G2, G4, G5, W2, W4).
    lam, zeta
        Of angular kinds but polynomial ones.
    kappa
        1/Å (G3).
    r_low, r_high
        Å, polynomial kinds; r_low may be negative: the bell then peaks nearer.
    angle_left, angle_right
        Degrees, angular polynomial kinds.
    core
        Polynomial kinds.
    """

    kind: str
    centre: str
    neighbours: tuple[str, ...]
    cutoff: float
    cutoff_kind: int = 6
    inner: float = 0.0
    eta: float = 0.0
    shift: float = 0.0
    lam: float = 1.0
    zeta: float = 1.0
    kappa: float = 0.0
    r_low: float = 0.0
    r_high: float = 0.0
    angle_left: float = 0.0
    angle_right: float = 180.0
    core: str = "p2"

    def __post_init__(self) -> None:
        if self.kind not in TYPE_NUMBERS:
            raise PotentialError(
                f"symmetry function kind {self.kind!r} is not known; wanted one of {', '.join(TYPE_NUMBERS)}"
            )
        for symbol in (self.centre, *self.neighbours):
            if atomic_numbers.get(symbol, 0) == 0:
                raise PotentialError(f"{symbol!r} is no chemical symbol; wanted one like 'Cu'")
        object.__setattr__(self, "neighbours", tuple(sorted(self.neighbours, key=atomic_numbers.__getitem__)))
        if self.polynomial:
            object.__setattr__(self, "r_high", float(self.r_high or self.cutoff))
            object.__setattr__(self, "cutoff", self.r_high)
        self._check()

    def _check(self) -> None:  # noqa: C901 - a flat list of what can be wrong
        def refuse(found: str, wanted: str) -> None:
            raise PotentialError(f"symmetry function {self.kind} of {self.centre}: {found}; wanted {wanted}")

        wanted = 0 if self.weighted else 1 if self.radial else 2
        if len(self.neighbours) != wanted:
            refuse(f"neighbours are {self.neighbours}", f"{wanted} elements")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                refuse(f"{field.name} is {value}", "a finite number")
        if not 0 < self.cutoff <= _LARGEST_CUTOFF:
            refuse(f"cutoff is {self.cutoff} Å", f"above 0 and up to {_LARGEST_CUTOFF} Å")
        if self.cutoff_kind not in range(len(CUTOFF_NAMES)):
            refuse(f"cutoff kind is {self.cutoff_kind}", "0 to 8")
        if not 0 <= self.inner < 1:
            refuse(f"inner cutoff fraction is {self.inner}", "at least 0 and below 1")
        if not self.radial and not self.polynomial and self.zeta <= 0:
            refuse(f"zeta is {self.zeta}", "above 0")
        if self.polynomial:
            if self.core not in CORES:
                refuse(f"core is {self.core!r}", f"one of {', '.join(CORES)}")
            if self.r_low >= self.r_high:
                refuse(f"r_low is {self.r_low} Å", f"below r_high, {self.r_high} Å")
        if self.polynomial and not self.radial:
            left, right = self.angle_left, self.angle_right
            # A bell may lean over 0 or 180 degrees only when it is centred there: else it has a kink.
            leaning = (left < 0 and left + right != 0) or (right > 180 and left + right != 360)
            if left >= right or right - left > 360 or leaning:
                refuse(f"angles are {left} to {right}", "left < right in 0 to 180, or centred on 0 or 180")

    @property
    def type_number(self) -> int:
        """Number in n2p2's and RuNNer's files."""
        return TYPE_NUMBERS[self.kind]

    @property
    def radial(self) -> bool:
        """A sum over neighbours, not over pairs."""
        return self.kind in _RADIAL

    @property
    def weighted(self) -> bool:
        """Sees all elements, weighted with atomic numbers."""
        return self.kind in _WEIGHTED

    @property
    def narrow(self) -> bool:
        """Angular and with the third side of the triangle in it."""
        return self.kind in _NARROW

    @property
    def polynomial(self) -> bool:
        """With compact bells in place of Gaussians and a cutoff function."""
        return self.kind.startswith("P")

    def order(self) -> tuple[Any, ...]:
        """n2p2's order inside an element: scaling.data and the weights' inputs follow it."""
        elements = tuple(atomic_numbers[symbol] for symbol in self.neighbours)
        if self.polynomial:
            angles = () if self.radial else (self.angle_left, self.angle_right)
            return (self.type_number, self.core, elements, self.r_high, self.r_low, *angles)
        kind = (self.type_number, self.cutoff_kind, self.inner, self.cutoff)
        if self.radial:
            return (*kind, self.eta, self.kappa, self.shift, elements)
        return (*kind, self.eta, self.shift, self.zeta, self.lam, elements)

    def describe(self) -> str:
        """One line for people; Å and degrees."""
        head = f"{self.kind:<3} {self.centre:<2} {'-'.join(self.neighbours) or 'all':<5} "
        if self.polynomial:
            angles = "" if self.radial else f"  angles {self.angle_left:6.1f} to {self.angle_right:6.1f}"
            return head + f"{self.core:<3} r {self.r_low:7.3f} to {self.r_high:6.3f}{angles}"
        text = head + f"eta {self.eta:8.4f}  shift {self.shift:6.3f}  cutoff {self.cutoff:6.3f}"
        if self.kind == "G3":
            text += f"  kappa {self.kappa:6.3f}"
        return text if self.radial else text + f"  lambda {self.lam:+4.1f}  zeta {self.zeta:5.1f}"


def sort_functions(functions: Sequence[SymmetryFunction]) -> tuple[SymmetryFunction, ...]:
    """n2p2's order: by atomic number of the centre, then :meth:`SymmetryFunction.order`."""
    return tuple(sorted(functions, key=lambda f: (atomic_numbers[f.centre], *f.order())))
