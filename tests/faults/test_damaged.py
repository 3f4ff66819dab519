"""A byte changed, a file cut off: found, named, and refused or made again; never silently used."""

import numpy as np
import pytest

PLACES = 40


def outcome(kind, path):
    """What a file says, or the error in its place."""
    try:
        return kind.read(path), None
    except kind.errors as error:
        return None, error


def check(kind, path, whole):
    """Refused with a sentence that names the file, made again, or the same content after all."""
    found, error = outcome(kind, path)
    if error is not None:
        assert path.name in str(error) or "transport.json" in str(error)
        assert "\n" not in str(error)
        return "refused"
    if found == whole:
        return "same"  # a byte that carries nothing, such as the date in a zip
    assert kind.redone(found, whole), f"a damaged {path.name} was read as if it were sound"
    return "again"


@pytest.fixture
def sound(kind_name, load_beside, tmp_path):
    kind = load_beside("file_kinds").KINDS[kind_name]
    path = tmp_path / "sound" / kind.name
    path.parent.mkdir()
    kind.write(path)
    return kind, path, kind.read(path)


def test_cut_off_anywhere(sound, tmp_path):
    kind, path, whole = sound
    data = path.read_bytes()
    cut = tmp_path / "cut"
    for number, length in enumerate(np.unique(np.linspace(0, len(data) - 1, PLACES).astype(int))):
        target = cut / str(number) / kind.name
        target.parent.mkdir(parents=True)
        target.write_bytes(data[:length])
        if kind.checked:
            check(kind, target, whole)
        else:
            outcome(kind, target)  # people's own files: an error, or what is left of them


def test_a_changed_byte(sound, tmp_path):
    kind, path, whole = sound
    if not kind.checked:
        pytest.skip("made by people; a run folder keeps its checksum")
    data = path.read_bytes()
    generator = np.random.default_rng(0)
    counts = dict.fromkeys(("refused", "same", "again"), 0)
    for number, place in enumerate(generator.integers(0, len(data), PLACES)):
        changed = bytearray(data)
        changed[place] ^= 1 << int(generator.integers(8))
        target = tmp_path / "changed" / str(number) / kind.name
        target.parent.mkdir(parents=True)
        target.write_bytes(changed)
        counts[check(kind, target, whole)] += 1
    assert kind.heals or counts["refused"] + counts["again"] > PLACES // 2
