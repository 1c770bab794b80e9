"""What every workload needs: a Redis, a client, time stamps, workers, and the cost of a step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import common as c
from benchmarks.marks import Marks
from stepflow import Client, RunSpec
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect


def in_database(url: str, database: int) -> str:
    """Give the URL of another database of the same server, whichever one *url* names."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"{url.partition('?')[0]}?db={database}"
    return parts._replace(path=f"/{database}").geturl()


@dataclass(frozen=True, slots=True)
class Ground:
    """One database of the Redis under test, and who uses it."""

    args: Any
    url: str
    redis: Any
    client: Client
    marks: Marks

    @classmethod
    def of(cls, workload: str, size: int = 0, **defaults: Any) -> Ground:
        """
        Read the command line of *workload*; *size* is how many runs it has unless told otherwise.
        """
        args = c.args([workload], size, **defaults)
        return cls(
            args,
            args.redis,
            connect(Address.parse(args.redis)),
            Client(args.redis),
            Marks(create=True),
        )

    def beside(self, database: int) -> Ground:
        """Give the same with another database of the server."""
        url = in_database(self.url, database)
        return replace(self, url=url, redis=connect(Address.parse(url)), client=Client(url))

    def clean(self) -> None:
        """Empty the database."""
        self.redis.flushdb()

    def live(self) -> int:
        """Count the runs that have not ended."""
        return int(self.redis.zcard("stepflow:idx:live"))

    def measure(
        self, once: Callable[[int], dict[str, Any]], notes: str, *, steps_per_run: int | None = None
    ) -> None:
        """Repeat the workload and print its line."""
        versions = c.version("redis", "rq", "hiredis", "uvloop")
        c.measure(
            self.args,
            "stepflow",
            once,
            unit="runs",
            notes=notes,
            versions=versions,
            steps_per_run=steps_per_run,
        )

    @contextmanager
    def worker(
        self,
        concurrency: int = 100,
        processes: int = 1,
        *,
        app: str = "benchmarks.app:app",
        env: Mapping[str, str] | None = None,
    ) -> Iterator[c.Proc]:
        """Run one `stepflow worker` process of *app*, or several under its supervisor."""
        command = [
            sys.executable,
            "-m",
            "stepflow",
            "worker",
            app,
            "--concurrency",
            str(concurrency),
        ]
        if processes > 1:
            command += ["--processes", str(processes)]
        process = c.Proc(command, env={"STEPFLOW_REDIS_URL": self.url, **(env or {})})
        try:
            yield process
        finally:
            process.stop()

    @contextmanager
    def idle_worker(self, processes: int = 1, **options: Any) -> Iterator[c.Proc]:
        """Run worker processes that have said they are there."""
        with self.worker(processes=processes, **options) as process:
            c.wait_for(lambda: len(self.client.workers()) == processes, 30, 0.02, process)
            yield process

    def drain(
        self,
        specs: Iterable[RunSpec | tuple[str, Any]],
        steps: int,
        *,
        concurrency: int = 100,
        processes: int = 1,
        after: Callable[[c.Proc], dict[str, float]] | None = None,
    ) -> dict[str, Any]:
        """
        Submit all runs, then start the worker: from the first of *steps* steps executed to the
        last. *after* gives more figures, while the worker is still there.
        """
        self.marks.reset()
        handles = self.client.submit_many(specs)
        with self.worker(concurrency, processes) as process:
            rss = c.PeakRSS(process.pid)
            c.wait_for(lambda: self.marks.count, 60, 0.001, process)
            first = Spent.so_far(self, process)
            c.wait_for(lambda: self.marks.count >= steps and not self.live(), 600, 0.005, process)
            figures = Spent.so_far(self, process).per_step_since(first)
            if after is not None:
                figures |= after(process)
            peak = rss.done()
        if self.marks.count != steps:
            raise RuntimeError(f"{self.marks.count} steps executed instead of {steps}")
        return {"seconds": self.marks.span, "n": len(handles), "rss_mb": peak, "figures": figures}


@dataclass(frozen=True, slots=True)
class Spent:
    """What steps have cost so far, by the books of the server and of the kernel."""

    steps: int
    scripts: int
    commands: int
    reads: int
    python_us: float

    @classmethod
    def so_far(cls, ground: Ground, process: c.Proc) -> Spent:
        """Read the books."""
        steps = ground.marks.count
        python_us = sum(map(_cpu_us, _workers(process.pid)))
        stats = ground.redis.info("everything")
        calls = {
            name: value["calls"] for name, value in stats.items() if name.startswith("cmdstat_")
        }
        scripts = calls.get("cmdstat_evalsha", 0)
        return cls(
            steps, scripts, sum(calls.values()) - scripts, stats["total_reads_processed"], python_us
        )

    def per_step_since(self, first: Spent) -> dict[str, float]:
        """Give the cost of each step between the two; nothing when there was none."""
        steps = self.steps - first.steps
        if not steps:
            return {}
        return {
            "scripts_per_step": (self.scripts - first.scripts) / steps,
            "commands_per_step": (self.commands - first.commands) / steps,
            "round_trips_per_step": (self.reads - first.reads) / steps,
            "python_us_per_step": (self.python_us - first.python_us) / steps,
        }


def _workers(pid: int) -> list[int]:
    """Give a process and its children, without one that archives beside it."""
    return [pid, *(child for child in c.children(pid) if not _archives(child))]


def _archives(pid: int) -> bool:
    try:
        return b"--beside" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False


def _cpu_us(pid: int) -> float:
    """
    CPU time of the process's threads; finer than /proc/<pid>/stat, which counts in hundredths of a
    second.
    """
    spent_ns = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            spent_ns += int(thread.read_text().split()[0])
    return spent_ns / 1e3
