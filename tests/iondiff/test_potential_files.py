"""Potential files: the same numbers back, the same bytes again, one sentence for whatever else they hold."""

import io
import json
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iondiff.errors import PotentialError
from iondiff.files import file_hash, write_json
from iondiff.potentials import GuestNNP, load, save


@pytest.fixture(scope="module")
def written(make, host, tmp_path_factory):
    potential = replace(make.potential(), correction=make.correction(host))
    path = tmp_path_factory.mktemp("nnp") / "cu.nnp"
    save(potential, path)
    return potential, path


def rewrite(path, target, header=None, **arrays):
    """The file again, with entries of its header or arrays replaced (None drops them)."""
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    found = json.loads(content["header"].tobytes())
    for key, value in (header or {}).items():
        if value is None:
            del found[key]
        else:
            found[key] = value
    content["header"] = np.frombuffer(json.dumps(found).encode(), np.uint8)
    content |= arrays
    np.savez(target, **{name: value for name, value in content.items() if value is not None})
    return target


def test_round_trip_to_the_last_bit(written, host):
    potential, path = written
    again = load(path)
    for name in ("centre", "width", "weights"):
        assert np.array_equal(getattr(again, name), getattr(potential, name))
    for name in ("guest", "functions", "layers", "energy_shift", "energy_scale", "wall_A", "summary"):
        assert getattr(again, name) == getattr(potential, name)
    assert np.array_equal(again.correction.coefficients, potential.correction.coefficients)
    points = np.random.default_rng(0).random((20, 3)) @ host.cell.array
    for a, b in zip(
        potential.landscape(host)._evaluate(points), again.landscape(host)._evaluate(points), strict=True
    ):
        assert np.array_equal(a, b)


def test_the_same_potential_gives_the_same_bytes(written, tmp_path, monkeypatch):
    potential, path = written
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    save(potential, tmp_path / "again.nnp")
    save(load(path), tmp_path / "read.nnp")
    assert file_hash(path) == file_hash(tmp_path / "again.nnp") == file_hash(tmp_path / "read.nnp")
    assert not list(tmp_path.glob("*.tmp"))


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(PotentialError, match=r"does not exist; train one"):
        load(tmp_path / "none.nnp")
    (tmp_path / "empty.nnp").touch()
    np.save(tmp_path / "array.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("header", "hello")
    for name in ("empty.nnp", "array.npy", "other.zip", "."):
        with pytest.raises(PotentialError, match="cannot be read"):
            load(tmp_path / name)


def test_truncated_anywhere(written, tmp_path):
    data = written[1].read_bytes()
    target = tmp_path / "cut.nnp"
    for length in np.linspace(0, len(data) - 1, 60).astype(int):
        target.write_bytes(data[:length])
        with pytest.raises(PotentialError):
            load(target)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), count=st.integers(1, 8))
def test_changed_bytes_end_in_an_error_or_in_the_same_potential(written, tmp_path, place, value, count):
    potential, path = written
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    data[start : start + count] = bytes([value]) * len(data[start : start + count])
    target = tmp_path / "mutated.nnp"
    target.write_bytes(data)
    try:
        found = load(target)
    except PotentialError:
        return
    # Bytes the format does not check (dates, attributes) may change; the numbers may not.
    assert np.array_equal(found.weights, potential.weights)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_header_ends_in_an_error_or_a_potential(written, tmp_path, data):
    names = [
        "schema",
        "guest",
        "functions",
        "layers",
        "energy_shift",
        "energy_scale",
        "wall_A",
        "summary",
        "correction",
    ]
    header = {data.draw(st.sampled_from(names)): data.draw(json_values)}
    target = rewrite(written[1], tmp_path / "m.npz", header)
    try:
        found = load(target)
    except PotentialError:
        return
    assert isinstance(found, GuestNNP)


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        ({"schema": "guest-nnp/9"}, {}, "schema is 'guest-nnp/9'"),
        ({"guest": None}, {}, "guest"),
        ({"energy_scale": float("nan")}, {}, "not finite"),
        ({"layers": [9, 10**12, 1]}, {}, "weights have shape"),
        ({}, {"weights": None}, "weights"),
        ({}, {"weights": np.zeros((3, 2))}, "weights have shape"),
        ({}, {"weights": np.zeros((3, 116), dtype=complex)}, "cannot be read"),
        ({}, {"width": np.array(["a"] * 9)}, "cannot be read"),
        ({}, {"centre": np.zeros((9, 9))}, "centre has shape"),
        ({}, {"correction_centres": np.zeros((2, 3))}, "correction"),
        ({}, {"correction_coefficients": None}, "correction_coefficients"),
    ],
)
def test_what_no_potential_can_hold(written, tmp_path, header, arrays, message):
    with pytest.raises(PotentialError, match=message):
        load(rewrite(written[1], tmp_path / "bad.npz", header, **arrays))


def test_pickled_code_is_not_run(tmp_path, written):
    rewrite(written[1], tmp_path / "code.npz", weights=np.array([print], dtype=object))
    with pytest.raises(PotentialError, match="allow_pickle"):
        load(tmp_path / "code.npz")


def test_a_claim_of_too_many_bytes_is_refused(written, tmp_path, monkeypatch):
    monkeypatch.setattr("iondiff.potentials.files._LARGEST", 1000)
    with pytest.raises(PotentialError, match="unpacks to"):
        load(written[1])
    # An array header that promises more than there is.
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})
    with zipfile.ZipFile(tmp_path / "big.nnp", "w") as archive:
        archive.writestr("weights.npy", buffer.getvalue())
    with pytest.raises(PotentialError, match="cannot be read"):
        load(tmp_path / "big.nnp")


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
