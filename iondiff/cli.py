"""The command line: ``diffusion-network VERB ...``.

A mistake of the user ends with one sentence and exit code 2, an error of ours with a traceback and 1.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

import iondiff
import kmc
import search
from iondiff.cli_files import info_command, init_command
from iondiff.cli_kmc import check_command, kmc_command
from iondiff.cli_quench import quench_command
from iondiff.cli_road import label_command, report_command, run_command, search_command, train_command
from iondiff.console import console
from iondiff.errors import IondiffError

app = typer.Typer(
    name="diffusion-network",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: The table of contents: headings and verbs in the order in which a study meets them.
CONTENTS: dict[str, dict[str, Callable[..., None]]] = {
    "To begin": {"init": init_command, "info": info_command},
    "A whole study": {"run": run_command, "report": report_command},
    "Its stages, one at a time": {"label": label_command, "train": train_command, "search": search_command},
    "Hopping graphs": {"check": check_command, "kmc": kmc_command},
    "Amorphous hosts": {"quench": quench_command},
}
for _heading, _verbs in CONTENTS.items():
    for _name, _command in _verbs.items():
        app.command(_name, rich_help_panel=_heading)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"diffusion-network {iondiff.__version__}")
        raise typer.Exit


@app.callback(
    epilog="VERB --help explains a verb, with an example. Exit code 0: done; 2: your mistake, in one sentence; 1: ours."
)
def _contents(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """How fast an atom moves through a solid: potentials, hopping graphs, transport."""


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
    except BrokenPipeError:  # `diffusion-network info x | head`: whoever listened has gone
        sys.stderr.close()
        sys.exit(0)
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
