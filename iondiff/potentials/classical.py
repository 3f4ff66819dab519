"""Classical potentials as compiled kernels: test beds for dynamics, and the cores under learned potentials.

Each has the `species`, `cutoff` and `compiled()` that :mod:`iondiff.potentials.compiled` is about, and
gives an ASE calculator with `calculator()`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numba import njit, types
from numba.experimental.function_type import _get_wrapper_address

from iondiff.errors import PotentialError
from iondiff.potentials import _kernels_classical as kernels
from iondiff.potentials.compiled import KERNEL, CompiledPotential
from iondiff.potentials.compiled_calculator import CompiledCalculator

_COULOMB = 14.399645478425668  # e²/(4πε₀), eV Å, CODATA 2018


def _kernel(function: Any) -> Any:
    """The function compiled for the common signature and nothing else."""
    if not function.signatures:
        function.compile(KERNEL)
    return function


class _Classical:
    """What every potential here can do besides its own physics."""

    species: tuple[str, ...]
    cutoff: float

    def compiled(self) -> CompiledPotential:
        raise NotImplementedError

    def calculator(self) -> CompiledCalculator:
        """ASE calculator: energy, forces, stress, energy of each atom."""
        return CompiledCalculator(self)


def _by_pair(
    name: str, value: float | Mapping[Any, float], species: tuple[str, ...]
) -> dict[tuple[str, str], float]:
    """One positive number for every pair of elements, from one number or a table of pairs in any order."""
    pairs = list(itertools.combinations_with_replacement(species, 2))
    if isinstance(value, Mapping):
        table = {
            (a, b): value.get((a, b), value.get((b, a), value.get(f"{a}-{b}", value.get(f"{b}-{a}"))))
            for a, b in pairs
        }
        missing = [f"{a}-{b}" for (a, b), number in table.items() if number is None]
        if missing:
            raise PotentialError(
                f"{name} has no number for the pairs {', '.join(missing)}; give one for each"
            )
    else:
        table = dict.fromkeys(pairs, value)
    for pair, number in table.items():
        if not (isinstance(number, int | float | np.number) and math.isfinite(number) and number > 0):
            raise PotentialError(f"{name} of {pair[0]}-{pair[1]} is {number!r}; wanted a positive number")
    return {pair: float(number) for (a, b), number in table.items() for pair in ((a, b), (b, a))}  # type: ignore[arg-type]


def _checked_species(species: str | Sequence[str]) -> tuple[str, ...]:
    names = (species,) if isinstance(species, str) else tuple(species)
    unknown = [name for name in names if name not in atomic_numbers]
    if unknown or not names or len(set(names)) != len(names):
        raise PotentialError(f"species is {species!r}; wanted chemical symbols, each once")
    return names


@dataclass(frozen=True)
class LennardJones(_Classical):
    """4ε((σ/r)¹² − (σ/r)⁶) up to a cutoff.

    Parameters
    ----------
    species
        One symbol or several.
    epsilon, sigma
        eV and Å; a number, or a table by pairs such as ``{("Ar", "Kr"): 0.012, ...}``.
    cutoff
        Å; 2.5 of the largest σ when not given.
    end
        ``"force"``: energy and force go to zero smoothly at the cutoff (E − E_c − (r − r_c) E′_c);
        ``"energy"``: only the energy does; ``"truncated"``: neither.
    """

    species: tuple[str, ...] = ("Ar",)
    epsilon: Any = 0.0103
    sigma: Any = 3.405
    cutoff: float = 0.0
    end: str = "force"

    def __post_init__(self) -> None:
        object.__setattr__(self, "species", _checked_species(self.species))
        sigma = _by_pair("sigma", self.sigma, self.species)
        _by_pair("epsilon", self.epsilon, self.species)
        if self.cutoff == 0.0:
            object.__setattr__(self, "cutoff", 2.5 * max(sigma.values()))
        if not (math.isfinite(self.cutoff) and self.cutoff > 0):
            raise PotentialError(f"cutoff is {self.cutoff} Å; wanted a positive number")
        if self.end not in {"force", "energy", "truncated"}:
            raise PotentialError(f"end is {self.end!r}; wanted 'force', 'energy' or 'truncated'")

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters."""
        epsilon = _by_pair("epsilon", self.epsilon, self.species)
        sigma = _by_pair("sigma", self.sigma, self.species)
        rows = []
        for first, second in itertools.product(self.species, repeat=2):
            pair = (first, second)
            A, B = 4 * epsilon[pair] * sigma[pair] ** 12, 4 * epsilon[pair] * sigma[pair] ** 6
            rc = self.cutoff
            energy = 0.0 if self.end == "truncated" else A / rc**12 - B / rc**6
            slope = (6 * B / rc**6 - 12 * A / rc**12) / rc if self.end == "force" else 0.0
            rows.append((A, B, rc * rc, energy, slope))
        return CompiledPotential(
            _kernel(kernels.lennard_jones), np.array([len(self.species)]), np.array(rows).ravel()
        )


