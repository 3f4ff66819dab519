"""Train the six potentials, each from its TOML file, and keep them and their errors beside this script.

python -m case_studies.elements.train [Si Ge ...] [--data ../shared/data/mlearn] [--output runs/elements] [--workers 2]

Goes on where it stopped; a finished training is only read. Writes <El>.nnp and the error table into results.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from iondiff.files import write_json
from iondiff.training import read_training_config, train
from iondiff.training.results import print_errors

HERE = Path(__file__).parent
ELEMENTS = ("Si", "Ge", "Li", "Mo", "Cu", "Ni")


def train_one(element: str, data: Path | None, output: Path, workers: int) -> dict:
    """Errors of the trained potential, as they go into results.json."""
    config = read_training_config(HERE / f"{element}.toml").model_copy(update={"workers": workers})
    if data is not None:
        files = tuple((data / path.name).resolve() for path in config.data.train)
        config = config.model_copy(update={"data": config.data.model_copy(update={"train": files})})
    training = train(config, output / element)
    shutil.copyfile(output / element / "potential.nnp", HERE / f"{element}.nnp")
    print(element)
    print_errors(training.errors)
    seconds = sum(row["cpu_s"] for m in training.members for row in m["history"])
    return {
        "errors": training.errors,
        "worst_atoms": training.worst_atoms,
        "cpu_seconds_of_epochs": round(seconds),
        "validation": "held out in turn" if config.network.bagging else "held out once",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elements", nargs="*", default=list(ELEMENTS))
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--output", type=Path, default=Path("runs/elements"))
    parser.add_argument("--workers", type=int, default=1, help="processes; the potential is the same")
    arguments = parser.parse_args()
    path = HERE / "results.json"
    for element in arguments.elements or ELEMENTS:
        row = train_one(element, arguments.data, arguments.output, arguments.workers)
        results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        results[element] = {**results.get(element, {}), **row}
        write_json(path, results)


if __name__ == "__main__":
    main()
