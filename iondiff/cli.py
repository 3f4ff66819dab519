"""The command line: ``diffusion-network VERB ...``.

A mistake of the user ends with one sentence and exit code 2, an error of ours with a traceback and 1.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import kmc
import search
from iondiff.cli_files import JsonOption, info_command, init_command, print_plan
from iondiff.cli_kmc import check_command, kmc_command
from iondiff.cli_quench import quench_command
from iondiff.console import StageBars, console, print_summary
from iondiff.errors import IondiffError

app = typer.Typer(
    name="diffusion-network",
    help="How fast an atom moves through a solid: potentials, hopping graphs, transport.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

ConfigArgument = Annotated[Path, typer.Argument(help="Configuration (TOML).", show_default=False)]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Run folder; made if it is not there.")]
WorkersOption = Annotated[int | None, typer.Option(help="Processes for labelling; by default one a core.")]


SchedulerOption = Annotated[
    str | None,
    typer.Option(
        help="Address or file of a Dask scheduler whose workers make labels and walk.", show_default=False
    ),
]


def _walk_road(
    config: Path,
    output: Path,
    until: str | None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    from iondiff.processes import dask_executor
    from iondiff.workflow import run

    with StageBars() as bars, dask_executor(scheduler) as executor:
        return run(
            config, output, until=until, workers=workers, progress=bars, say=bars.say, executor=executor
        )


@app.command("run")
def run_command(
    config: ConfigArgument,
    output: OutputOption,
    workers: WorkersOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, and do nothing.")
    ] = False,
    as_json: JsonOption = False,
    scheduler: SchedulerOption = None,
) -> None:
    """Walk the whole road: host, labels, network, sites and passes, D(T), report.

    Started again in the same folder, it goes on where it stopped.

    Example: diffusion-network run case_studies/cu_ta2o5/config.toml --output runs/cu_ta2o5
    """
    if dry_run:
        from iondiff.planning import plan

        print_plan(plan(config, output), as_json=as_json)
        return
    console.stderr = as_json  # progress beside, not inside, what a machine reads
    summary = _walk_road(config, output, None, workers, scheduler)
    if as_json:
        print(json.dumps(summary))
    else:
        print_summary(output, summary)


@app.command("label")
def label_command(
    config: ConfigArgument,
    output: OutputOption,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Make the labels of a configuration with its calculator; goes on after a kill.

    Writes OUTPUT/labels.jsonl.gz, to be named as labels.file in the configuration.

    Example: diffusion-network label case_studies/cu_ta2o5/config.toml --output runs/labels --workers 2
    """
    from iondiff.config import read_config
    from iondiff.processes import dask_executor
    from iondiff.run_folder import RunFolder
    from iondiff.sampling import write_labels
    from iondiff.stages import make_labels, read_host

    settings = read_config(config)
    host = read_host(settings.host.file)
    with RunFolder(output) as folder, StageBars() as bars, dask_executor(scheduler) as executor:
        made = make_labels(
            settings,
            host,
            folder.path / "labels.jsonl",
            workers,
            lambda done, total: bars("label", done, total),
            bars.say,
            executor,
        )
        write_labels(folder.path / "labels.jsonl.gz", made)
    console.print(f"{len(made)} labels in {output / 'labels.jsonl.gz'}")


@app.command("train")
def train_command(config: ConfigArgument, output: OutputOption) -> None:
    """Train the potential of a configuration and print its errors.

    A configuration with a table [data] trains a potential for all atoms (docs/training.md); one of a run, with
    [host], its guest network. Started again in the same folder, it goes on where it stopped.

    Example: diffusion-network train case_studies/elements/Si.toml --output runs/si

    Example: diffusion-network train case_studies/cu_ta2o5/config.toml --output runs/cu_ta2o5
    """
    from iondiff.console import print_training
    from iondiff.tables import read_toml

    tables = read_toml(config)
    if "data" in tables and "host" not in tables:
        _train_full(config, output)
        return
    _walk_road(config, output, "train")
    print_training(output)


def _train_full(config: Path, output: Path) -> None:
    import warnings

    from iondiff.training import TrainingWarning, train
    from iondiff.training.results import print_errors

    with warnings.catch_warnings(record=True) as caught, StageBars() as bars:
        warnings.simplefilter("always", TrainingWarning)
        training = train(config, output, progress=bars)
    for warning in caught:
        console.print(f"warning: {warning.message}", markup=False, soft_wrap=True)
    for number, member in enumerate(training.members):
        console.print(f"member {number}: best epoch {member['best_epoch']}, {member['stopped']}")
    print_errors(
        training.errors, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
    )
    console.print(f"potential, error table, learning curves: {output}", soft_wrap=True)


@app.command("search")
def search_command(config: ConfigArgument, output: OutputOption) -> None:
    """Find every site, pass and hop, with the certificate.

    Example: diffusion-network search case_studies/cu_ta2o5/config.toml --output runs/cu_ta2o5
    """
    from iondiff.console import print_search

    _walk_road(config, output, "search")
    print_search(output)


@app.command("report")
def report_command(folder: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]) -> None:
    """Write the HTML report of a run folder again.

    Example: diffusion-network report runs/cu_ta2o5
    """
    from iondiff.report import write_report

    console.print(f"report: {write_report(folder)}")


app.command("init")(init_command)
app.command("info")(info_command)
app.command("kmc")(kmc_command)
app.command("check")(check_command)
app.command("quench")(quench_command)


class Stopped(BaseException):
    """Ctrl-C, or the SIGTERM of a batch system whose time is up; typer would swallow a KeyboardInterrupt."""


def _stop(number: int, _: object) -> None:
    raise Stopped(number)


def main() -> None:
    """Entry point of the console script."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app()
    except (IondiffError, kmc.GraphError, search.SearchError) as error:
        console.file.flush()
        print(f"diffusion-network: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stop:
        print(f"diffusion-network: interrupted; {_how_to_go_on(sys.argv[1:])}", file=sys.stderr)
        sys.exit(128 + int(stop.args[0]))


def _how_to_go_on(arguments: list[str]) -> str:
    """What is kept, and the command that goes on from there."""
    verb = arguments[0] if arguments else ""
    if verb == "kmc" and "--resume" not in arguments:
        arguments = [*arguments, "--resume"]
    command = shlex.join(["diffusion-network", *arguments])
    return f"what is finished is kept, go on with: {command}"


if __name__ == "__main__":
    main()
