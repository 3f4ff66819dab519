"""Stages of a run: sites, passes and hops on the trained potential, the certificate, bands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numpy as np

import kmc
import search
from iondiff.files import write_json
from iondiff.potentials import GuestLandscape, load
from iondiff.stage_context import Context, write_table
from iondiff.structures import read_structure


def searched(
    context: Context, landscape: GuestLandscape, prefactors: float | Literal["vineyard"]
) -> nx.MultiDiGraph:
    """The hopping graph of a landscape by the run's settings."""
    settings = context.config.search
    network = search.build_network(
        landscape, grid=settings.grid, energy_cap=settings.energy_cap, guest=context.config.guest,
        prefactors=prefactors, seed=context.config.seed, progress=context.progress,
    )  # fmt: skip
    dropped = drop_impossible(network)
    if dropped:
        context.say(
            f"{dropped} hops are left out: their passes are not above both of their sites, the potential is too rough "
            "there; more labels would help"
        )
    return network


def drop_impossible(network: nx.MultiDiGraph) -> int:
    """Take out hops over a pass that is lower than one of its sites, both directions; how many."""

    def of(source: Any, target: Any, image: tuple[int, ...], height: float) -> tuple[Any, ...]:
        """The hop whichever way it is read; parallel ones differ in their passes."""
        one, other = (str(source), str(target), image), (str(target), str(source), tuple(-x for x in image))
        return (min(one, other), round(height, 9))

    names, wrong = {}, set()
    for source, target, key, data in network.edges(keys=True, data=True):
        height = network.nodes[source]["energy"] + data["barrier"]
        names[source, target, key] = of(source, target, tuple(data["image"]), height)
        if data["barrier"] < 0.0:
            wrong.add(names[source, target, key])
    edges = [edge for edge, name in names.items() if name in wrong]
    network.remove_edges_from(edges)
    return len(edges)


def search_network(context: Context) -> None:
    """Sites, passes, hops; and the certificate that none is missing on the fitted surface."""
    settings = context.config.search
    landscape = context.landscape()
    network = searched(context, landscape, settings.prefactors)
    certificate: dict[str, Any] = {"complete": False, "text": "not asked for (search.certify = false)"}
    if settings.certify:
        certificate = certificate_record(search.certify(landscape, network, progress=context.progress))
    # How long it took is no property of the network; the same run must give the same file.
    record = network.graph["search"]
    network.graph["search"] = {
        name: value for name, value in record.items() if not name.startswith("seconds")
    }
    kmc.validate(network)
    kmc.write_graph(network, context.folder / "network.json")
    write_table(search.sites_table(network), context.folder / "sites.csv")
    write_table(search.hops_table(network), context.folder / "hops.csv")
    write_json(context.folder / "certificate.json", certificate)


#: Hops whose bands are advanced together; fixed, so that the numbers do not depend on who does it.
BANDS_A_GROUP = 48


def bands(context: Context) -> None:
    """Check every hop with a climbing-image band; what disagrees or does not converge is said."""
    network = context.network()
    edges = search.neb.one_direction(network)
    groups = [edges[at : at + BANDS_A_GROUP] for at in range(0, len(edges), BANDS_A_GROUP)]
    names = (
        context.folder / "potential.nnp",
        context.folder / "host.extxyz",
        context.folder / "network.json",
    )
    potential, host, graph = (path.read_bytes() for path in names)
    rows: list[dict[str, Any]] = []
    for done in _bands_in_order(context, (potential, host, graph), groups):
        rows += done
        context.progress("bands", len(rows), len(edges))
    settled = [
        row for row in rows if row["converged"] and row["elementary"] and row["difference_eV"] is not None
    ]
    differences = np.abs(np.array([row["difference_eV"] for row in settled], dtype=float))
    record = {
        "hops": len(rows),
        "converged_elementary": len(settled),
        "within_5_meV": int((differences < 5e-3).sum()),
        "largest_difference_eV": float(differences.max()) if len(differences) else None,
        "bands": rows,
    }
    write_json(context.folder / "bands.json", record)


def _bands_in_order(
    context: Context, inputs: tuple[bytes, bytes, bytes], groups: list[list[Any]]
) -> Iterator[list[dict[str, Any]]]:
    if context.executor is None:
        yield from (band_rows(*inputs, context.config.guest, group) for group in groups)
        return
    futures = [context.executor.submit(band_rows, *inputs, context.config.guest, group) for group in groups]
    yield from (future.result() for future in futures)


def band_rows(
    potential: bytes, host: bytes, network: bytes, guest: str, edges: list[Any]
) -> list[dict[str, Any]]:
    """Bands of some hops, from the bytes of the run's files: a worker elsewhere need not see its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in (("potential.nnp", potential), ("host.extxyz", host), ("network.json", network)):
            (folder / file).write_bytes(data)
        landscape = load(folder / "potential.nnp").landscape(
            read_structure(folder / "host.extxyz"), guest=guest
        )
        graph = kmc.read_graph(folder / "network.json")
    return _refined(landscape, graph, edges)


def _refined(landscape: GuestLandscape, graph: nx.MultiDiGraph, edges: list[Any]) -> list[dict[str, Any]]:
    """Rows of the bands; a hop that has none on this landscape says why, and the others go on."""
    try:
        return [_band_row(hop, graph) for hop in search.neb.refine(landscape, graph, edges)]
    except search.SearchError as error:
        if len(edges) > 1:
            return [row for edge in edges for row in _refined(landscape, graph, [edge])]
        (source, target, key), data = edges[0], graph.edges[edges[0]]
        named = {"source": source, "target": target, "key": key, "image": list(data["image"])}
        numbers = {"barrier_eV": float(data["barrier"]), "band_barrier_eV": None, "difference_eV": None}
        return [{**named, **numbers, "elementary": False, "converged": False, "reason": str(error)}]


def _band_row(hop: Any, network: nx.MultiDiGraph) -> dict[str, Any]:
    source, target, key = hop.edge
    finite = bool(np.isfinite(hop.barrier))
    return {
        "source": source,
        "target": target,
        "key": key,
        "image": list(network.edges[hop.edge]["image"]),
        "barrier_eV": float(hop.network_barrier),
        "band_barrier_eV": float(hop.barrier) if finite else None,
        "difference_eV": float(hop.barrier - hop.network_barrier) if finite else None,
        "elementary": bool(hop.elementary),
        "converged": bool(hop.converged),
        "reason": hop.reason,
    }


def certificate_record(certificate: Any) -> dict[str, Any]:
    """A certificate as plain data; times are left out."""
    numbers = {
        name: value
        for name, value in vars(certificate).items()
        if isinstance(value, (bool, int, float, str)) and not name.startswith("seconds")
    }
    numbers = {k: v for k, v in numbers.items() if not isinstance(v, float) or np.isfinite(v)}
    return {**numbers, "complete": bool(certificate.complete), "text": str(certificate)}
