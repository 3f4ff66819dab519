"""The road: host → labels → network → sites, passes, hops → certificate → D(T) → report.

Each stage reads files and writes files into the run folder. A stage is done when its record says so, what it
was made from is unchanged, and its outputs still have the bytes it wrote; then it is skipped. Every stage is
deterministic, so a run that was killed and started again ends with the same numbers as one left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iondiff
from iondiff import stages, stages_checks, stages_network, stages_transport
from iondiff.config import RunConfig
from iondiff.errors import ConfigError, RunError
from iondiff.files import file_hash, write_json
from iondiff.run_folder import RunFolder
from iondiff.stage_context import Context
from iondiff.studies import keep_configuration, read_study

Progress = Callable[[str, int, int], None]
_LOG_EVERY = 30.0  # s


@dataclass(frozen=True)
class Stage:
    """What a stage runs, which parts of the configuration and which files it depends on, what it writes."""

    name: str
    run: Callable[[Context], None]
    sections: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scratch: str = ""
    """Pattern of files that let the stage go on after a kill; gone once it is on record as done."""


STAGES = (
    Stage("host", stages.host, ("host",), (), ("host.extxyz",)),
    Stage("labels", stages.labels, ("guest", "seed", "labels"), ("host.extxyz",), ("labels.jsonl.gz",)),
    Stage(
        "improve", stages.improve_labels,
        ("guest", "seed", "network", "labels", "improve", "search", "transport"),
        ("host.extxyz", "labels.jsonl.gz"), ("training_labels.jsonl.gz", "improvement.json"),
        "improve*.member*.npz",
    ),
    Stage(
        "train", stages.train, ("guest", "seed", "network", "labels"),
        ("host.extxyz", "training_labels.jsonl.gz"), ("potential.nnp", "training.json"), "train.member*.npz",
    ),
    Stage(
        "search", stages_network.search_network, ("guest", "seed", "search"), ("host.extxyz", "potential.nnp"),
        ("network.json", "sites.csv", "hops.csv", "certificate.json"),
    ),
    Stage("bands", stages_network.bands, (), ("host.extxyz", "potential.nnp", "network.json"), ("bands.json",)),
    Stage(
        "transport", stages_transport.transport, ("seed", "transport"), ("network.json", "training.json"),
        ("diffusivity.csv", "transport.json", "current_hops.csv"), "walk-*",
    ),
    Stage(
        "checks", stages_checks.checks,
        ("guest", "seed", "network", "labels", "search", "transport", "checks"),
        (
            "host.extxyz", "training_labels.jsonl.gz", "improvement.json", "potential.nnp", "network.json",
            "diffusivity.csv",
        ),
        ("checks.json",), "checks*.member*.npz",
    ),
    Stage(
        "evidence", stages.evidence, ("evidence",), ("host.extxyz", "potential.nnp", "network.json"),
        ("teacher_check.json", "evidence.json", "literature.csv"),
    ),
)  # fmt: skip
STAGE_NAMES = tuple(stage.name for stage in STAGES)


def run(
    config_path: str | Path,
    output: str | Path,
    *,
    until: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    executor: Executor | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Walk the road of a configuration, from where it stands, and return the summary.

    Parameters
    ----------
    config_path
        TOML file (:class:`iondiff.config.RunConfig`).
    output
        Run folder; made if it is not there.
    until
        Last stage to run; by default all, then the report.
    workers
        Processes for labelling.
    progress
        Called with (stage, steps done, steps in all).
    say
        Called with what the user should know at once, such as the code that a calculator's import path runs;
        the log file ``run.log`` gets it too.
    executor
        Where labels and bands are made and temperatures walked, instead of on this machine's cores; for Dask
        see :func:`iondiff.processes.dask_executor`.
    seed
        In the place of the configuration's.

    Raises
    ------
    iondiff.errors.IondiffError
        With one sentence, for everything a user can mend. What was finished stays.
    """
    if until is not None and until not in STAGE_NAMES:
        raise RunError(f"until is {until!r}; wanted one of {', '.join(STAGE_NAMES)}")
    config = of_a_guest(read_study(config_path, seed), config_path)
    with RunFolder(Path(output)) as folder:
        folder.log(f"diffusion-network {iondiff.__version__}, process {os.getpid()} on {platform.node()}")

        def tell(text: str) -> None:
            folder.log(text)
            if say:
                say(text)

        logged = LoggedProgress(folder.log, progress)
        context = Context(config, folder.path, workers, logged, tell, executor)
        try:
            keep_configuration(config_path, folder.path / "config.toml", config)
            for stage in STAGES:
                _run_stage(stage, context, folder)
                if stage.name == until:
                    return {}
            summary = _summarise(folder, config.seed)
            from iondiff.report import write_report

            write_report(folder.path)
        except OSError as error:  # a disk that is full, a folder that became read-only
            folder.log(f"stopped: {error}")
            raise RunError(
                f"{error.filename or folder.path}: {error.strerror or error}; mend it and start again, "
                "what is finished is kept"
            ) from error
        except BaseException as error:
            folder.log(f"stopped: {type(error).__name__}: {error}")
            raise
        folder.log("finished")
        return summary


