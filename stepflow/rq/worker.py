"""
The RQ worker class: what `rq info`, rq-dashboard and RQ's commands know a stepflow worker by.

RQ's own loop, one job at a time, is replaced by a function; what RQ writes of a worker's birth,
life and death stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from redis import RedisError
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat
from rq.worker import WorkerStatus
from rq.worker.base import BaseWorker
from rq.worker_registration import clean_worker_registry, register

#: seconds: RQ forgets a worker this long after its last heartbeat, plus a minute of its own
WORKER_TTL_S = 60
#: seconds that a heartbeat may take: the next one comes soon
HEARTBEAT_LIMIT_S = 5.0
#: seconds until a worker listens again that could not
LISTEN_AGAIN_S = 2.0

log = logging.getLogger("stepflow.worker")


class StepWorker(BaseWorker):
    """
    An RQ worker that drives many steps at once.

    `drive` is set by whoever makes it, or by a subclass that `rq worker -w` is pointed at; it works
    until told to leave and says whether it did anything.
    """

    drive: Callable[[StepWorker, bool], bool]

    def __init__(self, queues: Any, *args: Any, **kwargs: Any) -> None:
        kwargs["serializer"] = JSONSerializer
        kwargs["worker_ttl"] = WORKER_TTL_S
        super().__init__(queues, *args, **kwargs)
        self.facts: Mapping[str, Any] = {}
        #: whether it has got as far as driving: what fails before that may be tried again
        self.has_driven = False

    def work(
        self,
        burst: bool = False,  # noqa: FBT001, FBT002  RQ's signature
        logging_level: str | None = "WARNING",
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        """
        Register with RQ, drive, and unregister.

        RQ's options for one job at a time mean nothing here.
        """
        del args, kwargs
        for queue in self.queues:
            clean_worker_registry(queue)
        try:
            self.bootstrap(logging_level)
            self.set_state(WorkerStatus.IDLE)
            self.write_facts()
            # a connection idle for hours may be dead by the time this worker unregisters over it
            self.connection.connection_pool.disconnect(inuse_connections=False)
            self.has_driven = True
            return self.drive(self, burst)
        finally:
            self._unregister()

    def _set_connection(self, connection: Any) -> Any:
        """
        Leave the time limits as they are.

        RQ raises them for blocking pops, which a stepflow worker does not use.
        """
        return connection

    @cached_property
    def heartbeats(self) -> Any:
        """A client for the heartbeats, with connections and a time limit of its own."""
        pool = self.connection.connection_pool
        kwargs = pool.connection_kwargs | {
            "socket_timeout": HEARTBEAT_LIMIT_S,
            "socket_connect_timeout": HEARTBEAT_LIMIT_S,
        }
        return type(self.connection).from_pool(
            type(pool)(connection_class=pool.connection_class, **kwargs)
        )

    def _unregister(self) -> None:
        """
        Unregister from RQ.

        A failure is only logged, so as not to hide how the work ended: the entry expires by itself.
        """
        try:
            self.teardown()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001  redis-py may be reconnecting in RQ's thread meanwhile
            log.warning(
                "worker %s is still registered with RQ (%s: %s)",
                self.name,
                type(error).__name__,
                error,
            )

    def register_birth(self) -> None:
        """
        Register with RQ.

        An entry that this very process left, at a start that was cut off, is no other worker's.
        """
        left = self.connection.hmget(self.key, "pid", "hostname", "death")
        if left == [str(self.pid).encode(), str(self.hostname).encode(), None]:
            self.connection.delete(self.key)
        super().register_birth()  # type: ignore[no-untyped-call]

    def write_facts(self) -> None:
        """Write what `stepflow workers` shows besides RQ's own fields."""
        if self.facts:
            self.connection.hset(self.key, mapping=self._facts())

    def _facts(self) -> dict[Any, Any]:
        return {name: str(value) for name, value in self.facts.items()}

    def write_heartbeat(self, *, busy: bool, done: int, condition: str = "") -> None:
        """
        Write the heartbeat that RQ's loop would.

        Called every few seconds, from a thread of its own that may hang here. *condition* is a
        field of our own: RQ refuses states that it does not know.
        """
        state = WorkerStatus.BUSY if busy else WorkerStatus.IDLE
        fields: dict[Any, Any] = {
            "last_heartbeat": utcformat(now()),
            "state": state.value,
            "successful_job_count": done,
            "condition": condition,
        }
        self._state = state
        with self.heartbeats.pipeline(transaction=False) as pipe:
            pipe.exists(self.key)
            pipe.hset(self.key, mapping=fields)
            pipe.expire(self.key, WORKER_TTL_S + 60)
            was_there, _, _ = pipe.execute()
        if not was_there:  # the hash had expired, say while the process was stopped
            log.info("worker %s had been forgotten by RQ; registered again", self.name)
            with self.heartbeats.pipeline(transaction=False) as pipe:
                pipe.hset(self.key, mapping=self.serialize() | self._facts())
                register(self, pipeline=pipe)
                pipe.execute()

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """
        Have RQ's commands heard again, whatever the server answered.

        Called in RQ's thread, which ends for good at any error but a lost connection: a server that
        is busy, or that refuses the channel for now, would leave the worker deaf to them.
        """
        if not isinstance(exc, RedisError):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
            return
        log.warning("worker %s does not hear RQ's commands (%s); it tries again", self.name, exc)
        pubsub.connection.disconnect()  # it subscribes anew as it connects
        time.sleep(LISTEN_AGAIN_S)

    def execute_job(self, job: Any, queue: Any) -> None:
        """Never called: RQ's loop is not used."""
        raise AssertionError(job, queue)


def rq_worker(
    name: str,
    rq_queues: Sequence[str],
    connection: Any,
    drive: Callable[[StepWorker, bool], bool],
    facts: Mapping[str, Any],
) -> StepWorker:
    """Make the RQ side of a worker."""
    worker = StepWorker(list(rq_queues), name=name, connection=connection)
    worker.drive = drive
    worker.facts = facts
    return worker
