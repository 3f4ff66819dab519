"""What a run says on the terminal: one bar a stage, and tables at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

console = Console()


class StageBars:
    """Progress bars on a terminal, with rate and time left; nothing elsewhere (``run.log`` has it)."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> StageBars:
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                MofNCompleteColumn(),
                _RateColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar of `stage`."""
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total)
            self._bars.update(self._tasks[stage], completed=done, total=total)

    def say(self, text: str) -> None:
        """A line that the user should see at once, terminal or not."""
        console.print(text, highlight=False, markup=False)


class _RateColumn(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """The rate, or nothing before there is one."""
        return Text("" if not task.speed else f"{task.speed:.3g}/s")


def print_training(folder: Path) -> None:
    """Errors of the trained potential on the test labels."""
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    table = Table(title=f"Test errors, {training['test_count']} labels", title_justify="left")
    for column in ("potential", "RMSE meV", "median meV", "within 1 eV of the lowest, meV", "gradient eV/Å"):
        table.add_column(column, justify="left" if column == "potential" else "right")
    for name, row in training["variants"].items():
        table.add_row(
            name, _number(row["rmse_meV"]), _number(row["median_meV"]), _number(row["rmse_low_meV"]),
            _number(row["gradient_rmse_eV_A"], 3),
        )  # fmt: skip
    console.print(table)


def print_search(folder: Path) -> None:
    """Counts of sites and hops, and the certificate."""
    sites, hops = pd.read_csv(folder / "sites.csv"), pd.read_csv(folder / "hops.csv")
    certificate = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
    console.print(
        f"{len(sites)} sites, {len(hops)} hops; certificate: {certificate['text']}", highlight=False
    )


def print_summary(folder: Path, summary: dict[str, Any]) -> None:
    """The table a run ends with."""
    print_training(folder)
    table = Table(title="Result", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("sites", str(summary["n_sites"]))
    table.add_row("hops", str(summary["n_hops"]))
    table.add_row("percolation barrier", f"{_number(summary['percolation_barrier_eV'], 3)} eV")
    rows = pd.read_csv(folder / "diffusivity.csv").set_index(["temperature", "method"])
    for temperature in rows.index.unique("temperature"):
        exact, walked = rows.loc[(temperature, "exact")], rows.loc[(temperature, "walk")]
        table.add_row(
            f"D at {temperature:g} K",
            f"exact {exact['D']:.3e}, KMC {walked['D']:.3e} ± {walked['D_error']:.1e} cm²/s",
        )
    table.add_row(
        "activation energy",
        f"{summary['activation_energy_eV']:.3f} ± {summary['activation_energy_error_eV']:.3f} eV",
    )
    factors = summary["D_factor_of_the_potential"]
    table.add_row(
        "factor in D from the potential's error", ", ".join(f"{f:.2f} at {t} K" for t, f in factors.items())
    )
    complete = "complete" if summary["certificate_complete"] else "not shown to be complete"
    table.add_row("certificate", complete)
    bands = summary["bands"]
    table.add_row(
        "hops a climbing-image band confirms to 5 meV",
        f"{bands['within_5_meV']} of {bands['hops']}",
    )
    teacher = summary["teacher_max_path_error_eV"]
    table.add_row(
        "largest difference from the teacher", "not run" if teacher is None else f"{teacher:.3f} eV"
    )
    table.add_row("report", str(folder / "report.html"))
    console.print(table)


def print_graph_study(folder: Path, summary: dict[str, Any]) -> None:
    """The tables a study of a hopping graph ends with."""
    barriers = ", ".join("never" if b is None else f"{b:.4f}" for b in summary["percolation_barriers_eV"])
    console.print(
        f"{summary['n_sites']} sites, {summary['n_hops']} hops; percolates in 1, 2, 3 directions from {barriers} eV",
        highlight=False,
    )
    for name, title in (("diffusivity.csv", "Single carriers"), ("carriers.csv", "Many carriers")):
        _print_frame(pd.read_csv(folder / name), title)
    _print_energy(summary)
    console.print(f"tables: {folder}", highlight=False, soft_wrap=True)


def print_dynamics(folder: Path, summary: dict[str, Any]) -> None:
    """The table a study by molecular dynamics ends with."""
    title = f"{summary['formula']}, {summary['species']}"
    _print_frame(pd.read_csv(folder / "diffusivity.csv"), title)
    _print_energy(summary)
    console.print(f"trajectories and tables: {folder}", highlight=False, soft_wrap=True)


def _print_frame(frame: pd.DataFrame, title: str) -> None:
    if frame.empty:
        return
    table = Table(title=title, title_justify="left")
    for name in frame:
        table.add_column(str(name), justify="left" if name in {"method", "note"} else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*("" if pd.isna(x) else f"{x:.4g}" if isinstance(x, float) else str(x) for x in row))
    console.print(table)


def _print_energy(summary: dict[str, Any]) -> None:
    if summary["activation_energy_eV"] is not None:
        error = summary.get("activation_energy_error_eV")
        bar = "" if error is None else f" ± {error:.3f}"
        console.print(f"activation energy {summary['activation_energy_eV']:.3f}{bar} eV", highlight=False)


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
