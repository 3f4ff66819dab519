"""Jumps between given sites: residence times, rates with errors, and the hopping graph they amount to.

An atom belongs to a site from the moment it enters the site's core until it enters the core of another one:
swinging over the border and back is no jump (Vanden-Eijnden and Tal, J. Chem. Phys. 123, 184103 (2005), on
why crossings overcount).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import constants

from iondiff.analysis import _kernels
from iondiff.analysis.tracer import checked_timestep
from iondiff.analysis.trajectory import as_trajectory
from iondiff.errors import TrajectoryError
from kmc import Estimate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
KB = constants.k / constants.e

#: Cores reach this share of the way to the nearest other site.
CORE_SHARE = 1.0 / 3.0


@dataclass(frozen=True)
class Jumps:
    """Who stood where, and who jumped.

    Attributes
    ----------
    sites
        (n, 3), Å, inside the cell.
    cell
        (3, 3), Å.
    timestep_ps
        Between frames.
    home
        (frames, atoms), site indices; −1 before an atom was at any site.
    atom, frame, source, target
        (jumps,): frame is the first at the new site.
    image
        (jumps, 3), lattice vectors from the source's copy to the target's.
    guest
        Symbol of what jumps, or "X".
    """

    sites: Floats
    cell: Floats
    timestep_ps: float
    home: Integers
    atom: Integers
    frame: Integers
    source: Integers
    target: Integers
    image: Integers
    guest: str

    def __len__(self) -> int:
        return len(self.atom)

    @property
    def occupied_ps(self) -> Floats:
        """(n,), ps: total time atoms spent at each site."""
        counts = np.bincount(self.home[self.home >= 0].ravel(), minlength=len(self.sites))
        return np.asarray(counts * self.timestep_ps, dtype=np.float64)

    def residence_times(self) -> pd.DataFrame:
        """Mean stay at each site, with its error: time spent there over jumps from it, and their number."""
        left = np.bincount(self.source, minlength=len(self.sites))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(left > 0, self.occupied_ps / left, np.inf)
            error = np.where(left > 0, mean / np.sqrt(left), np.inf)
        return pd.DataFrame(
            {"site": np.arange(len(self.sites)), "residence_ps": mean, "error_ps": error, "jumps": left}
        )

    def rates(self) -> pd.DataFrame:
        """Each way between two sites, both directions: source, target, image, jumps, rate_Hz, error_Hz.

        In equilibrium a way is gone as often in each direction: both counts are averaged, and divided by the
        time spent at the source. The rates obey detailed balance by construction. Errors are Poisson's, of
        the sum of both counts.
        """
        rows, times = [], self.occupied_ps * 1e-12
        for (i, j, *image), both in sorted(self._ways().items()):
            for source, target, moved in ((i, j, image), (j, i, [-x for x in image])):
                rate = 0.5 * both / times[source]
                rows.append((source, target, tuple(moved), both, rate, rate / math.sqrt(both)))
        return pd.DataFrame(rows, columns=["source", "target", "image", "jumps", "rate_Hz", "error_Hz"])

    def rate(self, source: int, target: int) -> Estimate:
        """Rate from one site to another through all images, Hz, with as many degrees of freedom as jumps."""
        table = self.rates()
        found = table[(table["source"] == source) & (table["target"] == target)]
        if found.empty:
            raise TrajectoryError(f"no jump between sites {source} and {target} was seen; run longer")
        rate, jumps = float(found["rate_Hz"].sum()), float(found["jumps"].sum())
        return Estimate(rate, rate / math.sqrt(jumps), jumps)

    def network(self, temperature: float, *, prefactor: float = 1e13) -> nx.MultiDiGraph:
        """The hopping graph (contract 2) whose rates at this temperature are those seen.

        Site energies are −kT ln(time spent), the lowest zero; barriers −kT ln(rate / prefactor). With one
        prefactor for all, the barriers mean something at this temperature only. Sites never visited are left
        out. Where carriers are dense, the rates contain how often the neighbours were taken.

        Parameters
        ----------
        temperature
            K.
        prefactor
            Hz.

        Returns
        -------
        networkx.MultiDiGraph
            Edges also carry `rate` and `rate_error` (Hz), `jumps`, and `barrier_error` (eV).

        Raises
        ------
        TrajectoryError
            No jumps, or a rate above the prefactor.
        """
        if not (
            math.isfinite(temperature) and temperature > 0 and math.isfinite(prefactor) and prefactor > 0
        ):
            raise TrajectoryError(
                f"temperature is {temperature!r} and prefactor {prefactor!r}; wanted both above zero, in "
                "K and Hz"
            )
        table = self.rates()
        if table.empty:
            raise TrajectoryError("no atom jumped, so there is no network; run longer, or check the sites")
        if float(table["rate_Hz"].max()) > prefactor:
            raise TrajectoryError(
                f"a rate of {table['rate_Hz'].max():.3g} Hz is above the prefactor {prefactor:.3g} Hz, "
                "which would be a "
                "barrier below zero; give a larger prefactor="
            )
        kT = KB * temperature
        times = self.occupied_ps
        visited = np.nonzero(times > 0)[0]
        graph: nx.MultiDiGraph = nx.MultiDiGraph(
            schema="hopping-graph/1", cell=self.cell.tolist(), guest=self.guest
        )
        energies = -kT * np.log(np.maximum(times, 1e-300) / times.max())
        for site in visited:
            graph.add_node(
                int(site), position=self.sites[site].tolist(), energy=float(energies[site]),
                occupied_ps=float(times[site]),
            )  # fmt: skip
        for row in table.to_dict("records"):
            rate, seen = float(row["rate_Hz"]), int(row["jumps"])
            graph.add_edge(
                int(row["source"]), int(row["target"]), image=list(row["image"]), prefactor=float(prefactor),
                barrier=-kT * math.log(rate / prefactor), barrier_error=kT / math.sqrt(seen),
                rate=rate, rate_error=float(row["error_Hz"]), jumps=seen,
            )  # fmt: skip
        return graph

    def _ways(self) -> dict[tuple[int, ...], int]:
        """Jumps along each way, either direction, by (i, j, image) with the lesser direction first."""
        ways: dict[tuple[int, ...], int] = {}
        for i, j, image in zip(self.source.tolist(), self.target.tolist(), self.image.tolist(), strict=True):
            forward, backward = (i, j, *image), (j, i, *(-x for x in image))
            key = min(forward, backward)
            ways[key] = ways.get(key, 0) + 1
        return ways


def jumps(
    positions: Any,
    sites: Any,
    timestep_ps: float | None = None,
    *,
    core: float | Sequence[float] | None = None,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    cell: Any = None,
    wrapped: bool | None = None,
) -> Jumps:
    """Assign atoms to sites frame by frame, and list their jumps.

    Parameters
    ----------
    positions, timestep_ps, species, symbols, cell, wrapped
        As in `iondiff.analysis.diffusivity`; the cell must be known. Where it breathes, fractional places
        count.
    sites
        (n, 3), Å, in the mean cell; or a hopping graph (contract 2), whose nodes they are.
    core
        Å, one radius or one a site; None: a third of the way to the nearest other site.

    Raises
    ------
    TrajectoryError
        No cell, sites that are none or lie on each other, cores that overlap, or no atom ever at a site.
    """
    trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
    timestep = checked_timestep(timestep_ps, trajectory)
    mean_cell = trajectory.mean_cell
    inverse = np.linalg.inv(mean_cell)
    places = _sites(sites) @ inverse
    places -= np.floor(places + 1e-9)
    radii = _cores(core, places, mean_cell)
    atoms = trajectory.atoms_of(species)
    shape = (trajectory.n_frames, len(atoms))
    home, image = np.empty(shape, dtype=np.int64), np.empty((*shape, 3), dtype=np.int64)
    for part in trajectory.parts(len(atoms)):
        path = trajectory.unwrapped(atoms[part])
        fixed = trajectory.known_cells.ndim == 2
        if fixed:
            fractional = path @ inverse
        else:  # whole cells crossed come from the unwrapped path, the place in the cell from each frame
            rows = np.asarray(trajectory.positions[:, atoms[part]], dtype=np.float64)
            rows = rows @ np.linalg.inv(trajectory.known_cells)
            start = path[0] @ inverse
            fractional = rows + np.rint((path @ inverse - start) - (rows - rows[0]))
        one_home, one_image = home[:, part].copy(), image[:, part].copy()
        _kernels.follow_sites(
            np.ascontiguousarray(fractional), places, mean_cell, _NEAR, radii, one_home, one_image
        )
        home[:, part], image[:, part] = one_home, one_image
    if not (home >= 0).any():
        raise TrajectoryError(
            "no atom was ever within a core of a site; check that sites and positions share one frame, "
            "or widen core="
        )
    moved = (home[1:] != home[:-1]) | (image[1:] != image[:-1]).any(axis=2)
    frame, atom = np.nonzero(moved & (home[:-1] >= 0))
    order = np.lexsort([frame, atom])
    frame, atom = frame[order], atom[order]
    guest = species if isinstance(species, str) else (trajectory.symbols or ("X",))[0]
    return Jumps(
        sites=places @ mean_cell, cell=mean_cell, timestep_ps=timestep, home=home, atom=atom, frame=frame + 1,
        source=home[frame, atom], target=home[frame + 1, atom],
        image=image[frame + 1, atom] - image[frame, atom],
        guest=guest,
    )  # fmt: skip


_NEAR = np.array([(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)])


def _sites(sites: Any) -> Floats:
    if isinstance(sites, nx.Graph):
        sites = [data.get("position") for _, data in sites.nodes(data=True)]
    try:
        array = np.array(sites, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1:] != (3,) or not len(array) or not np.isfinite(array).all():
        raise TrajectoryError(
            f"sites have the shape {array.shape}; wanted (sites, 3) finite numbers, in Å, at least one"
        )
    return array


def _cores(core: Any, places: Floats, cell: Floats) -> Floats:
    """Radius of every core, Å; refuses cores that overlap."""
    n = len(places)
    distance = np.full((n, n), np.inf)
    for shift in _NEAR:
        moved = places[None] - places[:, None]
        moved = moved - np.rint(moved) + shift
        length = np.linalg.norm(moved @ cell, axis=2)
        if not shift.any():
            np.fill_diagonal(length, np.inf)
        distance = np.minimum(distance, length)
    closest = distance.min(axis=1)
    others = distance + np.where(np.eye(n, dtype=bool), np.inf, 0.0)
    if n > 1 and others.min() < 1e-3:
        i, j = np.unravel_index(int(others.argmin()), others.shape)
        raise TrajectoryError(f"sites {i} and {j} are {others.min():.2g} Å apart; leave one out")
    radii = (
        CORE_SHARE * closest if core is None else np.broadcast_to(np.asarray(core, dtype=np.float64), (n,))
    )
    if not (np.isfinite(radii).all() and (radii > 0).all()):
        raise TrajectoryError(f"core is {core!r}; wanted radii above zero, in Å")
    overlap = radii[:, None] + radii[None] - distance
    if overlap.max() > 1e-9:
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        raise TrajectoryError(
            f"the cores of sites {i} and {j} overlap by {overlap.max():.3g} Å; give smaller core= radii"
        )
    return np.ascontiguousarray(radii, dtype=np.float64)
