"""An end that the database has refused is tried again, by the schedule of hooks."""

from __future__ import annotations

from stepflow.archive.archive import Archive
from stepflow.archive.collect import collect_end
from stepflow.archive.values import End
from stepflow.core.run import Run, RunOutcome
from stepflow.core.verdict import Verdict
from stepflow.engine.env import Env
from stepflow.errors import (
    ArchiveMisconfigured,
    ArchiveUnreachable,
    RedisRefused,
    RedisUnreachable,
    ReplyLost,
)
from stepflow.settings import ArchiveSettings
from stepflow.store.calls import Call
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.runs.release import release_run
from stepflow.worker.threads import Threads

#: the archive itself is away, or cannot be used
AWAY = (ArchiveUnreachable, ArchiveMisconfigured)
#: Redis is, which says nothing of an end
REDIS = (RedisUnreachable, RedisRefused, ReplyLost)
#: seconds until an end is tried again that met an archive which is away
AWAY_S = 30.0


async def try_refused(
    outcome: RunOutcome,
    env: Env,
    connection: AsyncCaller,
    settings: ArchiveSettings,
    threads: Threads,
) -> Verdict:
    """Archive one end. Safe to repeat."""
    try:
        found = await carry_out(connection, collect_end(outcome, env, settings.redact))
        await threads.run(_write, found.end, env, settings)
    except AWAY as error:
        return Verdict.busy(AWAY_S, str(error))
    except REDIS:
        raise
    except Exception as error:  # noqa: BLE001  refused, or nothing that this version can archive
        return Verdict.retry(str(error) or type(error).__name__)
    if found.run is not None:
        await connection.call(releasing(found.run, env))
    return Verdict.delivered()


def _write(end: End, env: Env, settings: ArchiveSettings) -> None:
    with Archive(settings, env.keys.namespace) as archive:
        archive.write([end])


def releasing(run: Run, env: Env) -> Call[int]:
    """Give an archived run the time to live that its settings say, counted from its end."""
    now, retention = env.clock.now(), env.settings.retention
    left_s = run.ended_at + retention.of_run(run.runner, run.state) - now
    output_s = left_s if retention.output_s is None else run.ended_at + retention.output_s - now
    return release_run(
        env.keys, run, ttl_s=left_s, output_ttl_s=output_s, now=now,
        keeps_all=retention.keeps_all(run.runner, run.state),
    )  # fmt: skip
