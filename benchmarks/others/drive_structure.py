"""Distances, neighbours, angles and rings of one structure by matscipy and freud, in an environment of their own.

python drive_structure.py STRUCTURE CUTOFF R_MAX BINS

Prints one JSON line: for each library what it found and CPU seconds (the fastest of three).
"""

import itertools
import json
import sys
import time

import numpy as np
from ase.io import read


def timed(call):
    """The answer, and the fastest of three."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        answer = call()
        times.append(time.process_time() - begin)
    return answer, min(times)


def by_matscipy(atoms, cutoff, r_max, bins):
    from matscipy.neighbours import neighbour_list
    from matscipy.rings import ring_statistics

    def angles():
        i, vectors = neighbour_list("iD", atoms, cutoff)
        unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
        first = np.searchsorted(i, np.arange(len(atoms) + 1))
        found = []
        for a, b in itertools.pairwise(first):
            rows, columns = np.triu_indices(b - a, 1)
            found.append(np.degrees(np.arccos(np.clip((unit[a:b] @ unit[a:b].T)[rows, columns], -1, 1))))
        return np.concatenate(found)

    def radial():
        lengths = neighbour_list("d", atoms, r_max)
        edges = np.linspace(0, r_max, bins + 1)
        shells = 4 / 3 * np.pi * np.diff(edges**3) * len(atoms) ** 2 / atoms.get_volume()
        return np.histogram(lengths, edges)[0] / shells

    g, rdf_s = timed(radial)
    counts, count_s = timed(lambda: np.bincount(neighbour_list("i", atoms, cutoff), minlength=len(atoms)))
    bends, angle_s = timed(angles)
    rings, ring_s = timed(lambda: ring_statistics(atoms, cutoff, maxlength=12))
    return {
        "g": g.tolist(), "rdf_s": rdf_s, "coordination": counts.tolist(), "coordination_s": count_s,
        "angle_mean": float(bends.mean()), "angle_spread": float(bends.std()), "angles_s": angle_s,
        "rings": {int(k): int(n) for k, n in enumerate(rings) if n}, "rings_s": ring_s,
    }  # fmt: skip


def by_freud(atoms, cutoff, r_max, bins):
    import freud

    box = freud.box.Box.from_matrix(atoms.cell.array.T)
    points = box.wrap(atoms.positions.astype(np.float32))

    def radial():
        rdf = freud.density.RDF(bins, r_max)
        rdf.compute((box, points), reset=True)
        return np.array(rdf.rdf)

    def counts():
        query = freud.locality.AABBQuery(box, points).query(points, {"r_max": cutoff, "exclude_ii": True})
        return np.array(query.toNeighborList().neighbor_counts)

    def waves():
        factor = freud.diffraction.StaticStructureFactorDirect(
            bins=60, k_max=8.0, k_min=0.5, num_sampled_k_points=0
        )
        factor.compute((box, points))
        return np.array(factor.bin_centers), np.array(factor.S_k)

    g, rdf_s = timed(radial)
    number, count_s = timed(counts)
    (k, S), wave_s = timed(waves)
    return {
        "g": g.tolist(), "rdf_s": rdf_s, "coordination": number.tolist(), "coordination_s": count_s,
        "k": k.tolist(), "S": np.nan_to_num(S).tolist(), "S_s": wave_s,
    }  # fmt: skip


def main():
    atoms = read(sys.argv[1])
    cutoff, r_max, bins = float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    out = {}
    for name, call in (("matscipy", by_matscipy), ("freud", by_freud)):
        try:
            out[name] = call(atoms, cutoff, r_max, bins)
        except ImportError as error:
            out[name] = {"missing": str(error)}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
