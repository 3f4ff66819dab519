"""Label files: the same labels back, and the line and name of whatever is wrong."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from iondiff.errors import LabelError
from iondiff.files import host_fingerprint
from iondiff.sampling import Label, LabelSet, read_labels, write_labels
from iondiff.sampling._checkpoint import open_checkpoint
from iondiff.sampling.label_files import format_label, parse_label


def some_labels(count=6):
    generator = np.random.default_rng(0)
    return [
        parse_label(
            format_label(
                Label(
                    i, tuple(generator.random(3)), generator.normal(), generator.normal(),
                    tuple(generator.normal(size=3)), 5 + i, 0.01, 0.2, 1.9, i != 4,
                    "grid" if i % 2 else "core",
                )
            ),
            "here",
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.fixture
def labels(host):
    return LabelSet(some_labels(), {"guest": "Cu", "host": host_fingerprint(host), "teacher": "none"})


@pytest.mark.parametrize("name", ["l.jsonl", "l.jsonl.gz"])
def test_round_trip_sorted_and_the_same_bytes(labels, host, tmp_path, name):
    path = tmp_path / name
    write_labels(path, LabelSet(labels.labels[::-1], labels.provenance))
    again = read_labels(path, host, "Cu")
    assert again.labels == sorted(labels.labels, key=lambda x: (x.part, x.index))
    assert again.provenance == {**labels.provenance, "schema": "guest-labels/1"}
    first = path.read_bytes()
    write_labels(path, again)
    assert path.read_bytes() == first


def test_arrays_and_selection(labels):
    assert labels.positions.shape == (6, 3)
    assert labels.energies.shape == (6,)
    np.testing.assert_array_equal(labels.gradients[2], -np.array(labels.labels[2].guest_force_eV_A))
    assert len(labels.select()) == 5
    assert [x.index for x in labels.select("core").labels] == [0, 2]
    assert [x.index for x in labels.select("core", converged=None).labels] == [0, 2, 4]
    assert [x.index for x in labels.select(converged=False).labels] == [4]
    assert LabelSet([]).positions.shape == (0, 3)
    assert LabelSet([]).gradients.shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy_eV": float("nan")}, "line 3: energy_eV is nan; wanted finite numbers"),
        ({"guest_force_eV_A": [0.0, float("inf"), 0.0]}, "line 3: guest_force_eV_A is"),
        ({"position_A": [0.0, 1.0]}, "line 3: position_A .* 3 numbers"),
        ({"position_A": [[0.0], [1.0, 2.0], 3]}, "line 3: position_A .* 3 numbers"),
        ({"energy_eV": "-3.1"}, "line 3: energy_eV is '-3.1'; wanted a number"),
        ({"energy_eV": [1.0]}, "line 3: energy_eV"),
        ({"energy_eV": None}, "line 3: energy_eV"),
        ({"index": "3"}, "line 3: index is '3'; wanted int"),
        ({"converged": 1}, "line 3: converged is 1; wanted bool"),
        ({"colour": "red"}, "line 3 is not a label .*colour"),
    ],
)
def test_a_bad_row_is_named(labels, tmp_path, change, message):
    path = tmp_path / "l.jsonl"
    write_labels(path, labels)
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), **change})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(LabelError, match=message):
        read_labels(path)


def test_a_label_without_all_its_numbers(labels, tmp_path):
    path = tmp_path / "l.jsonl"
    write_labels(path, labels)
    lines = path.read_text().splitlines()
    for bad in ("", "[]", "3", "null", '{"index": 1}', lines[1][:40], "[" * 100_000):
        path.write_text("\n".join([lines[0], lines[1], bad, *lines[3:]]) + "\n")
        with pytest.raises(LabelError, match="line 3 is not a label"):
            read_labels(path)


def test_a_cut_off_last_line_is_dropped_only_when_labelling_goes_on(labels, tmp_path):
    path = tmp_path / "l.jsonl"
    write_labels(path, labels)
    settings = {**labels.provenance, "schema": "guest-labels/1"}
    whole = path.read_text()
    path.write_text(whole[:-30])
    with pytest.raises(LabelError, match="line 7 is not a label"):
        read_labels(path)
    points = np.array([label.position_A for label in sorted(labels.labels, key=lambda x: x.index)])
    done = open_checkpoint(path, settings, "core", points)
    assert sorted(done) == [0, 2, 4]
    assert path.read_text() == "\n".join(whole.splitlines()[:-1]) + "\n"
    # Damage anywhere else is not repaired in silence.
    path.write_text(whole.replace('"part": "core"', '"part": core"', 1))
    with pytest.raises(LabelError, match="line 2 is not a label"):
        open_checkpoint(path, settings, "core", points)


def test_wrong_host_wrong_guest_wrong_file(labels, host, tmp_path):
    path = tmp_path / "l.jsonl.gz"
    write_labels(path, labels)
    other = host.copy()
    other.positions[0, 0] += 0.01
    with pytest.raises(LabelError, match="made for another host"):
        read_labels(path, other)
    with pytest.raises(LabelError, match="is for guest 'Cu', wanted 'Ag'"):
        read_labels(path, host, "Ag")
    with pytest.raises(LabelError, match="does not exist; make one"):
        read_labels(tmp_path / "none.jsonl")
    for content in ("", "{}\n", "not json\n", '["guest-labels/1"]\n', "[" * 100_000):
        (tmp_path / "x.jsonl").write_text(content)
        with pytest.raises(LabelError, match="it is not a label file"):
            read_labels(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "x.jsonl")


def test_a_damaged_gz_never_passes(labels, tmp_path):
    path = tmp_path / "l.jsonl.gz"
    write_labels(path, replace(labels, labels=labels.labels * 20))
    data = path.read_bytes()
    generator = np.random.default_rng(0)
    for length in np.linspace(1, len(data) - 1, 30).astype(int):
        path.write_bytes(data[:length])
        with pytest.raises(LabelError):
            read_labels(path)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[generator.integers(10, len(data))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(LabelError):
            read_labels(path)
    path.write_bytes(gzip.decompress(data))
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(path)
