"""Files from strangers: mutated in every way, each ends in a result or in the package's own error.

In bounded time and memory: a mutation that takes 20 s or lets the process grow by half a gigabyte fails.
"""

import random
import re
import resource
import signal
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FAST, SLOW = 18, 400  # mutations of each kind
SECONDS = 20
MEMORY = 512 << 20  # bytes
TOKENS = (
    b"NaN", b"nan", b"Infinity", b"-inf", b"1e999", b"1e308", b"-1e308", b"1e-320", b"-1", b"0", b"-0.0",
    b"99999999999999999999", b"2147483648", b"9" * 5000, b"null", b"true", b"[]", b"{}", b'""', b"[" * 3000,
    b'{"a":' * 3000, b'"', b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"../../etc/passwd", b"\n",
    b"1.5", b"<!DOCTYPE a>", b"__import__('os')", b"1000000000", b"O", b"Cu", b"|O", b"=", b"  ",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?")


def mutate(data, rng):
    """One to three changes of a file's bytes."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(CHANGES)(bytearray(data), rng)
    return bytes(data)


def _span(data, rng, longest=64):
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randint(1, longest))


def _flip(data, rng):
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _scramble(data, rng):
    start, end = _span(data, rng)
    data[start:end] = rng.randbytes(end - start)
    return data


def _remove(data, rng):
    start, end = _span(data, rng, 4096)
    del data[start:end]
    return data


def _repeat(data, rng):
    start, end = _span(data, rng, 1024)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _insert(data, rng):
    start, _ = _span(data, rng)
    return data[:start] + rng.choice(TOKENS) + data[start:]


def _swap(data, rng):
    (a, b), (c, d) = sorted((_span(data, rng, 256), _span(data, rng, 256)))
    c = max(b, c)
    return data[:a] + data[c : max(c, d)] + data[b:c] + data[a:b] + data[max(c, d) :]


def _renumber(data, rng):
    found = list(NUMBER.finditer(data))[:5000]
    if not found:
        return data
    place = rng.choice(found)
    return data[: place.start()] + rng.choice(TOKENS) + data[place.end() :]


def _nudge(data, rng):
    """One number a little different: what a check of types alone lets through."""
    found = list(NUMBER.finditer(data))[:5000]
    if not found:
        return data
    place = rng.choice(found)
    other = repr(float(place[0]) * rng.choice((-1.0, 0.5, 1e3, 1e9, 1e-9, 1e50))).encode()
    return data[: place.start()] + rng.choice((other, place[0] + b"0", b"1")) + data[place.end() :]


def _cut(data, rng):
    return data[: rng.randrange(len(data) + 1)]


CHANGES = (_flip, _scramble, _remove, _repeat, _insert, _swap, _renumber, _renumber, _nudge, _nudge, _cut)


class TooLongError(BaseException):
    """Not an Exception, so that no reader can take it for an error of the file."""


@contextmanager
def bounded():
    """A limit of processor time, and of memory that the process grows by."""

    def ring(*_):
        raise TooLongError(f"{SECONDS} s were not enough")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    old = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"reading the file took {grown >> 20} MiB"


def survive(kind, data, folder):
    """Read and use a file of these bytes; whether it was accepted."""
    path = folder / kind.name
    path.write_bytes(data)
    try:
        with bounded():
            kind.read(path)
    except kind.errors as error:
        words = str(error)
        assert words
        assert len(words) < 3000, "an error that a stranger can make endless"
        return False
    return True


def originals(kind, folder):
    folder.mkdir()
    kind.write(folder / kind.name)
    return (folder / kind.name).read_bytes()


def many(kind, folder, count, seed):
    """Mutations of the file, and of what lies behind its checksums; how many, and how many were accepted."""
    whole = originals(kind, folder / "sound")
    inside = kind.opened(whole)
    kind.read(folder / "sound" / kind.name)  # compiled before anything is measured
    rng = random.Random(seed)  # noqa: S311  no secret
    accepted = 0
    for number in range(count):
        data = kind.closed(mutate(inside, rng), whole) if number % 4 else mutate(whole, rng)
        target = folder / "mutated" / str(number)
        target.mkdir(parents=True)
        try:
            accepted += survive(kind, data, target)
        except BaseException:
            (folder / "culprit").write_bytes(data)
            print(f"mutation {number} of seed {seed}, kept in {folder / 'culprit'}")
            raise
    return count, accepted


def test_mutated(kind_name, load_beside, tmp_path):
    kind = load_beside("file_kinds").KINDS[kind_name]
    assert many(kind, tmp_path, FAST, seed=0)[0] == FAST


@pytest.mark.slow
def test_mutated_often(kind_name, load_beside, tmp_path, capsys):
    kinds = load_beside("file_kinds").KINDS
    count, accepted = many(kinds[kind_name], tmp_path, SLOW, seed=1)
    with capsys.disabled():
        print(f"\n{kind_name}: {count} mutations, {accepted} accepted, {count - accepted} refused")
    assert len(kinds) * SLOW >= 10_000


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
def test_any_bytes(kind_name, load_beside, tmp_path_factory, data):
    kind = load_beside("file_kinds").KINDS[kind_name]
    survive(kind, data, tmp_path_factory.mktemp("bytes"))