@dataclass(frozen=True)
class StillingerWeber(_Classical):
    """Stillinger and Weber, Phys. Rev. B 31, 5262 (1985); the defaults are their silicon (ε = 2.1683 eV).

    Parameters
    ----------
    species
        The one element it describes.
    epsilon, sigma
        eV and Å.
    reach
        Cutoff over σ (their a).
    strength, gamma, cosine
        Three-body λ, γ and the cosine of the preferred angle.
    A, B
        Of the pair term, whose exponents are 4 and 0.
    """

    species: tuple[str, ...] = ("Si",)
    epsilon: float = 2.1683
    sigma: float = 2.0951
    reach: float = 1.80
    strength: float = 21.0
    gamma: float = 1.20
    cosine: float = -1.0 / 3.0
    A: float = 7.049556277
    B: float = 0.6022245584
    cutoff: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "species", _checked_species(self.species))
        if len(self.species) != 1:
            raise PotentialError(f"species is {self.species}; Stillinger-Weber here describes one element")
        object.__setattr__(self, "cutoff", self.reach * self.sigma)
        numbers = (self.epsilon, self.sigma, self.reach, self.strength, self.gamma, self.A, self.B)
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise PotentialError(f"the parameters are {numbers}; wanted positive numbers")

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters."""
        reals = (
            self.epsilon, self.sigma, self.reach, self.strength, self.gamma, self.cosine, self.A, self.B
        )  # fmt: skip
        return CompiledPotential(_kernel(kernels.stillinger_weber), np.zeros(1, np.int64), np.array(reals))


@dataclass(frozen=True)
class ZBL(_Classical):
    """Screened nuclear repulsion of Ziegler, Biersack and Littmark (1985), switched off smoothly.

    Between `inner` and `cutoff` a polynomial takes energy, force and curvature to zero.

    Parameters
    ----------
    species
        Symbols.
    inner, cutoff
        Å; the switch works between them.
    """

    species: tuple[str, ...]
    inner: float = 0.8
    cutoff: float = 1.6

    def __post_init__(self) -> None:
        object.__setattr__(self, "species", _checked_species(self.species))
        if not 0 <= self.inner < self.cutoff < math.inf:
            raise PotentialError(
                f"inner is {self.inner} Å and cutoff {self.cutoff} Å; wanted 0 <= inner < cutoff"
            )

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters."""
        reals = [self.inner, self.cutoff]
        width = self.cutoff - self.inner
        for a, b in itertools.product(self.species, repeat=2):
            first, second = atomic_numbers[a], atomic_numbers[b]
            charges = _COULOMB * first * second
            length = 0.46850 / (first**0.23 + second**0.23)
            energy, slope, curvature = kernels.zbl_function(self.cutoff, charges, length)
            reals += [
                charges,
                length,
                (-3 * slope + width * curvature) / width**2,
                (2 * slope - width * curvature) / width**3,
                -energy + width * slope / 2 - width**2 * curvature / 12,
            ]
        return CompiledPotential(_kernel(kernels.zbl), np.array([len(self.species)]), np.array(reals))


class SumPotential(_Classical):
    """Two compiled potentials added, such as a learned one and a repulsive core.

    Parameters
    ----------
    first
        Decides the species.
    second
        Knows at least the species of the first.

    Raises
    ------
    PotentialError
        The second lacks an element of the first.
    """

    def __init__(self, first: Any, second: Any) -> None:
        missing = [name for name in first.species if name not in second.species]
        if missing:
            raise PotentialError(
                f"the second potential knows {', '.join(second.species)} but not {', '.join(missing)}; "
                "both parts of a sum need every element"
            )
        self.first, self.second = first, second
        self.species = tuple(first.species)
        self.cutoff = max(float(first.cutoff), float(second.cutoff))

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters."""
        one, two = self.first.compiled(), self.second.compiled()
        names = list(self.second.species)
        head = [len(self.species), len(one.integers), len(one.reals)]
        integers = np.concatenate(
            [head, [names.index(name) for name in self.species], one.integers, two.integers]
        ).astype(np.int64)
        return CompiledPotential(
            _sum_kernel(one.kernel, two.kernel), integers, np.concatenate([one.reals, two.reals])
        )

    def __repr__(self) -> str:
        return f"SumPotential({self.first!r}, {self.second!r})"


class _Pointer(types.WrapperAddressProtocol):  # type: ignore[misc]
    """A kernel by its address: calling it links none of its code, which for a network takes half a minute."""

    def __init__(self, kernel: Callable[..., float]) -> None:
        self._kernel = kernel

    def __wrapper_address__(self) -> int:
        return int(_get_wrapper_address(self._kernel, KERNEL))

    def signature(self) -> Any:
        return KERNEL


@cache
def _sum_kernel(first_kernel: Callable[..., float], second_kernel: Callable[..., float]) -> Any:
    """A kernel that calls two; made once for a pair of kernels in a process."""
    one, two = _Pointer(first_kernel), _Pointer(second_kernel)

    def both(positions, cell, species, first, index, image, integers, reals, forces, energies, virial):  # type: ignore[no-untyped-def]
        count, n_integers, n_reals = integers[0], integers[1], integers[2]
        begin = 3 + count
        total = one(
            positions, cell, species, first, index, image,
            integers[begin : begin + n_integers], reals[:n_reals], forces, energies, virial,
        )  # fmt: skip
        theirs = np.empty(len(species), np.int64)
        for i in range(len(species)):
            theirs[i] = integers[3 + species[i]]
        more_forces, more_energies, more_virial = (
            np.empty_like(forces),
            np.empty_like(energies),
            np.empty_like(virial),
        )
        total += two(
            positions, cell, theirs, first, index, image,
            integers[begin + n_integers :], reals[n_reals:], more_forces, more_energies, more_virial,
        )  # fmt: skip
        forces += more_forces
        energies += more_energies
        virial += more_virial
        return total

    return njit(KERNEL)(both)
