"""What a run would do and what it would cost, without doing it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kmc
from iondiff import dynamics_study, graph_study, stages
from iondiff.config import RunConfig, read_config
from iondiff.run_folder import RunFolder
from iondiff.sampling.calculators import make_calculator
from iondiff.sampling.points import draw_points
from iondiff.stage_context import Context
from iondiff.studies import GraphStudy, Study
from iondiff.workflow import STAGES, stage_is_done

#: Mean number of calculator calls of a preconditioned relaxation: 11.1 over the 2132 labels of
#: case_studies/cu_ta2o5.
CALLS_A_LABEL = 11


@dataclass(frozen=True)
class PlannedStage:
    """One line of a plan.

    Attributes
    ----------
    name
        Of the stage.
    done
        Whether the run folder holds its finished outputs.
    work
        In words.
    calls
        Calculator calls it would make, at most where rounds may end early.
    seconds
        Those calls times one measured call, on one process; 0 where no calculator is asked.
    """

    name: str
    done: bool
    work: str
    calls: int
    seconds: float


def plan_study(study: Study, output: Path) -> list[PlannedStage]:
    """The plan of any kind of study."""
    if isinstance(study, RunConfig):
        return _plan(study, output, measure=True)
    if isinstance(study, GraphStudy):
        kmc.validate(kmc.read_graph(study.graph.file))
        return [_planned_row(row) for row in graph_study.plan_rows(study)]
    return [
        PlannedStage(
            f"{row['temperature']:g} K", False, f"{row['steps']} steps of {row['atoms']} atoms", row["steps"],
            row["seconds"],
        )
        for row in dynamics_study.plan_rows(study)
    ]  # fmt: skip


def _planned_row(row: dict[str, Any]) -> PlannedStage:
    work = {
        "exact": "linear algebra",
        "walk": f"{row['walkers']} walkers of {row['hops']} hops",
        "gas": f"{row['carriers']} carriers, {row['hops']} hops",
    }[row["method"]]
    return PlannedStage(f"{row['method']} {row['temperature']:g} K", False, work, 0, 0.0)


def plan(config_path: str | Path, output: str | Path, *, measure: bool = True) -> list[PlannedStage]:
    """The stages of a run, in order, with their cost.

    Parameters
    ----------
    config_path
        TOML file.
    output
        Run folder; not made if it is not there.
    measure
        Make the calculator and time one call on the host with its guest.

    Raises
    ------
    iondiff.errors.IondiffError
        Whatever `run` would refuse before it starts.
    """
    return _plan(read_config(config_path), Path(output), measure=measure)


def _plan(config: RunConfig, output: Path, *, measure: bool) -> list[PlannedStage]:
    folder = RunFolder(output)
    context = Context(config, output, None, lambda *_: None)
    host = stages.read_host(config.host.file)
    calls = _calls(config, len(host))
    open_stages = [stage.name for stage in STAGES if not stage_is_done(stage, context, folder)]
    asked = any(calls.get(name) for name in open_stages)
    each = _seconds_a_call(config) if asked and measure else 0.0
    words = _words(config, len(host))
    return [
        PlannedStage(
            stage.name,
            stage.name not in open_stages,
            words[stage.name],
            calls.get(stage.name, 0) if stage.name in open_stages else 0,
            each * calls.get(stage.name, 0) if stage.name in open_stages else 0.0,
        )
        for stage in STAGES
    ]


def _calls(config: RunConfig, n_atoms: int) -> dict[str, int]:
    hessian = 6 * n_atoms if config.labels.precondition else 0
    drawn = config.labels.count + config.labels.core_count
    made = 0 if config.labels.file is not None else drawn * CALLS_A_LABEL + hessian
    added = config.improve.rounds * config.improve.most_labels * CALLS_A_LABEL
    return {"labels": made, "improve": added + (hessian if added and not made else 0)}


def _words(config: RunConfig, n_atoms: int) -> dict[str, str]:
    labels, network, grid = config.labels, config.network, config.search.grid
    points = int(np.prod(grid))
    return {
        "host": f"{n_atoms} atoms from {config.host.file.name}",
        "labels": f"read {labels.file.name}"
        if labels.file is not None
        else f"{labels.count} points of the grid and {labels.core_count} inside the walls",
        "improve": f"up to {config.improve.rounds} rounds of about {config.improve.most_labels} labels"
        if config.improve.rounds
        else "nothing asked for",
        "train": f"{network.members} networks, hidden layers {list(network.hidden)}",
        "search": f"{points} grid points, sites and passes below {config.search.energy_cap:g} eV"
        + (", certificate" if config.search.certify else ""),
        "bands": "a climbing-image band for every hop",
        "transport": f"{len(config.transport.temperatures)} temperatures, "
        f"{config.transport.walkers} walkers of {config.transport.hops} hops",
        "checks": "convergence with hops and labels, extrapolation"
        + (
            f"; {len(config.checks.label_fractions)} further trainings"
            if config.checks.label_fractions
            else ""
        ),
        "evidence": "results of the study's own scripts",
    }


def _seconds_a_call(config: RunConfig) -> float:
    """One call on the host with its guest; the first, which may compile or load, is not counted."""
    atoms = stages.read_host(config.host.file)
    points, _ = draw_points(atoms, 2, config.labels.grid, config.labels.keep, config.seed)
    atoms = atoms + type(atoms)(config.guest, positions=points[:1])
    atoms.calc = make_calculator(config.labels.calculator, config.labels.calculator_kwargs)
    atoms.get_forces()
    atoms.positions[-1] = points[1]
    begin = time.perf_counter()
    atoms.get_forces()
    return time.perf_counter() - begin
