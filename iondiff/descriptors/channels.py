"""From a list of symmetry functions to channels: the sums over neighbours that the functions are made of.

Functions of one element overlap. Each is a fixed linear combination of *channels*, and a channel is computed
once however many functions want it:

- radial: Σ exp(−η (r − r_s)²) f(r) over neighbours of one element (G1, G2, W2);
- pairs: Σ c^m exp(−η s) F over pairs of two elements, for every power m of the cosine c up to the largest ζ
  (G4, W4): (1 + λc)^ζ is a polynomial in c, so λ and ζ only choose coefficients; ζ that are not whole, or
  above 8, are channels of their own;
- moments: the same for G5, computed without a loop over pairs (:mod:`iondiff.descriptors._kernels_moments`);
- bells: Σ C, Σ C C A (polynomial kinds) and Σ cos κr f(r) (G3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from ase.data import atomic_numbers

from iondiff.descriptors import _slots as slot
from iondiff.descriptors._sheet import Sheet
from iondiff.descriptors.definitions import SymmetryFunction
from iondiff.descriptors.descriptor import Descriptor

LARGEST_DEGREE = 8
LARGEST_MULTIPLE = 40
_CORES = {"p1": 5, "p2": 6, "p3": 7, "p4": 8, "e": 4}
_FIXED_ROWS = 9  # rows of a group of pairs beside one an eta: see _kernels_pairs

Key = tuple[float, ...]


@dataclass
class _Group:
    """Pairs of two elements with one cutoff function and one shift."""

    degrees: dict[float, int] = field(default_factory=dict)  # eta -> highest power of the cosine, or -1
    powers: dict[Key, None] = field(default_factory=dict)  # (eta, lambda, zeta)


@dataclass
class _Shell:
    """Moments with one radial factor: (first, second) -> highest power of the cosine."""

    degrees: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass
class _Bells:
    """Rows (kind, core or cutoff, bent, two reals), sums (element, row) and groups of pairs."""

    rows: dict[Key, int] = field(default_factory=dict)
    sums: dict[tuple[int, int], None] = field(default_factory=dict)
    groups: dict[tuple[int, int], dict[tuple[int, Key, bool], None]] = field(default_factory=dict)

    def row(self, key: Key) -> int:
        return self.rows.setdefault(key, len(self.rows))


class _Element:
    """Channels of one centre element, collected function by function, then written on the sheet."""

    def __init__(self, species: tuple[str, ...], cutoffs: dict[Key, int]) -> None:
        self.species = species
        self.cutoffs = cutoffs
        self.radial: dict[Key, None] = {}
        self.groups: dict[Key, _Group] = {}
        self.shells: dict[Key, _Shell] = {}
        self.bells = _Bells()
        self.terms: list[tuple[int, tuple[object, ...], float]] = []  # function, name of channel, coefficient

    def add(self, number: int, function: SymmetryFunction) -> None:
        """One function: what it needs, and how it is made of it."""
        if function.polynomial:
            self._add_bell(number, function)
            return
        cutoff = self._cutoff(function)
        if function.kind == "G3":
            row = self.bells.row((1, cutoff, 0, function.kappa, 0.0))
            self._add_sum(number, self.species.index(function.neighbours[0]), row, 1.0)
        elif function.radial:
            gaussian = (0.0, 0.0) if function.kind == "G1" else (function.eta, function.shift)
            for element, weight in self._neighbours(function):
                key = (element, cutoff, *gaussian)
                self.radial[key] = None
                self.terms.append((number, ("radial", key), weight))
        else:
            for pair, weight in self._pairs(function):
                self._add_angle(number, function, cutoff, pair, weight)

    def _cutoff(self, function: SymmetryFunction) -> int:
        key = (function.cutoff_kind, function.cutoff, function.inner * function.cutoff)
        return self.cutoffs.setdefault(key, len(self.cutoffs))

    def _neighbours(self, function: SymmetryFunction) -> Iterator[tuple[int, float]]:
        if function.weighted:
            yield from ((e, float(atomic_numbers[symbol])) for e, symbol in enumerate(self.species))
        else:
            yield self.species.index(function.neighbours[0]), 1.0

    def _pairs(self, function: SymmetryFunction) -> Iterator[tuple[tuple[int, int], float]]:
        if function.weighted:
            numbers = [float(atomic_numbers[symbol]) for symbol in self.species]
            for a in range(len(numbers)):
                yield from (((a, b), numbers[a] * numbers[b]) for b in range(a, len(numbers)))
        else:
            a, b = sorted(self.species.index(symbol) for symbol in function.neighbours)
            yield (a, b), 1.0

    def _add_angle(
        self, number: int, function: SymmetryFunction, cutoff: int, pair: tuple[int, int], weight: float
    ) -> None:
        eta, lam, zeta = function.eta, function.lam, function.zeta
        scale = weight * 2.0 ** (1.0 - zeta)
        polynomial = zeta == int(zeta) and zeta <= LARGEST_DEGREE and abs(lam) <= 1
        coefficients = [scale * math.comb(int(zeta), m) * lam**m for m in range(int(zeta) + 1)]
        if polynomial and not function.narrow:
            key: Key = (cutoff, eta, function.shift)
            degrees = self.shells.setdefault(key, _Shell()).degrees
            degrees[pair] = max(degrees.get(pair, 1), int(zeta))
            name: tuple[object, ...] = ("shell", key, pair)
        else:
            key = (*pair, cutoff, float(function.narrow), function.shift)
            group = self.groups.setdefault(key, _Group())
            group.degrees[eta] = max(group.degrees.get(eta, -1), int(zeta) if polynomial else -1)
            name = ("group", key, eta)
        if polynomial:
            self.terms += [(number, (*name, m), c) for m, c in enumerate(coefficients)]
        else:
            group.powers[eta, lam, zeta] = None
            self.terms.append((number, ("power", key, (eta, lam, zeta)), scale))

    def _add_sum(self, number: int, element: int, row: int, weight: float) -> None:
        self.bells.sums[element, row] = None
        self.terms.append((number, ("sum", (element, row)), weight))

    def _add_bell(self, number: int, function: SymmetryFunction) -> None:
        core, bent = _CORES[function.core.removesuffix("a")], function.core.endswith("a")
        row = self.bells.row((0, core, bent, function.r_low, function.r_high))
        if function.radial:
            for element, weight in self._neighbours(function):
                self._add_sum(number, element, row, weight)
            return
        angle = (core, math.radians(function.angle_left), math.radians(function.angle_right))
        for pair, weight in self._pairs(function):
            self.bells.groups.setdefault(pair, {})[row, angle, function.narrow] = None
            self.terms.append((number, ("bell", pair, (row, angle, function.narrow)), weight))

    def write(self, sheet: Sheet, n_functions: int) -> dict[int, int]:
        """Slots of the element's record that describe channels, filled."""
        channel: dict[tuple[object, ...], int] = {}
        n_radial = len(self.radial)
        channel.update({("radial", key): c for c, key in enumerate(self.radial)})
        record = {
            slot.E_FUNCTIONS: n_functions,
            slot.E_RADIAL: n_radial,
            slot.E_RADIAL_AT: sheet.add_whole(int(n) for key in self.radial for n in key[:2]),
            slot.E_RADIAL_REAL: sheet.add_real(x for key in self.radial for x in key[2:]),
        }
        groups = [self._write_group(sheet, key, group, channel) for key, group in self.groups.items()]
        shells = [self._write_shell(sheet, key, shell, channel) for key, shell in self.shells.items()]
        record[slot.E_GROUPS], record[slot.E_GROUPS_AT] = len(groups), sheet.add_whole(groups)
        record[slot.E_SHELLS], record[slot.E_SHELLS_AT] = len(shells), sheet.add_whole(shells)
        record[slot.E_BELLS] = self._write_bells(sheet, channel) if self.bells.rows else 0
        record[slot.E_CHANNELS] = len(channel)
        record[slot.E_TERMS] = len(self.terms)
        record[slot.E_TERMS_AT] = sheet.add_whole(n for f, name, _ in self.terms for n in (f, channel[name]))
        record[slot.E_TERMS_REAL] = sheet.add_real(c for _, _, c in self.terms)
        return record

    def _write_group(
        self, sheet: Sheet, key: Key, group: _Group, channel: dict[tuple[object, ...], int]
    ) -> int:
        first, second, cutoff, narrow, shift = key
        etas = sorted(group.degrees)
        tables: list[int] = []
        for number, (eta, degree) in enumerate(sorted(group.degrees.items())):
            tables += [degree, len(channel), *_root(number, etas)]
            channel.update({("group", key, eta, m): len(channel) + m for m in range(degree + 1)})
        for power in group.powers:
            tables += [etas.index(power[0]), len(channel)]
            channel["power", key, power] = len(channel)
        real = sheet.add_real([shift, *etas, *(x for power in group.powers for x in power[1:])])
        head = [first, second, cutoff, narrow, len(etas), len(group.powers), real]
        return sheet.add_whole([int(n) for n in head] + tables)

    def _write_shell(
        self, sheet: Sheet, key: Key, shell: _Shell, channel: dict[tuple[object, ...], int]
    ) -> int:
        table: list[int] = []
        for pair, degree in shell.degrees.items():
            table += [*pair, degree, len(channel)]
            channel.update({("shell", key, pair, m): len(channel) + m for m in range(degree + 1)})
        top = max(shell.degrees.values())
        # Vectors read a little farther than the last.
        real = sheet.add_real([*key[1:], *_multinomials(top), *[0.0] * 8])
        return sheet.add_whole([int(key[0]), top, len(shell.degrees), real, *table])

    def _write_bells(self, sheet: Sheet, channel: dict[tuple[object, ...], int]) -> int:
        groups = []
        for pair, functions in self.bells.groups.items():
            angles = list(dict.fromkeys(angle for _, angle, _ in functions))
            thirds = list(dict.fromkeys(row for row, _, narrow in functions if narrow))
            table = [int(core) for core, _, _ in angles] + thirds
            for row, angle, narrow in functions:
                third = thirds.index(row) if narrow else -1
                table += [row, angles.index(angle), third, len(channel)]
                channel["bell", pair, (row, angle, narrow)] = len(channel)
            real = sheet.add_real(x for angle in angles for x in angle[1:])
            groups.append(sheet.add_whole([*pair, len(angles), len(thirds), len(functions), real, *table]))
        table = []
        for element, row in self.bells.sums:
            table += [element, row, len(channel)]
            channel["sum", (element, row)] = len(channel)
        real = sheet.add_real(x for key in self.bells.rows for x in key[3:])
        rows = [int(n) for key in self.bells.rows for n in key[:3]]
        head = [len(self.bells.rows), len(self.bells.sums), len(groups), real]
        return sheet.add_whole([*head, *rows, *table, *groups])

    def needs(self) -> dict[int, int]:
        """Scratch that the kernels want for this element: slots of the header."""
        rows = {True: 0, False: 0}
        for key, group in self.groups.items():
            rows[key[0] == key[1]] += _FIXED_ROWS + len(group.degrees)
        moments = {key: max(shell.degrees.values()) for key, shell in self.shells.items()}
        monomials = {key: (d + 1) * (d + 2) * (d + 3) // 6 for key, d in moments.items()}
        scratch = list(monomials.values())
        scratch += [
            2 * len({angle for _, angle, _ in functions}) + 2 * len({row for row, _, _ in functions})
            for functions in self.bells.groups.values()
        ]
        return {
            slot.MOST_RADIAL: len(self.radial),
            slot.MOST_ROWS: 2 * len(self.bells.rows),
            slot.MOST_GROUPS: len(self.groups),
            slot.SAME_ROWS: rows[True],
            slot.MIXED_ROWS: rows[False],
            slot.VECTORS: max(scratch, default=0),
            slot.MOMENTS: sum(len(self.species) * (1 + n) for n in monomials.values())
            + max(monomials.values(), default=0),
            slot.MONOMIALS: max(monomials.values(), default=0),
            slot.SHELL_ROWS: len(self.shells),
        }


def _root(number: int, etas: list[float]) -> tuple[int, int]:
    """An eta that this one is a small multiple of, and the multiple: powers are cheaper than exponentials."""
    for root in range(number):
        if etas[root] > 0:
            multiple = round(etas[number] / etas[root])
            exact = abs(etas[number] - multiple * etas[root]) <= 1e-15 * etas[number]
            if 2 <= multiple <= LARGEST_MULTIPLE and exact and _root(root, etas)[1] == 1:
                return root, multiple
    return number, 1


def _multinomials(top: int) -> list[int]:
    """d!/(a! b! c!) of all monomials up to degree `top`, in the order of the moments."""
    return [
        math.comb(d, t) * math.comb(t, c) for d in range(top + 1) for t in range(d + 1) for c in range(t + 1)
    ]


def write_channels(descriptor: Descriptor, sheet: Sheet) -> list[dict[int, int]]:
    """Write all that describes the functions on the sheet and in its header; one record an element."""
    species = descriptor.species
    cutoffs: dict[Key, int] = {}
    records = []
    header: dict[int, int] = {}
    for description in descriptor.elements:
        element = _Element(species, cutoffs)
        for number, function in enumerate(description.functions):
            element.add(number, function)
        record = element.write(sheet, len(description))
        scaling = description.scaling
        columns = (scaling.shift, scaling.factor, scaling.minimum, scaling.maximum)
        record[slot.E_SCALING] = sheet.add_real(x for column in columns for x in column)
        records.append(record)
        needs = element.needs()
        needs[slot.MOST_FUNCTIONS] = record[slot.E_FUNCTIONS]
        needs[slot.MOST_CHANNELS] = record[slot.E_CHANNELS]
        for key, value in needs.items():
            header[key] = max(header.get(key, 0), value)
    header[slot.N_SPECIES] = len(species)
    header[slot.N_CUTOFFS] = len(cutoffs)
    header[slot.CUTOFF_KINDS] = sheet.add_whole(int(key[0]) for key in cutoffs)
    header[slot.CUTOFF_RADII] = sheet.add_real(x for key in cutoffs for x in key[1:])
    for key, value in header.items():
        sheet.whole[key] = value
    sheet.real[slot.REACH] = descriptor.cutoff
    return records
