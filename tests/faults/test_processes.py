"""The local pool: a death costs its own task a second try, and the others nothing."""

import os
import signal
import time
from concurrent.futures import as_completed

import pytest

from iondiff.processes import LocalPool, ProcessDiedError, local_pool


def test_results_errors_and_deaths_each_find_their_own_future():
    with local_pool(2) as pool:
        futures = {pool.submit(int, text): text for text in ("1", "two", "3")}
        deadly = pool.submit(os._exit, 7)
        killed = pool.submit(signal.raise_signal, signal.SIGKILL)
        more = [pool.submit(abs, -number) for number in range(20)]
        done = {futures[f]: (f.exception() or f.result()) for f in as_completed(futures)}
        assert done["1"] == 1
        assert done["3"] == 3
        assert isinstance(done["two"], ValueError)
        with pytest.raises(ProcessDiedError, match=r"died twice, the last time with exit code 7"):
            deadly.result(60)
        with pytest.raises(ProcessDiedError, match=r"signal 9 \(killed: out of memory\?\)"):
            killed.result(60)
        assert [future.result(60) for future in more] == list(range(20))


def test_an_interrupted_block_ends_its_processes_at_once():
    began, kept = time.monotonic(), []

    def interrupted():
        with local_pool(1) as pool:
            assert pool.submit(abs, -1).result(60) == 1
            kept.extend([pool, pool.submit(time.sleep, 600), pool.submit(abs, -2)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    pool, sleeping, waiting = kept
    assert time.monotonic() - began < 300
    assert sleeping.done()
    assert waiting.cancelled()
    assert not pool._processes
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(abs, -3)


def test_a_pool_that_is_closed_finishes_what_it_was_given():
    pool = LocalPool(1)
    futures = [pool.submit(abs, -number) for number in range(3)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [0, 1, 2]


def test_what_cannot_travel_is_said_where_it_is_sent():
    with local_pool(1) as pool, pytest.raises((AttributeError, TypeError), match="pickle"):
        pool.submit(lambda: 1)
