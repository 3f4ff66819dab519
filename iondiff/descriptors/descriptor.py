"""The symmetry functions of a whole potential: per element an ordered list and its scaling."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from iondiff.descriptors.definitions import SymmetryFunction
from iondiff.errors import PotentialError

SCALINGS = ("none", "scale", "centre", "scale-centre", "sigma")


@dataclass(frozen=True)
class Scaling:
    """How the functions of one element enter its network: scaled = (G − shift) · factor.

    Attributes
    ----------
    mode
        "none": G; "scale": low + (high − low)(G − minimum)/(maximum − minimum); "centre": G − mean;
        "scale-centre": low + (high − low)(G − mean)/(maximum − minimum); "sigma": low + (high − low)(G −
        mean)/sigma.
    minimum, maximum, mean, sigma
        (n_functions,), statistics of the training set; minimum and maximum are also the range that the
        potential has seen.
    low, high
        n2p2's scale_min_short and scale_max_short.
    """

    mode: str
    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray
    sigma: np.ndarray
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in SCALINGS:
            raise PotentialError(f"scaling is {self.mode!r}; wanted one of {', '.join(SCALINGS)}")
        for name in ("minimum", "maximum", "mean", "sigma"):
            array = np.ascontiguousarray(getattr(self, name), dtype=float)
            object.__setattr__(self, name, array)
            if array.shape != (len(self),) or not np.isfinite(array).all():
                raise PotentialError(
                    f"scaling has {name} of shape {array.shape}; wanted {len(self)} finite numbers"
                )
        flat = np.flatnonzero(self._spread() <= 0)
        if len(flat):
            raise PotentialError(
                f"symmetry function {flat[0] + 1} never varied in the training set (range or sigma 0): "
                "it cannot be scaled; leave it out of the set"
            )
        if self.low >= self.high:
            raise PotentialError(
                f"scaling goes from {self.low} to {self.high}; wanted the first below the second"
            )

    def __len__(self) -> int:
        return len(np.atleast_1d(self.minimum))

    def _spread(self) -> np.ndarray:
        if self.mode in ("none", "centre"):
            return np.ones(len(self))
        return self.sigma if self.mode == "sigma" else self.maximum - self.minimum

    @property
    def factor(self) -> np.ndarray:
        """(n_functions,)."""
        return (1.0 if self.mode in ("none", "centre") else self.high - self.low) / self._spread()

    @property
    def shift(self) -> np.ndarray:
        """(n_functions,)."""
        if self.mode in ("none", "centre"):
            return np.zeros(len(self)) if self.mode == "none" else self.mean
        return (self.minimum if self.mode == "scale" else self.mean) - self.low / self.factor

    @classmethod
    def identity(cls, n_functions: int) -> Scaling:
        """No scaling, and a range that nothing leaves."""
        zero, large = np.zeros(n_functions), np.full(n_functions, 1e300)
        return cls("none", -large, large, zero, zero)


@dataclass(frozen=True)
class ElementDescriptor:
    """The functions of one centre element, in the order its network takes them, and their scaling."""

    centre: str
    functions: tuple[SymmetryFunction, ...]
    scaling: Scaling

    def __post_init__(self) -> None:
        if not self.functions:
            raise PotentialError(f"{self.centre} has no symmetry functions; wanted at least one")
        strangers = [f.centre for f in self.functions if f.centre != self.centre]
        if strangers:
            raise PotentialError(f"a symmetry function of {strangers[0]} is listed under {self.centre}")
        if len(self.scaling) != len(self.functions):
            raise PotentialError(
                f"{self.centre} has {len(self.functions)} symmetry functions and a scaling of "
                f"{len(self.scaling)}; wanted as many"
            )

    def __len__(self) -> int:
        return len(self.functions)


@dataclass(frozen=True)
class Descriptor:
    """What every atom of a structure is described by: one :class:`ElementDescriptor` an element.

    Attributes
    ----------
    elements
        Sorted by atomic number, as n2p2 does.
    """

    elements: tuple[ElementDescriptor, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.elements, key=lambda e: atomic_numbers[e.centre]))
        object.__setattr__(self, "elements", ordered)
        if not ordered or len(set(self.species)) != len(ordered):
            raise PotentialError(f"elements are {self.species}; wanted at least one, and each once")
        for function in itertools.chain.from_iterable(e.functions for e in ordered):
            unknown = set(function.neighbours) - set(self.species)
            if unknown:
                raise PotentialError(
                    f"a symmetry function of {function.centre} looks at {', '.join(sorted(unknown))}, "
                    f"the potential knows {', '.join(self.species)}"
                )

    def __getitem__(self, symbol: str) -> ElementDescriptor:
        return self.elements[self.species.index(symbol)]

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols, by atomic number."""
        return tuple(element.centre for element in self.elements)

    @property
    def cutoff(self) -> float:
        """Largest cutoff, Å."""
        return max(f.cutoff for e in self.elements for f in e.functions)

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """One line a function, for people."""
        return "\n".join(f.describe() for e in self.elements for f in e.functions)
