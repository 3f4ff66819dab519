"""The verbs that walk a road from a configuration: ``run``, its stages one at a time, ``report``."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from iondiff.cli_files import JsonOption, print_plan
from iondiff.console import StageBars, console, print_dynamics, print_graph_study, print_summary

ConfigArgument = Annotated[Path, typer.Argument(help="Configuration (TOML).", show_default=False)]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Run folder; by default runs/ and the name of CONFIG.", show_default=False
    ),
]
WorkersOption = Annotated[int | None, typer.Option(help="Processes for labelling; by default one a core.")]
SeedOption = Annotated[
    int | None,
    typer.Option(help="In the place of the configuration's; same seed, same numbers.", show_default=False),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        help="Address or file of a Dask scheduler whose workers do what fans out.", show_default=False
    ),
]


def run_command(
    config: ConfigArgument,
    output: OutputOption = None,
    workers: WorkersOption = None,
    seed: SeedOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its calls and its time, and do nothing.")
    ] = False,
    as_json: JsonOption = False,
    scheduler: SchedulerOption = None,
) -> None:
    """Do a whole study: from a host to D(T), from a hopping graph, or by molecular dynamics.

    The tables of the configuration say which: a host, a graph, or a structure with its potential. Started
    again in the same folder, it goes on where it stopped.

    Example: diffusion-network run case_studies/cu_ta2o5/config.toml --output runs/cu_ta2o5
    """
    from iondiff.config import RunConfig
    from iondiff.studies import GraphStudy, read_study

    output = output or _default_folder(config)
    console.stderr = as_json  # progress beside, not inside, what a machine reads
    study = read_study(config, seed)
    if dry_run:
        from iondiff.planning import plan_study

        print_plan(plan_study(study, output), as_json=as_json)
        return
    if isinstance(study, RunConfig):
        summary = _walk_road(config, output, None, workers, scheduler, seed)
        show = print_summary
    else:
        summary = _do_study(study, config, output, scheduler)
        show = print_graph_study if isinstance(study, GraphStudy) else print_dynamics
    if as_json:
        print(json.dumps(summary))
    else:
        show(output, summary)


def label_command(
    config: ConfigArgument,
    output: OutputOption = None,
    workers: WorkersOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    scheduler: SchedulerOption = None,
) -> None:
    """Make the labels of a configuration with its calculator; goes on after a kill.

    Writes OUTPUT/labels.jsonl.gz, to be named as labels.file in the configuration.

    Example: diffusion-network label case_studies/cu_ta2o5/config.toml --output runs/labels --workers 2
    """
    from iondiff.processes import dask_executor
    from iondiff.run_folder import RunFolder
    from iondiff.sampling import write_labels
    from iondiff.stages import make_labels, read_host
    from iondiff.studies import read_study
    from iondiff.workflow import LoggedProgress, of_a_guest

    output = output or _default_folder(config)
    console.stderr = as_json
    settings = of_a_guest(read_study(config, seed), config)
    host = read_host(settings.host.file)
    with RunFolder(output) as folder, StageBars() as bars, dask_executor(scheduler) as executor:
        logged = LoggedProgress(folder.log, bars)

        def say(text: str) -> None:
            folder.log(text)
            bars.say(text)

        made = make_labels(
            settings, host, folder.path / "labels.jsonl", workers,
            lambda done, total: logged("label", done, total), say, executor,
        )  # fmt: skip
        write_labels(folder.path / "labels.jsonl.gz", made)
        folder.log(f"{len(made)} labels")
    file = output / "labels.jsonl.gz"
    _tell({"labels": len(made), "file": str(file)}, f"{len(made)} labels in {file}", as_json=as_json)


def train_command(
    config: ConfigArgument, output: OutputOption = None, seed: SeedOption = None, as_json: JsonOption = False
) -> None:
    r"""Train the potential of a configuration and print its errors.

    A configuration with a table \[data] trains a potential for all atoms (docs/training.md); one of a run, with
    \[host], its guest network. Started again in the same folder, it goes on where it stopped.

    Example: diffusion-network train case_studies/elements/Si.toml

    Example: diffusion-network train case_studies/cu_ta2o5/config.toml --output runs/cu_ta2o5
    """
    from iondiff.console import print_training
    from iondiff.tables import read_toml

    output = output or _default_folder(config)
    console.stderr = as_json
    tables = read_toml(config)
    if "data" in tables and "host" not in tables:
        _train_full(config, output, seed, as_json=as_json)
        return
    _walk_road(config, output, "train", seed=seed)
    if as_json:
        record = json.loads((output / "training.json").read_text(encoding="utf-8"))
        print(json.dumps({name: value for name, value in record.items() if name != "parity"}))
    else:
        print_training(output)


def _train_full(config: Path, output: Path, seed: int | None, *, as_json: bool) -> None:
    from iondiff.training import TrainingWarning, read_training_config, train
    from iondiff.training.results import print_errors

    settings = read_training_config(config)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    with warnings.catch_warnings(record=True) as caught, StageBars() as bars:
        warnings.simplefilter("always", TrainingWarning)
        training = train(settings, output, progress=bars)
    for warning in caught:
        console.print(f"warning: {warning.message}", markup=False, soft_wrap=True)
    for number, member in enumerate(training.members):
        console.print(f"member {number}: best epoch {member['best_epoch']}, {member['stopped']}")
    print_errors(
        training.errors, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
    )
    console.print(f"potential, error table, learning curves: {output}", soft_wrap=True)
    if as_json:
        print((output / "training.json").read_text(encoding="utf-8"))


def search_command(
    config: ConfigArgument, output: OutputOption = None, seed: SeedOption = None, as_json: JsonOption = False
) -> None:
    """Find every site, pass and hop, with the certificate.

    Example: diffusion-network search case_studies/cu_ta2o5/config.toml --output runs/cu_ta2o5
    """
    from iondiff.console import print_search

    output = output or _default_folder(config)
    console.stderr = as_json
    _walk_road(config, output, "search", seed=seed)
    if as_json:
        print((output / "certificate.json").read_text(encoding="utf-8"))
    else:
        print_search(output)


def report_command(
    folder: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; by default report.html in the folder.")
    ] = None,
    literature: Annotated[
        Path | None,
        typer.Option(
            help="Table (.csv) of points to draw beside: temperature in K, D in cm²/s, source.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the HTML report of a run folder again.

    Example: diffusion-network report runs/cu_ta2o5 --literature measured.csv
    """
    from iondiff.report import write_report

    written = write_report(folder, output, literature=literature)
    _tell({"report": str(written)}, f"report: {written}", as_json=as_json)


def _default_folder(config: Path) -> Path:
    return Path("runs") / config.stem


def _tell(record: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(record))
    else:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _do_study(study: Any, config: Path, output: Path, scheduler: str | None) -> dict[str, Any]:
    from iondiff.dynamics_study import run_dynamics_study
    from iondiff.graph_study import run_graph_study
    from iondiff.processes import dask_executor
    from iondiff.studies import GraphStudy

    with StageBars() as bars, dask_executor(scheduler) as executor:
        if isinstance(study, GraphStudy):
            return run_graph_study(study, config, output, progress=bars, executor=executor)
        return run_dynamics_study(study, config, output, progress=bars, say=bars.say, executor=executor)


def _walk_road(
    config: Path,
    output: Path,
    until: str | None,
    workers: int | None = None,
    scheduler: str | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    from iondiff.processes import dask_executor
    from iondiff.workflow import run

    with StageBars() as bars, dask_executor(scheduler) as executor:
        return run(
            config,
            output,
            until=until,
            workers=workers,
            progress=bars,
            say=bars.say,
            executor=executor,
            seed=seed,
        )
