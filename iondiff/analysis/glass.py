"""A report on amorphous models: every number for every sample, and averages over samples with an interval each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from scipy.ndimage import gaussian_filter1d

from iondiff.analysis.structure import (
    Cutoff,
    bond_angles,
    coordination,
    density,
    first_peak,
    order,
    polyhedra,
    rdf,
    ring_sizes,
    structure_factor,
)  # fmt: skip
from iondiff.analysis.vibrations import Vibrations
from iondiff.errors import HostError
from iondiff.files import write_atomically, write_json
from kmc import Estimate

_BOND = (0.7, 1.35)  # of the sum of the covalent radii: where a first peak is a bond
_BIN = 0.02  # Å
_SMOOTH = 0.06  # Å, standard deviation of the smoothing before a minimum is looked for


@dataclass(frozen=True)
class GlassReport:
    """What samples of one glass look like.

    Attributes
    ----------
    metrics
        One row a sample, a column for each number: `density_g_cm3`, `coordination`, `coordination_Si` (of each
        element), `share_Si_4` (of the atoms of an element with so many neighbours), `defects` (share of atoms without
        the expected number), `angle_deg`, `angle_spread_deg`, `rings_5` (share of pairs of bonds whose shortest ring
        has five atoms), `first_peak_A`, `order`, and where asked for `excess_eV` (an atom, above the crystal),
        `units_1` (share of centres in units of one polyhedron), `ligands_2` (share of ligands bound to two centres),
        `shared_1` (pairs of polyhedra that share a corner, for each centre).
    cutoff
        Å, that bonds were counted with.
    curves
        Name -> table, averaged over samples: `rdf` (r_A; g, and g_Si-O of each pair), `structure_factor`
        (q_1_A, S), `angles` (angle_deg, density), `vibrations` (frequency_THz, density) where given.
    """

    metrics: pd.DataFrame
    cutoff: Cutoff
    curves: dict[str, pd.DataFrame] = field(repr=False)

    def average(self, name: str) -> Estimate:
        """Mean over samples with its standard error; the error is infinite for one sample.

        Raises
        ------
        HostError
            There is no such number.
        """
        if name not in self.metrics:
            raise HostError(f"the report has no {name!r}; it has {', '.join(map(str, self.metrics))}")
        values = self.metrics[name].dropna().to_numpy(float)
        if len(values) < 2:
            return Estimate(float(values.mean()) if len(values) else float("nan"), float("inf"))
        return Estimate(
            float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1
        )

    def averages(self, confidence: float = 0.95) -> pd.DataFrame:
        """One row a number: `mean`, `error`, `low`, `high` (Student's interval), `samples`."""
        rows = {}
        for name in map(str, self.metrics):
            one = self.average(name)
            low, high = one.interval(confidence)
            rows[name] = (one.value, one.error, low, high, int(self.metrics[name].count()))
        return pd.DataFrame.from_dict(
            rows, orient="index", columns=["mean", "error", "low", "high", "samples"]
        )

    def write(self, folder: str | Path) -> None:
        """Write ``samples.csv``, ``averages.csv``, ``curves.json`` into a folder that exists."""
        folder = Path(folder)
        write_atomically(folder / "samples.csv", self.metrics.to_csv(index_label="sample"))
        write_atomically(folder / "averages.csv", self.averages().to_csv(index_label="number"))
        curves = {name: table.round(6).to_dict("list") for name, table in self.curves.items()}
        write_json(folder / "curves.json", curves)

    def plot(self, path: str | Path | None = None) -> Any:
        """Six panels with matplotlib; saved where a path is given."""
        from iondiff.analysis._glass_plot import draw

        return draw(self, path)


def glass_report(
    samples: Atoms | Sequence[Atoms],
    cutoff: Cutoff | None = None,
    *,
    expected: int | Mapping[str, int] | None = None,
    energies_eV: Sequence[float] | None = None,
    crystal_eV: float | None = None,
    units: tuple[str, str, float] | None = None,
    vibrations: Sequence[Vibrations] | None = None,
    largest_ring: int = 10,
    r_max: float = 10.0,
    q_max: float = 15.0,
) -> GlassReport:
    """Describe samples of one glass.

    Parameters
    ----------
    samples
        Structures, periodic in all directions.
    cutoff
        Å, of a bond: a number, or by pairs; found from the radial distribution functions when not given
        (:func:`bond_cutoff`).
    expected
        Neighbours that an atom should have, one number or for each element; what most atoms of an element have when not
        given. Others are defects.
    energies_eV, crystal_eV
        Of each sample, and of an atom (formula unit divided by its atoms) of the crystal, for the excess energy.
    units
        Centre, ligand and cutoff (Å) of polyhedra, such as ``("P", "O", 2.0)``.
    vibrations
        Of each sample (:func:`iondiff.analysis.vibrations.harmonic_vibrations`).
    largest_ring
        Atoms; larger rings count as none.
    r_max, q_max
        Å and 1/Å, ends of the curves.

    Raises
    ------
    HostError
        No samples, open boundaries, cutoffs that name no pair, or lists of other lengths than the samples'.
    """
    frames = [samples] if isinstance(samples, Atoms) else list(samples)
    if not frames:
        raise HostError("there are no samples to describe; pass at least one structure")
    for name, given in (("energies_eV", energies_eV), ("vibrations", vibrations)):
        if given is not None and len(given) != len(frames):
            raise HostError(f"{name} has {len(given)} entries for {len(frames)} samples; wanted one for each")
    if not all(atoms.pbc.all() and atoms.cell.rank == 3 for atoms in frames):
        raise HostError("a report on a glass needs structures that are periodic in all directions")
    reach = bond_cutoff(frames) if cutoff is None else cutoff
    wanted = _expected(frames, reach, expected)
    rows = []
    for k, atoms in enumerate(frames):
        row = _numbers(atoms, reach, wanted, largest_ring)
        if energies_eV is not None:
            row["energy_eV"] = energies_eV[k] / len(atoms)
            if crystal_eV is not None:
                row["excess_eV"] = row["energy_eV"] - crystal_eV
        if units is not None:
            row |= _units(atoms, *units)
        rows.append(row)
    metrics = pd.DataFrame(rows)
    shares = [
        name
        for name in map(str, metrics)
        if name.startswith(("share_", "rings_", "units_", "ligands_", "shared_"))
    ]
    metrics[shares] = metrics[shares].fillna(0.0)
    return GlassReport(metrics, reach, _curves(frames, reach, vibrations, r_max, q_max))


def bond_cutoff(samples: Atoms | Sequence[Atoms]) -> Cutoff:
    """Å: the first minimum of g(r), of every pair whose first peak lies where a bond would.

    Returns
    -------
    cutoff
        A number for one element, a table by pairs for several.

    Raises
    ------
    HostError
        No pair has such a peak.
    """
    frames = [samples] if isinstance(samples, Atoms) else list(samples)
    names = sorted(set().union(*(atoms.get_chemical_symbols() for atoms in frames)))
    table: dict[tuple[str, str], float] = {}
    for a, b in itertools.combinations_with_replacement(names, 2):
        bond = covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]]
        holding = [atoms for atoms in frames if {a, b} <= set(atoms.get_chemical_symbols())]
        if not holding:
            continue
        r, g = rdf(holding, 1.8 * bond, round(1.8 * bond / _BIN), (a, b))
        g = gaussian_filter1d(g, _SMOOTH / _BIN)
        inside = np.flatnonzero((r > _BOND[0] * bond) & (r < _BOND[1] * bond))
        peak = inside[np.argmax(g[inside])]
        after = slice(peak, np.searchsorted(r, 1.65 * bond))
        valley = peak + int(np.argmin(g[after]))
        # The middle of a gap, where there is one.
        flat = np.flatnonzero(g[after] <= g[valley] + 1e-6)
        valley = peak + int(flat[len(flat) // 2])
        whole = peak < inside[-1]  # else it is the flank of a farther one
        if whole and g[peak] > 1.5 and g[valley] < 0.7 * g[peak]:
            table[a, b] = float(r[valley])
    if not table:
        raise HostError("no pair of elements has a first peak at the length of a bond; pass cutoff=... in Å")
    return next(iter(table.values())) if len(names) == 1 else table


def _expected(frames: list[Atoms], reach: Cutoff, expected: int | Mapping[str, int] | None) -> dict[str, int]:
    names = sorted(set().union(*(atoms.get_chemical_symbols() for atoms in frames)))
    if isinstance(expected, Mapping):
        unknown = sorted(set(expected) - set(names))
        if unknown:
            raise HostError(f"expected names {', '.join(unknown)}; the samples have {', '.join(names)}")
        return dict(expected)
    if expected is not None:
        return dict.fromkeys(names, int(expected))
    found = {}
    for name in names:
        counts = np.concatenate(
            [coordination(a, reach, name) for a in frames if name in a.get_chemical_symbols()]
        )
        found[name] = int(np.bincount(counts).argmax())
    return found


def _numbers(atoms: Atoms, reach: Cutoff, expected: dict[str, int], largest_ring: int) -> dict[str, float]:
    counts, symbols = coordination(atoms, reach), np.array(atoms.get_chemical_symbols())
    row = {"density_g_cm3": density(atoms), "coordination": float(counts.mean())}
    wrong = np.zeros(len(atoms), bool)
    for name in np.unique(symbols).tolist():
        of = counts[symbols == name]
        if len(expected) > 1:
            row[f"coordination_{name}"] = float(of.mean())
        row |= {f"share_{name}_{k}": float((of == k).mean()) for k in np.unique(of)}
        if name in expected:
            wrong |= (symbols == name) & (counts != expected[name])
    row["defects"] = float(wrong.mean())
    angle = bond_angles(atoms, reach)
    if len(angle):
        row |= {"angle_deg": float(angle.mean()), "angle_spread_deg": float(angle.std())}
    sizes = ring_sizes(atoms, reach, largest_ring)
    total = max(1, sum(sizes.values()))
    row |= {f"rings_{size}": sizes[size] / total for size in sorted(sizes) if size}
    r, g = rdf(atoms, 6.0, 300)
    row["first_peak_A"] = first_peak(r, g)
    row["order"] = order(atoms)
    return row


def _units(atoms: Atoms, centre: str, ligand: str, reach: float) -> dict[str, float]:
    found = polyhedra(atoms, centre, ligand, reach)
    symbols = atoms.get_chemical_symbols()
    centres, ligands = symbols.count(centre), symbols.count(ligand)
    row = {f"units_{size}": size * number / centres for size, number in found.units.items()}
    row |= {f"ligands_{k}": number / ligands for k, number in found.ligands.items()}
    return row | {f"shared_{k}": number / centres for k, number in found.shared.items()}


def _curves(
    frames: list[Atoms], reach: Cutoff, vibrations: Sequence[Vibrations] | None, r_max: float, q_max: float
) -> dict[str, pd.DataFrame]:
    n_bins = round(r_max / _BIN)
    names = sorted(set().union(*(atoms.get_chemical_symbols() for atoms in frames)))
    r, g = rdf(frames, r_max, n_bins)
    radial = {"r_A": r, "g": g}
    if len(names) > 1:
        for a, b in itertools.combinations_with_replacement(names, 2):
            holding = [atoms for atoms in frames if {a, b} <= set(atoms.get_chemical_symbols())]
            if holding:
                radial[f"g_{a}-{b}"] = rdf(holding, r_max, n_bins, (a, b))[1]
    q = np.linspace(0.5, q_max, 291)
    number_density = float(np.mean([len(atoms) / atoms.get_volume() for atoms in frames]))
    edges = np.linspace(0.0, 180.0, 91)
    angle = np.concatenate([bond_angles(atoms, reach) for atoms in frames])
    counts = np.histogram(angle, edges)[0] / max(1, len(angle)) / np.diff(edges)
    curves = {
        "rdf": pd.DataFrame(radial),
        "structure_factor": pd.DataFrame({"q_1_A": q, "S": structure_factor(r, g, number_density, q)}),
        "angles": pd.DataFrame({"angle_deg": 0.5 * (edges[1:] + edges[:-1]), "density": counts}),
    }
    if vibrations:
        x = np.linspace(0.0, max(float(one.frequencies_THz.max()) for one in vibrations) + 1.5, 300)
        densities = [np.interp(x, *one.density(), right=0.0) for one in vibrations]
        curves["vibrations"] = pd.DataFrame({"frequency_THz": x, "density": np.mean(densities, axis=0)})
    return curves
