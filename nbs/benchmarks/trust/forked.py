"""Cases in forked worker processes: a crash or a hang of one is an answer like any other."""

import functools
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

_fork = multiprocessing.get_context("fork")
RAW = (  # words of Python's and numpy's own errors: a message that is one of these tells a user nothing
    "out of bounds",
    "could not convert",
    "not aligned",
    "broadcast",
    "unsupported operand",
    "has no attribute",
    "mismatch in its",
    "not subscriptable",
    "must be real number",
    "invalid literal",
    "ambiguous",
    "unhashable",
    "cannot cast",
    "ufunc",
    "codec can't",
    "inhomogeneous",
    "setting an array element",
    "list index",
    "cannot reshape",
    "iterable",
    "axis ",
    "must be 1-d",
    "negative dimension",
    "Input contains",
    "array must not contain",
    "zero-size",
    "float() argument",
    "int() argument",
    "not supported between",
    "can only",
)


def quiet(folder: Path) -> Path:
    "Send everything that this process prints, libraries in C included, to a file; one BLAS thread."
    from threadpoolctl import threadpool_limits

    log = folder / f"said-{os.getpid()}"
    fd = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2): os.dup2(fd, stream)
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False,
        errors="backslashreplace") for n in (1, 2))
    threadpool_limits(1)
    return log


def said(log: Path) -> str:
    "What was printed since the last call."
    sys.stdout.flush(), sys.stderr.flush()
    text = log.read_bytes().decode("utf-8", "replace")
    os.truncate(log, 0)
    return text


def command(words: list, log: Path) -> tuple[int, str]:
    "Exit status of `vfjac` with these words and what it printed; raises AssertionError where it breaks its promise."
    from vfjac.cli import main

    said(log)
    try: status = main([str(w) for w in words])
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)
        ours = next((f for f in reversed(where) if "vfjac" in f.filename), where[-1])
        raise AssertionError(f"traceback: {type(e).__name__} in {ours.name}, line {ours.lineno}: {str(e)[:150]}") from e
    text = said(log)
    if status == 0: return 0, text
    lines = [line for line in text.splitlines() if not line.startswith("vfjac: note: ")]
    assert status == 2, f"exit status {status}: {text[:200]}"
    assert len(lines) == 1 and lines[0].startswith("vfjac: "), f"not one line: {text[:500]}"
    message = lines[0].removeprefix("vfjac: ")
    assert len(message) > 20, f"unclear message: {message}"
    raw = [word for word in RAW if word in message]
    assert not raw or "cannot be read as" in message, f"raw message ({raw[0]}): {message[:200]}"
    return 2, message


@functools.cache
def bundle() -> str:
    "The JavaScript of pages, made once in a process of its own: its engine does not live through a fork."
    make = ("import altair as alt, vl_convert, sys; v = '_'.join(alt.SCHEMA_VERSION.lstrip('v').split('.')[:2]);"
        "sys.stdout.buffer.write(vl_convert.javascript_bundle(vl_version=v).encode())")
    return subprocess.run([sys.executable, "-c", make], check=True, capture_output=True).stdout.decode()


def _only_read(path):
    "Read a file as the command does, and go no further."
    import anndata

    anndata.read_h5ad(path)
    raise ValueError("the library reads it in time")


def _worker(work: Callable, pipe: Connection, folder: Path, library: bool):
    "Answer cases until none comes; with `library`, only what the libraries do with the file of each."
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = quiet(folder)
    import vl_convert

    vl_convert.javascript_bundle = lambda *_, **__: bundle()
    if library:
        import vfjac.cli

        vfjac.cli.read_cells = _only_read
    while (case := pipe.recv()) is not None:
        try: answer = work(case, folder, log)
        except AssertionError as e: answer = ("problem", str(e) or traceback.format_exc(limit=-2))
        except Exception: answer = ("problem", "the test itself stopped: " + traceback.format_exc(limit=-3))
        pipe.send(answer)
    os._exit(0)


def answers(cases: Iterable, work: Callable, *, seconds: float = 12, workers: int = 2,
        library: bool = False) -> Iterator[tuple[object, tuple]]:
    """`work(case, folder, log)` for every case, in forked workers: pairs of a case and its answer.

    An answer is ("right", …), ("refused", message) or ("problem", words). A worker that dies or is late is replaced."""
    cases, busy = iter(cases), {}
    bundle()  # before the fork
    with tempfile.TemporaryDirectory(prefix="trust-") as top:

        def start():
            mine, theirs = _fork.Pipe()
            folder = Path(tempfile.mkdtemp(dir=top))
            process = _fork.Process(target=_worker, args=(work, theirs, folder, library), daemon=True)
            process.start()
            theirs.close()
            return process, mine

        idle = [start() for _ in range(workers)]
        left = True
        while left or busy:
            while left and idle:
                case = next(cases, None)
                if case is None:
                    left = False
                    break
                process, pipe = idle.pop()
                pipe.send(case)
                busy[pipe] = (process, case, time.monotonic() + seconds)
            ready = wait(list(busy), timeout=0.5)
            for pipe in list(busy):
                process, case, until = busy[pipe]
                if pipe in ready:
                    del busy[pipe]
                    try:
                        yield case, pipe.recv()
                        idle.append((process, pipe))
                    except EOFError:
                        process.join()
                        yield case, ("dead", f"the process died (exit code {process.exitcode})")
                        idle.append(start())
                elif time.monotonic() > until:
                    del busy[pipe]
                    process.kill()
                    process.join()
                    yield case, ("dead", f"still running after {seconds:g} s")
                    idle.append(start())
        for process, pipe in idle:
            pipe.send(None)
            process.join(5)


def count(outcome, cases: Iterable, work: Callable, name: Callable = str, **how) -> None:
    "Try all cases and count them in an outcome; files that crash or stop the HDF5 library itself are only noted."

    def told(answer):
        kind, words = answer
        if kind == "refused": raise ValueError(words)
        return None if kind == "right" else words

    dead, mute, patient = [], 0, {**how, "seconds": 60}
    for case, answer in answers(cases, work, **how):
        if answer[0] == "dead": dead.append(case)
        else: outcome.ran(name(case), lambda answer=answer: told(answer))
    readable = []
    for case, answer in answers(dead, work, **patient, library=True):
        mute += answer[0] == "dead"
        readable += [case] * (answer[0] != "dead")
    for case, answer in answers(readable, work, **patient):
        outcome.ran(name(case), lambda answer=answer: told(answer))
    if mute:
        outcome.note += (f"{mute} more files crash or stop the HDF5 library itself, and the command with it. ")