def of_a_guest(study: Any, config_path: str | Path) -> RunConfig:
    """The configuration, which has to be of a guest in a host.

    Raises
    ------
    ConfigError
        It is of another kind of study.
    """
    if not isinstance(study, RunConfig):
        raise ConfigError(
            f"configuration {config_path} is of no guest in a host: it has no table [host]; "
            "for other kinds use: diffusion-network run"
        )
    return study


def stage_is_done(stage: Stage, context: Context, folder: RunFolder) -> bool:
    """Whether the folder holds what this stage would write."""
    if not all((context.folder / name).exists() for name in stage.inputs):
        return False
    return folder.is_done(stage.name, _key(stage, context), stage.outputs)


class LoggedProgress:
    """Passes progress on, and writes it to the log when a stage begins and every half minute."""

    def __init__(self, log: Callable[[str], None], inner: Progress | None) -> None:
        self._log, self._inner = log, inner
        self._stage, self._began, self._before, self._next = "", 0.0, 0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move on to `done` of `total` steps of a stage."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._before, self._next = stage, now, done, now + _LOG_EVERY
        elif now >= self._next:
            rate = (done - self._before) / max(now - self._began, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
            self._log(f"{stage}: {done} of {total}, {rate:.3g} a second{left}")
            self._next = now + _LOG_EVERY
        if self._inner:
            self._inner(stage, done, total)


def _run_stage(stage: Stage, context: Context, folder: RunFolder) -> None:
    if stage_is_done(stage, context, folder):
        folder.log(f"{stage.name}: done before")
    else:
        folder.log(f"{stage.name}: begins")
        started = time.perf_counter()
        key = _key(stage, context)
        stage.run(context)
        seconds = time.perf_counter() - started
        folder.mark_done(stage.name, key, stage.outputs, seconds)
        folder.log(f"{stage.name}: done in {seconds:.1f} s")
    for leftover in folder.path.glob(stage.scratch) if stage.scratch else ():
        leftover.unlink(missing_ok=True)


def _key(stage: Stage, context: Context) -> str:
    """What the stage's outputs depend on: code version, configuration, the bytes of the files it reads."""
    config = context.config.model_dump(mode="json")
    outside = [path for path in stages.outside_files(stage.name, context.config) if path is not None]
    parts = {
        "version": iondiff.__version__,
        "config": {name: config[name] for name in stage.sections},
        "inputs": {name: file_hash(context.folder / name) for name in stage.inputs},
        "outside": {str(path): file_hash(path) if path.is_file() else None for path in outside},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _summarise(folder: RunFolder, seed: int) -> dict[str, Any]:
    def read(name: str) -> Any:
        return json.loads((folder.path / name).read_text(encoding="utf-8"))

    training, transport, teacher = read("training.json"), read("transport.json"), read("teacher_check.json")
    search = transport["network"]
    summary = {
        "label_count": training["label_count"],
        "test_rmse_meV": training["test_rmse_meV"],
        "test_rmse_low_meV": training["test_rmse_low_meV"],
        "label_noise_meV": read("evidence.json")["label_noise_meV"],
        "n_sites": search["n_sites"],
        "n_hops": search["n_hops"],
        "certificate_complete": read("certificate.json")["complete"],
        "bands": {name: value for name, value in read("bands.json").items() if name != "bands"},
        "percolation_barrier_eV": transport["percolation"]["barrier_3d_eV"],
        "activation_energy_eV": transport["activation_energy_eV"],
        "activation_energy_error_eV": transport["activation_energy_error_eV"],
        "D_factor_of_the_potential": transport["potential_uncertainty"]["D_factor"],
        "teacher_max_path_error_eV": teacher["max_error_eV"],
        "wall_seconds": folder.seconds(),
    }
    write_json(folder.path / "summary.json", summary)
    write_json(folder.path / "provenance.json", {**stages.provenance(folder.path), "seed": seed})
    folder.mark_done("summary", "", ("config.toml", "summary.json", "provenance.json"), None)
    return summary
