"""Ask the teacher for the energies along the bands of the hops that carry the current.

    python case_studies/cu_ta2o5/check_teacher.py runs/cu_ta2o5

The host is relaxed around the guest at every image as it was for the labels. A run compares its own network
with these energies at the same places, so the figure it prints belongs to that run.
"""

import numpy as np
from _teacher import FOLDER, TEACHER, study

import search
from iondiff.files import write_json


def main() -> None:
    case, options = study(__doc__, ("hops", int, 8, "number of hops"), ("images", int, 9, "images a band"))
    network, landscape = case.network, case.landscape
    bands = []
    for source, target, key, share in case.carrying_hops(options.hops):
        positions, _ = search.minimum_energy_path(
            landscape, network, (source, target, key), n_images=options.images
        )
        bands.append((source, target, key, share, positions))
    labels = case.label(np.concatenate([band[-1] for band in bands]), "check", workers=options.workers)
    energies = labels.energies.reshape(len(bands), options.images)
    hops = []
    for (source, target, key, share, positions), energy in zip(bands, energies, strict=True):
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        hops.append(
            {
                "source": source,
                "target": target,
                "image": list(network.edges[source, target, key]["image"]),
                "share": share,
                "positions_A": np.round(positions, 6).tolist(),
                "distance_A": np.round(np.concatenate([[0.0], np.cumsum(steps)]), 6).tolist(),
                "energy_teacher_eV": energy.tolist(),
            }
        )
    write_json(
        FOLDER / "teacher_check.json",
        {"teacher": TEACHER, "spring_eV_A2": case.config.labels.spring, "hops": hops},
    )
    print(f"{len(hops)} bands of {options.images} images: {FOLDER / 'teacher_check.json'}")


if __name__ == "__main__":
    main()
