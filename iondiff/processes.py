"""A pool of local processes in which a death costs one task one more try, and nothing else anything.

`concurrent.futures.ProcessPoolExecutor` throws away every task once one of its processes dies. Here each
process has its own pipe, so it is known which task it was at: that one is tried again in a fresh process,
and reported after a second death; the others never notice.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from iondiff.errors import RunError

#: One thread a process: universal potentials on a hundred atoms are slower with two.
_SINGLE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
_TRIES = 2
_PATIENCE = 30  # s, for a Dask scheduler to answer
_LOST = (EOFError, OSError)  # what a pipe raises whose other end is gone


class ProcessDiedError(Exception):
    """The process at work on a task died, and so did the one that tried it again."""


class LocalPool(Executor):
    """Single-threaded worker processes behind the door of `concurrent.futures`.

    Parameters
    ----------
    workers
        Processes; each starts when there is work for it.
    """

    def __init__(self, workers: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], bytes] | None] = queue.SimpleQueue()
        self._closed, self._killed = threading.Event(), threading.Event()
        self._processes: set[BaseProcess] = set()
        self._lanes = [threading.Thread(target=self._lane, daemon=True) for _ in range(workers)]
        for lane in self._lanes:
            lane.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue one call; function, arguments and result travel by pickle between our own processes."""
        if self._closed.is_set():
            raise RuntimeError("the pool is shut down")
        future: Future[Any] = Future()
        self._tasks.put((future, pickle.dumps((fn, args, kwargs))))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes; with `cancel_futures` at once, whatever they are at."""
        self._closed.set()
        if cancel_futures:
            self._killed.set()
            while True:
                try:
                    task = self._tasks.get_nowait()
                except queue.Empty:
                    break
                if task is not None:
                    task[0].cancel()
            for process in list(self._processes):
                process.kill()
        for _ in self._lanes:
            self._tasks.put(None)
        if wait:
            for lane in self._lanes:
                lane.join()

    def _lane(self) -> None:
        """One process after another, one task at a time."""
        worker: _Worker | None = None
        while (task := self._tasks.get()) is not None:
            future, call = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker, result = self._try(worker, call)
            except BaseException as error:  # noqa: BLE001  whatever it is, it belongs to whoever waits
                worker = None if isinstance(error, (*_LOST, BrokenExecutor, ProcessDiedError)) else worker
                future.set_exception(error)
            else:
                good, value = result
                future.set_result(value) if good else future.set_exception(value)
        if worker is not None:
            self._bury(worker)

    def _try(self, worker: _Worker | None, call: bytes) -> tuple[_Worker, tuple[bool, Any]]:
        code: int | None = None
        for _ in range(_TRIES):
            if self._killed.is_set():
                raise BrokenExecutor("the pool was shut down")
            worker = worker or self._start()
            try:
                return worker, pickle.loads(worker.ask(call))  # noqa: S301  from our own process
            except _LOST:
                code = self._bury(worker)
                worker = None
        raise ProcessDiedError(f"the process at work on it died twice, the last time with {_ending(code)}")

    def _start(self) -> _Worker:
        worker = _Worker()
        self._processes.add(worker.process)
        try:
            worker.pipe.recv_bytes()
        except _LOST:
            code = self._bury(worker)
            raise BrokenExecutor(f"a process ended with {_ending(code)} before it was ready") from None
        return worker

    def _bury(self, worker: _Worker) -> int | None:
        worker.pipe.close()
        worker.process.join(10.0)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        self._processes.discard(worker.process)
        return worker.process.exitcode


class _Worker:
    """A spawned process and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does

    def ask(self, call: bytes) -> bytes:
        self.pipe.send_bytes(call)
        return self.pipe.recv_bytes()


def _ending(code: int | None) -> str:
    """An exit code in words."""
    if code == -signal.SIGKILL:
        return "signal 9 (killed: out of memory?)"
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection) -> None:
    """What a process does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _end_with_parent()
    pipe.send_bytes(b"ready")
    while True:
        try:
            call = pipe.recv_bytes()
        except _LOST:
            return
        pipe.send_bytes(_answer(call))


def _answer(call: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(call)  # noqa: S301  from our own parent
        return pickle.dumps((True, function(*args, **kwargs)))
    except Exception as error:  # noqa: BLE001  it travels to whoever waits for the result
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)  # noqa: S301  some exceptions can be written but not read
        except Exception:  # noqa: BLE001  those travel as text
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return answer


def _end_with_parent() -> None:
    """Workers of a killed parent would wait for work for ever, each with a teacher in memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(process: BaseProcess) -> None:
    process.join()
    os._exit(1)


@contextmanager
def local_pool(workers: int) -> Iterator[LocalPool]:
    """A pool whose processes end with the block, however it ends."""
    before = {name: os.environ.get(name) for name in _SINGLE_THREAD}
    os.environ.update(_SINGLE_THREAD)  # inherited by the spawned workers before they import a maths library
    pool = LocalPool(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def dask_executor(scheduler: str | None) -> Iterator[Executor | None]:
    """The workers of a Dask scheduler as an executor; None where no scheduler is named.

    Parameters
    ----------
    scheduler
        An address like ``tcp://node7:8786``, or the file that ``dask scheduler --scheduler-file`` writes.

    Raises
    ------
    RunError
        The package is not installed, or nobody answers at the address within 30 s.
    """
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise RunError(
            "a scheduler needs the package 'distributed': pip install 'diffusion-network[dask]'"
        ) from None
    where = {"scheduler_file": scheduler} if os.path.isfile(scheduler) else {"address": scheduler}  # noqa: PTH113
    try:
        client = Client(**where, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise RunError(f"no Dask scheduler answers at {scheduler} ({error}); is it running?") from error
    with client, client.get_executor() as executor:
        yield executor
