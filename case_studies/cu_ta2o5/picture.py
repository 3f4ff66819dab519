"""Draw the picture of the README from a finished run: the network in its host, and the Arrhenius plot.

    python case_studies/cu_ta2o5/picture.py runs/cu_ta2o5 docs/images/network.png

Needs matplotlib (``pip install 'diffusion-network[notebooks]'``).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from ase.units import kB
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from iondiff.errors import RunError
from iondiff.report import HopLines, Run, cell_edges, hop_lines, read_run, with_error

mpl.use("Agg")
import matplotlib.pyplot as plt

INK, MUTED, BLUE, ACCENT = "#1f2933", "#66727f", "#2f5d8c", "#d1495b"
HOPS = LinearSegmentedColormap.from_list("hops", ["#12263f", "#33567d", "#6685a6", "#9cb2c8", "#cdd8e3"])
SITES = LinearSegmentedColormap.from_list("sites", ["#2b1e5a", "#31588f", "#2f8f83", "#8fc26a", "#f4e04d"])
STYLE = {
    "font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": "#9aa5b1",
    "xtick.color": MUTED, "ytick.color": MUTED, "axes.spines.right": False, "axes.linewidth": 0.8,
    "savefig.dpi": 200, "axes.titlesize": 10,
}  # fmt: skip


METHODS = {
    "exact": {"fmt": "o", "color": BLUE, "label": "exact"},
    "walk": {"fmt": "D", "color": ACCENT, "mfc": "none", "ms": 8, "label": "random walks"},
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python picture.py RUN_FOLDER OUTPUT.png", file=sys.stderr)
        return 2
    try:
        draw(Path(arguments[0]), Path(arguments[1]))
    except RunError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def draw(run_folder: Path, output: Path) -> Path:
    """Draw both panels from the files of `run_folder` and return `output`."""
    run = read_run(run_folder)
    hops = hop_lines(run.network, run.current_hops)
    with mpl.rc_context(STYLE):
        figure = plt.figure(figsize=(9.6, 4.5))
        draw_network(figure, run, hops)
        draw_arrhenius(figure.add_axes((0.635, 0.155, 0.345, 0.66)), run)
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, metadata={"Software": None})
        plt.close(figure)
    return output


def draw_network(figure: Any, run: Run, hops: HopLines) -> None:
    """The sites by energy, the hops by barrier, those that carry the current in red, the host behind."""
    axes = figure.add_axes((0.0, 0.02, 0.54, 0.98), projection="3d", computed_zorder=False)
    axes.set_axis_off()
    axes.set_proj_type("persp", focal_length=0.6)
    axes.view_init(elev=14, azim=34)
    cell = np.array(run.network.graph["cell"])
    axes.add_collection3d(Line3DCollection(cell_edges(cell), colors="#aab4bf", linewidths=0.7, zorder=1))
    draw_host(axes, run)
    draw_hops(axes, hops, cell)
    nodes = [data for _, data in run.network.nodes(data=True)]
    position = np.array([data["position"] for data in nodes])
    energy = np.array([data["energy"] for data in nodes])
    dots = axes.scatter(
        *position.T, c=energy - energy.min(), cmap=SITES, s=38, edgecolors=INK, linewidths=0.5,
        depthshade=False, zorder=5,
    )  # fmt: skip
    corners = cell_edges(cell).reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set_box_aspect(high - low, zoom=1.02)
    axes.legend(
        loc="lower right", ncols=3, fontsize=7.5, frameon=False, bbox_to_anchor=(1.0, 0.01), labelcolor=MUTED
    )
    bar = figure.colorbar(dots, cax=figure.add_axes((0.03, 0.075, 0.13, 0.016)), orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.set_title("site energy above the lowest, eV", fontsize=7.5, loc="left", color=MUTED, pad=4)
    bar.ax.tick_params(labelsize=7.5, length=2)


def draw_host(axes: Any, run: Run) -> None:
    """Host atoms, pale, sized by their covalent radii."""
    numbers, positions = run.host.numbers, run.host.get_positions(wrap=True)
    for number in sorted(set(numbers.tolist()), reverse=True):
        color = 0.5 * jmol_colors[number] + 0.5 * np.array(to_rgb("#d5dae0"))
        axes.scatter(
            *positions[numbers == number].T, color=color, s=70 * covalent_radii[number], alpha=0.5,
            linewidths=0, depthshade=False, zorder=2, label=chemical_symbols[number],
        )  # fmt: skip


def draw_hops(axes: Any, hops: HopLines, cell: np.ndarray) -> None:
    """Hops through their saddles, in and out of the cell; those that carry the current in red on top."""
    paths = np.stack([hops.start, hops.middle, hops.end], axis=1)
    fraction = np.clip(hops.uphill / hops.uphill.max(initial=1e-9), 0.0, 1.0)
    colors = HOPS(fraction)
    colors[hops.crosses, :3] = 0.45 * colors[hops.crosses, :3] + 0.55
    colors[hops.carries, :3] = to_rgb(ACCENT)
    widths = np.where(hops.carries, 2.6, 0.6 + 1.8 * (1 - fraction))
    # A hop that leaves the cell comes in on the other side: drawn from both of its ends.
    arriving = paths[hops.crosses] - (hops.images[hops.crosses] @ cell)[:, None, :]
    paths = np.concatenate([paths, arriving])
    colors, widths, carries = (
        np.concatenate([all_, all_[hops.crosses]]) for all_ in (colors, widths, hops.carries)
    )
    for chosen, order in ((~carries, 3), (carries, 4)):
        look = {"colors": colors[chosen], "linewidths": widths[chosen], "zorder": order}
        if chosen.any():
            axes.add_collection3d(Line3DCollection(paths[chosen], **look))
    axes.plot([], [], [], color=ACCENT, lw=2.6, label="carry the current")


def draw_arrhenius(axes: Any, run: Run) -> None:
    """D of both methods with their errors, and the fitted line."""
    table, transport = run.diffusivity, run.transport
    energy, D0 = transport.activation_energy_eV, transport.D0_cm2_s
    temperatures = np.array(sorted(set(table["temperature"])), dtype=float)
    inverse = 1000 / temperatures
    if energy is not None and D0 is not None:
        label = f"fit, $E_a$ = {with_error(energy, transport.activation_energy_error_eV, 'eV')}"
        axes.plot(inverse, D0 * np.exp(-energy / (kB * temperatures)), color=MUTED, lw=1.2, label=label)
    for method, look in METHODS.items():
        rows = table[table["method"] == method]
        error = rows["D_error"].fillna(0.0)
        axes.errorbar(1000 / rows["temperature"], rows["D"], yerr=error, capsize=3, lw=1.2, **look)
    axes.set(yscale="log", xlabel="1000 / T, 1/K", ylabel="D, cm²/s")
    axes.grid(color="#eef1f4", lw=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower left")
    top = axes.secondary_xaxis("top")
    top.set_xticks(inverse, [f"{temperature:g}" for temperature in temperatures])
    top.set_xlabel("temperature, K")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
