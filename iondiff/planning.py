"""What a run would do and what it would cost, without doing it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iondiff import stages
from iondiff.config import RunConfig, read_config
from iondiff.run_folder import RunFolder
from iondiff.sampling.calculators import make_calculator
from iondiff.sampling.points import draw_points
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
    config = read_config(config_path)
    folder = RunFolder(Path(output))
    context = stages.Context(config, Path(output), None, lambda *_: None)
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
