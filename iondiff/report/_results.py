"""The sections that show what was found: the network, the transport."""

from __future__ import annotations

from html import escape

from iondiff.report import _charts, _transport_charts
from iondiff.report._files import Run
from iondiff.report._geometry import CURRENT_PART, HopLines
from iondiff.report._html import Part, frame_table, mapping_table, missing, plot, section, table
from iondiff.report._numbers import count, rounded
from iondiff.report._percolation import percolation_path
from iondiff.report._scene import MAX_ATOMS, MAX_HOPS, scene


def network_section(run: Run, hops: HopLines) -> Part:
    """The network in 3D with the temperature slider."""
    guest = escape(str(run.network.graph.get("guest", "the guest")))
    sites = count(run.network.number_of_nodes(), "site")
    passes = count(len(hops.names), "pass", "passes")
    lead = (
        f"{sites} of {guest} and the {passes} between them. The darker a hop, the lower its barrier (counted "
        "from the lower of its sites); the thicker, the faster at the chosen temperature; pale hops lead to "
        "the next cell. Click in the legend to hide, drag to turn, hover for numbers."
    )
    notes = [_current_note(hops), _path_note(run, hops)]
    if len(hops.names) > MAX_HOPS:
        notes.append(f"Only the {MAX_HOPS:,} lowest barriers are drawn.")
    if len(run.host) > MAX_ATOMS:
        notes.append(f"Only the first {MAX_ATOMS:,} of {len(run.host):,} host atoms are drawn.")
    body = plot("network-3d", " ".join(notes), "scene") + _slider(run)
    return section("network", "The network", body, lead), {"network-3d": scene(run.host, run.network, hops)}


def _slider(run: Run) -> str:
    """The temperature of the rates, K; it starts at the median of the diffusivity table."""
    temperatures = run.diffusivity["temperature"].dropna()
    start = int(min(max(round(float(temperatures.median()), -1), 200), 1500)) if len(temperatures) else 500
    return (
        '<label class="slider" for="temperature">Rates at '
        f'<output id="temperature-value">{start} K</output>'
        f'<input id="temperature" type="range" min="200" max="1500" step="10" value="{start}"></label>'
    )


def _current_note(hops: HopLines) -> str:
    if not hops.carries.any():
        return "The run has no list of hops that carry the current."
    carrying = int(hops.carries.sum())
    which = "the hop that carries" if carrying == 1 else f"the {carrying:,} hops that carry"
    return f"Red: {which} {100 * CURRENT_PART:.0f} % of the listed current."


def _path_note(run: Run, hops: HopLines) -> str:
    path = percolation_path(hops)
    if not len(path):
        return "No path leads through the cell."
    lowest = min(energy for _, energy in run.network.nodes(data="energy"))
    top = hops.saddle_energy[path].max() - lowest
    way = f"the lowest way through the cell, {count(len(path), 'hop')}"
    return f"Amber: {way}, highest pass {top:.3f} eV above the lowest site."


def transport_section(run: Run, hops: HopLines) -> Part:
    """Arrhenius plot, barriers, fits, current-carrying hops."""
    figures = {
        "arrhenius": _transport_charts.arrhenius(run.diffusivity, run.transport, run.literature),
        "barriers": _charts.barrier_histogram(hops),
    }
    body = '<div class="two">'
    others = " Green: points of others." if len(run.literature) else ""
    body += plot("arrhenius", f"Diffusivity by both methods; bars are one standard error.{others}")
    body += plot("barriers", "Barriers of all hops, both directions.") + "</div>"
    if run.transport.notes:
        body += "".join(missing(f"Note: {escape(note)}") for note in run.transport.notes)
    if run.transport.activation_energy_exact_eV:
        body += _local_energies(run.transport.activation_energy_exact_eV)
    if run.transport.fits:
        body += f"<details><summary>Fits</summary>{mapping_table(run.transport.fits)}</details>"
    if run.current_hops is None:
        body += missing("No <code>current_hops.csv</code>: which hops carry the current is not known.")
    else:
        body += frame_table(
            run.current_hops, "Hops that carry the current (barrier in eV, share of the current)."
        )
    return section("transport", "Transport", body), figures


def _local_energies(energies: dict[str, float | None]) -> str:
    """Slopes of the exact D(T) at single temperatures."""
    rows = [
        (f"{escape(temperature)} K", f"{rounded(energy, 4)} eV") for temperature, energy in energies.items()
    ]
    summary = "Activation energy at each temperature (exact)"
    return f"<details><summary>{summary}</summary>{table(rows, kind='pairs')}</details>"
