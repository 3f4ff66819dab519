"""Stage of a run: whether D still changes with labels or hops, and where the potential extrapolates."""

from __future__ import annotations

import warnings
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

import kmc
import search
from iondiff.assessment import split
from iondiff.files import write_json
from iondiff.potentials import GuestLandscape
from iondiff.sampling import LabelSet, read_labels
from iondiff.stage_context import Context, read_record
from iondiff.stages import trained
from iondiff.stages_network import searched

#: Hz, for every hop where networks of different label sets are compared: frequencies are not what is asked.
PREFACTOR = 1e13
#: Parts of the walk after which D is looked at.
PARTS_OF_THE_WALK = (1 / 64, 1 / 16, 1 / 4)
#: Standard deviations of a symmetry function beyond the range of the labels that count as outside it.
OUTSIDE = 0.1
_MOST_PLACES = 100


def checks(context: Context) -> None:
    """Convergence of D, and the sites and passes at which the potential extrapolates."""
    config, host = context.config, context.host()
    kelvin = float(np.median(config.transport.temperatures))
    network, landscape = context.network(), context.landscape()
    labels = read_labels(context.folder / "training_labels.jsonl.gz", host, config.guest)
    training, _ = split(labels, config.labels.test_count, config.seed)
    record = {
        "temperature": kelvin,
        "hops": _over_hops(context, network, kelvin),
        "labels": _over_labels(context, training, network, kelvin),
        "extrapolation": _extrapolation(landscape, training, network),
    }
    write_json(context.folder / "checks.json", record)


def _over_hops(context: Context, network: nx.MultiDiGraph, kelvin: float) -> list[dict[str, Any]]:
    """D of walks cut short, and of the whole one at the nearest temperature there is."""
    settings, rows = context.config.transport, []
    for part in PARTS_OF_THE_WALK:
        hops = max(1, round(part * settings.hops))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = kmc.simulate(network, kelvin, settings.walkers, hops, seed=context.config.seed)
            estimate = kmc.tracer_diffusivity(run, check=False)
        rows.append(_row("hops", hops * settings.walkers, estimate.value, estimate.error))
    table = pd.read_csv(context.folder / "diffusivity.csv")
    walked = table[(table["method"] == "walk") & np.isclose(table["temperature"], kelvin)]
    for row in walked.itertuples():
        rows.append(_row("hops", settings.hops * settings.walkers, row.D, row.D_error))  # noqa: PERF401
    return rows


def _row(name: str, count: int, value: Any, error: Any) -> dict[str, Any]:
    number, spread = float(np.asarray(value)), float(np.asarray(error))
    return {
        name: int(count),
        "D": number if np.isfinite(number) else None,
        "D_error": spread if np.isfinite(spread) else None,
    }


def _over_labels(
    context: Context, training: LabelSet, network: nx.MultiDiGraph, kelvin: float
) -> list[dict[str, Any]]:
    """Exact D of the networks of the rounds of improvement, of parts of the labels, and of all of them."""
    rows = [
        {"labels": found["label_count"], "D": found["D_cm2_s"]}
        for found in read_record(context.folder / "improvement.json")["rounds"]
        if "D_cm2_s" in found  # folders of earlier versions have no such number
    ]
    known = training.select()
    for fraction in sorted(context.config.checks.label_fractions):
        # The first of a fixed shuffle: each set holds the smaller ones.
        order = np.random.default_rng(context.config.seed).permutation(len(known))
        mine = [known.labels[i] for i in np.sort(order[: max(10, round(fraction * len(known)))])]
        potential = trained(context, context.host(), LabelSet(mine, known.provenance), f"checks{len(mine)}")
        found = searched(context, potential.landscape(context.host()), PREFACTOR)
        rows.append({"labels": len(mine), "D": isotropic(found, kelvin)})
    plain = network.copy()
    nx.set_edge_attributes(plain, PREFACTOR, "prefactor")
    rows.append({"labels": len(known), "D": isotropic(plain, kelvin)})
    return sorted(rows, key=lambda row: row["labels"])


def isotropic(network: nx.MultiDiGraph, kelvin: float) -> float:
    """A third of the trace of the exact diffusion tensor, cm²/s; 0 where the network leads nowhere."""
    return float(np.trace(kmc.diffusion_tensor(network, kelvin))) / 3.0 if network.number_of_edges() else 0.0


def _extrapolation(landscape: GuestLandscape, training: LabelSet, network: nx.MultiDiGraph) -> dict[str, Any]:
    """Sites and passes whose symmetry functions are outside the range of the training labels."""
    known = landscape.environments(training.positions)
    low, high = known.min(axis=0) - OUTSIDE, known.max(axis=0) + OUTSIDE
    names, points = [], []
    for node, data in network.nodes(data=True):
        names.append(f"site {node}")
        points.append(data["position"])
    for source, target, key in search.neb.one_direction(network):
        data = network.edges[source, target, key]
        if "saddle_position" in data:
            names.append(f"pass {source} → {target}")
            points.append(data["saddle_position"])
    places = np.array(points, dtype=float).reshape(-1, 3)
    here, spread = landscape.environments(places), landscape.spread(places)
    excess = np.maximum(low - here, here - high)
    outside = (excess > 0).sum(axis=1)
    order = np.lexsort((-spread, -outside))
    rows = [
        {
            "place": names[i],
            "functions_outside": int(outside[i]),
            "farthest_sigma": float(max(excess[i].max(), 0.0)),
            "spread_eV": float(spread[i]) if np.isfinite(spread[i]) else None,
        }
        for i in order[:_MOST_PLACES]
        if outside[i]
    ]
    finite = spread[np.isfinite(spread)]
    return {
        "looked_at": len(names),
        "outside": int((outside > 0).sum()),
        "functions": int(here.shape[1]) if len(here) else 0,
        "largest_spread_eV": float(finite.max()) if len(finite) else None,
        "median_spread_eV": float(np.median(finite)) if len(finite) else None,
        "places": rows,
    }
