"""The peers, what they need, and where, how and with how many runs each takes part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement of a peer: a line of the table."""

    workload: str
    peer: str
    variant: str
    n: int

    @property
    def needs(self) -> str:
        """The server it stands on: "redis", "postgres", or "" for none."""
        if self.peer not in ("dbos", "langgraph", "resonate", "restate"):
            return "redis"
        return "postgres" if self.variant.startswith("pg-") else ""


#: what to install for each peer, apart from the others
PACKAGES = {
    "rq": "rq hiredis",
    "arq": "arq hiredis",
    "saq": "saq[redis,hiredis] typing_extensions",
    "streaq": "streaq redis",
    "dramatiq": "dramatiq[redis] hiredis",
    "taskiq": "taskiq taskiq-redis hiredis",
    "celery": "celery packaging gevent redis hiredis",
    "dbos": "dbos psycopg[binary]",
    "langgraph": (
        "langgraph langgraph-checkpoint-sqlite langgraph-checkpoint-postgres "
        "psycopg[binary,pool] aiosqlite"
    ),
    "resonate": "resonate-sdk",
    "restate": "restate_sdk hypercorn",
}

#: what npm installs besides
NODE_PACKAGES = {"restate": "@restatedev/restate-server"}

#: what would look for the internet: it is given a network of its own, with nothing on it
SHUT_IN = ("restate",)

#: the oldest Python of those that need a newer one than stepflow
PYTHON = {"resonate": (3, 12)}

#: what keeps steps in the memory of the process that runs them: shown, but no durable peer
MEMORY_ONLY = ("resonate", "langgraph/memory")

#: peers that are not measured, and why
ABSENT = {
    "absurd": "its schema is in no package of the index",
    "temporal": "its SDK downloads its server from the internet",
    "prefect": "a flow is not resumed from its steps by default",
}

#: workload, peer, variant, runs: fewer where a peer is slow, for a rate does not need more
_LINES = """
W1 restate default 200
W1 dbos sqlite-here 60
W1 dbos sqlite-queue 60
W1 dbos pg-here 100
W1 dbos pg-queue 100
W1 langgraph sqlite-sync 100
W1 langgraph sqlite-async 100
W1 langgraph pg-sync 100
W1 celery prefork-2 200
W1 rq simple 150
W1 rq worker 30
W1 langgraph memory-sync 100
W1 resonate memory 200
W2 restate default 100
W2 dbos sqlite-here 80
W2 dbos pg-here 80
W2 langgraph sqlite-sync 80
W2 langgraph sqlite-async 80
W2 langgraph pg-sync 80
W2 celery prefork-2 100
W2 rq simple 80
W2 rq worker 20
W2 resonate memory 200
W3 dramatiq 1x8 5000
W3 dramatiq 2x8 5000
W3 taskiq list 5000
W3 taskiq stream 5000
W3 saq 10 5000
W3 saq 100 5000
W3 arq 10 1000
W3 arq 100 3000
W3 streaq 16 1500
W3 streaq 100 3000
W3 celery prefork-2 5000
W3 celery threads-10 5000
W3 rq simple 2000
W3 rq pool2simple 3000
W3 rq worker 300
W4 restate default 2000
W4 dbos sqlite-here 2000
W4 langgraph sqlite-sync 2000
W4 langgraph memory-sync 2000
W4 resonate memory 2000
W4 celery gevent-2000 2000
W4 saq 2000 2000
W4 arq 2000 2000
W4 streaq 2000 2000
W4 taskiq list 2000
"""


def lines(workload: str) -> list[Line]:
    """Give the peers' measurements of a workload."""
    rows = (row.split() for row in _LINES.strip().splitlines())
    return [
        Line(name, peer, variant, int(n)) for name, peer, variant, n in rows if name == workload
    ]
