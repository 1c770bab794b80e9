"""
The jobs of rq.py, light on imports.

The stock RQ worker imports their module again in every forked child.
"""

from benchmarks.marks import hit


def noop(n: int) -> None:
    hit()


def step(run: str, n: int, steps: int) -> dict[str, int]:
    hit()
    if n + 1 < steps:
        from rq import Queue, get_current_job  # noqa: PLC0415  for the last job of a chain does without

        queue = Queue("bench", connection=get_current_job().connection)
        queue.enqueue(step, run, n + 1, steps, job_id=f"{run}-{n + 1}")
    return {"n": n}
