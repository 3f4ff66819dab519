"""Noise of the labels: the same points, reached from the pristine host and from 1 Å away.

    python case_studies/cu_ta2o5/label_noise.py runs/cu_ta2o5 --points 24

No potential can be better than what this prints.
"""

import numpy as np
from _teacher import FOLDER, TEACHER, study

from iondiff.assessment import split
from iondiff.files import write_json
from iondiff.sampling import host_hessian, read_labels, relax_host
from iondiff.sampling.calculators import make_calculator


def main() -> None:
    case, options = study(
        __doc__, ("points", int, 24, "test labels repeated"), ("step", float, 1.0, "Å of the detour")
    )
    settings = case.config.labels
    host = case.host.copy()
    host.calc = make_calculator(settings.calculator, settings.calculator_kwargs)
    saved = case.run / "teacher" / "hessian.npy"
    saved.parent.mkdir(exist_ok=True)
    if not saved.exists():
        np.save(saved, host_hessian(host))
    hessian = np.load(saved)
    _, test = split(
        read_labels(FOLDER / "labels.jsonl.gz", host, case.config.guest),
        settings.test_count,
        case.config.seed,
    )
    generator = np.random.default_rng(case.config.seed)
    rows = []
    for label in test.labels[: options.points]:
        point = np.array(label.position_A)
        away = generator.normal(size=3)
        away *= options.step / np.linalg.norm(away)
        common = {"spring": settings.spring, "fmax": settings.fmax, "hessian": hessian}
        detour = relax_host(host, case.config.guest, point + away, **common)
        arrived = relax_host(host, case.config.guest, point, start=detour.host_positions, **common)
        difference = 1e3 * (arrived.energy - label.energy_eV)
        rows.append(
            {"index": label.index, "energy_eV": label.energy_eV, "difference_meV": round(difference, 3)}
        )
        print(f"label {label.index}: {label.energy_eV:.3f} eV, {difference:+.1f} meV", flush=True)
    differences = np.array([row["difference_meV"] for row in rows])
    record = {
        "teacher": TEACHER,
        "step_A": options.step,
        "spring_eV_A2": settings.spring,
        "count": len(rows),
        "label_noise_meV": float(np.sqrt((differences**2).mean())),
        "median_meV": float(np.median(np.abs(differences))),
        "largest_meV": float(np.abs(differences).max()),
        "within_5_meV": int((np.abs(differences) < 5.0).sum()),
        "points": rows,
    }
    write_json(FOLDER / "label_noise.json", record)
    print({k: v for k, v in record.items() if k != "points"})


if __name__ == "__main__":
    main()
