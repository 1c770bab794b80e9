"""
Every key stepflow uses, in one table.

    of a run; all live with the first, for the result TTL after the run's end
    <ns>:run:<id>                    hash     the run's row of truth (small fields only)
    <ns>:run:<id>:data               hash     payload, result, error, spec, doing
    <ns>:run:<id>:steps              hash     n -> how step n was closed; n.<token> -> an attempt
    <ns>:run:<id>:memo               hash     <n>.<key> -> packed value; may end with its step
    <ns>:run:<id>:kv                 hash     key -> packed value, written by effects
    <ns>:run:<id>:children:<gen>     set      run ids of live children that end with it
    <ns>:run:<id>:answers:<gen>      hash     child -> how it ended; group id of a map -> ok|bad
    <ns>:run:<id>:maps:<gen>         hash     <group id>.goal .ok .bad .next of open maps
    <ns>:run:<id>:journal            list     what the run remembers; ends with a restart
    <ns>:run:<id>:mail               list     <name>|<packed> of signals not taken yet
    <ns>:run:<id>:sent               hash     newest signals: id -> answer, =<id> -> long payload
    <ns>:run:<id>:vars               hash     name -> value: decimal text, or "=" and packed
    <ns>:run:<id>:questions          hash     digest -> open question; ends with a restart
    <ns>:run:<id>:replies            hash     digest -> outcome, <digest>= answer, <digest>? prompt
    <ns>:run:<id>:asks               hash     step -> what it has of limits, or waits for; "" ->
                                              the last ask that is over; none as a rule
    <ns>:run:<id>:out                stream   what the run emits; bounded, the oldest go first

    of all runs and hooks; members go when what they name ends or moves on
    <ns>:claims                      zset     run:<id> or hook:<hook id> -> its lease ends
    <ns>:due                         zset     the same members -> due time; sched:<id>,
                                              group:<id>, limit:<limit>|<key> as well
    <ns>:queued_at:<rq queue>        zset     the same members -> queued at
    <ns>:deadlines                   zset     run id -> deadline of a live run
    <ns>:questions                   zset     run id -> since when it has an open question
    <ns>:idx:live                    zset     run id -> created at, of live runs
    <ns>:idx:live:<runner>           zset     the same, of one runner
    <ns>:idx:ended:<end state>       zset     run id -> ended at, of kept finished runs
    <ns>:idx:<end state>:<runner>    zset     the same, of one runner
    <ns>:idx:tag:<key>=<value>       zset     run id -> ended at, or created at while it lives
    <ns>:idx:expiry                  zset     <state>|<runner>|<id> -> its record expires; then
                                              |<tag> newline <tag> ... where it has any
    <ns>:wake:<rq queue>             list     at most one token, while the queue has jobs
    <ns>:waiting:<rq queue>:<runner> list     deliveries that no worker that came by could run;
                                              of <runner>#<build>, for the workers of that build
    <ns>:waiting_lists               set      <rq queue>|<runner> of the lists above
    <ns>:paused_queues               hash     queue -> who paused it, when, why; none as a rule
    <ns>:laned                       set      RQ queues that have runs in lanes
    <ns>:lanes:<rq queue>            zset     lane -> its turn, the lowest is next
    <ns>:lane:<rq queue>:<lane>      zset     run:<id> -> queued at
    <ns>:fair                        hash     <queue>|<lane> -> weight, <queue> -> window; by hand
    <ns>:once:<kind>:<key>           string   run id that has the key of a singleton
    <ns>:levels                      set      RQ queues of priorities without a name, in use
    <ns>:level:<rq queue>            string   one of these was of late; goes by itself

    of limits; <key> is written as in a URL; those of a key go when nothing runs and waits there
    <ns>:limits                      hash     name -> what the code says; name=, name[key]= -> what
                                              an operator says; @runner -> its limits
    <ns>:slots                       set      <limit>|<key> that has the set below
    <ns>:slots:<limit>:<key>         zset     run id, or <run id>/<step> -> since when it has a slot
    <ns>:lines                       set      <limit>|<key> that has the set below
    <ns>:line:<limit>:<key>          zset     the same -> priority, then since when it waits
    <ns>:ahead:<limit>:<key>         zset     the same -> since when; in a queue, not looked at yet
    <ns>:called:<limit>:<key>        zset     the same -> when its turn came; until it begins
    <ns>:tat:<limit>:<key>           string   when what has begun would have, at the rate
    <ns>:rest:<limit>:<key>          string   until when nothing begins; without a key, for all

    of schedules
    <ns>:schedules                   zset     schedule id -> put at, of all of them
    <ns>:sched:<id>                  hash     what it does, and which times are dealt with
    <ns>:sched:<id>:history          list     its last 50 times, the newest first
    <ns>:declared                    hash     worker -> the schedules that its code declares

    of groups; all but the list live for the result TTL after the group's end
    <ns>:groups                      zset     group id -> created at, of all of them
    <ns>:group:<id>                  hash     its join, its state, how far it has come, counts
    <ns>:group:<id>:names            list     packed slices: key and digest of each member
    <ns>:group:<id>:specs            list     packed slices: what members begin with, till then
    <ns>:group:<id>:begun            string   a bit for each member that has begun
    <ns>:group:<id>:live             zset     run id -> begun at, of members that have not ended
    <ns>:group:<id>:failed           zset     run id -> in which wave of retries, of those failed

    of circuit breakers; all live a week after the breaker was used last
    <ns>:breakers                    zset     name -> its record expires; +inf: opened by hand
    <ns>:breaker:<name>              hash     its state, epoch, counts
    <ns>:breaker:<name>:trials       hash     permit -> run:<id>|<token> of a trial under way
    <ns>:breaker:<name>:failed       set      permits of the failures in a row so far
    <ns>:breaker:<name>:waiting      zset     run:<id> -> since when it waits for a permit

    of values that runs share; each goes when it expires
    <ns>:shared                      zset     name -> its last value expires
    <ns>:shared:<name>               zset     digest -> expires at, of its values
    <ns>:shared:<name>:<digest>      hash     the value, or who computes it
    <ns>:shared:<name>:<digest>:waiting zset  run:<id> -> since when it waits for the value

    of budgets: <ns>:budgets and <ns>:budget:..., see budgets/keys.py

    of hooks, sessions and workers                                  lives until
    <ns>:bulk:<bulk id>              hash     one verb for many     result TTL after its end
    <ns>:bulk:<bulk id>:runs         zset     run id -> created at, its end
    <ns>:bulks                       zset     bulk id -> begun at   looked at after its end
    <ns>:hook:<hook id>              hash     one hook delivery     hook TTL
    <ns>:hooks:live                  zset     hook id -> queued at  until it is told or dead
    <ns>:hooks:dead                  zset     hook id -> died at    hook TTL
    <ns>:app_hooks                   hash     runner -> its hooks   for good
    <ns>:untold:<runner>             zset     noted end -> when     result TTL, or announced
    <ns>:to_archive                  zset     noted end -> ended at until it is archived
    <ns>:session:<id>                hash     variables, as :vars   days after their last use
    <ns>:versions                    zset     runner key -> seen    a month after that
    <ns>:builds                      hash     worker -> its builds  while it lives
    <ns>:graphs                      hash     runner key -> graph   for good
    <ns>:store                       hash     its name in stores    for good, where there is one
    <ns>:swept                       string   who swept it last     an hour
    <ns>:workers:<queue>             zset     worker -> last seen   a minute after the last
    <ns>:asked:<worker>              list     what it is asked      10 seconds
    <ns>:now:<ask id>                string   what it answered      10 seconds
    <ns>:format                      string   data format number    for good
    <ns>:stat:<minute>               hash     counts of a minute    6 hours
    <ns>:stat:<hour>                 hash     counts of an hour     7 days
    <ns>:totals                      hash     counts of all time    for good
    <ns>:stat:new                    hash     what scripts counted  a worker's next round
    <ns>:stat:runners                set      runners counted apart for good
    <ns>:tell:<worker>               channel  run ids whose cancel token fires
    <ns>:done:<id>                   channel  the run has ended
    <ns>:out:<id>                    channel  the run has emitted something

RQ's own keys: rq:queues, rq:queue:<q>, rq:job:<id>, rq:wip:<q>, rq:failed:<q>, rq:scheduled:<q>,
rq:suspended, rq:workers. A queue is three RQ queues, `q.high`, `q` and `q.low`, and one for each
other priority in use, `q.level7`. Other name spaces prefix queues (`ns.q`) and jobs (`ns_run-...`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from stepflow.core.ids import Delivery
from stepflow.core.run import PRIORITIES, Priority, Run

#: the group of live runs among the indexes of a runner
LIVE = "live"
#: the name space that needs no prefix on RQ's side
DEFAULT_NAMESPACE = "stepflow"

_SUFFIX = {
    **{level: f".level{level}" for level in range(PRIORITIES)},
    Priority.HIGH: ".high", Priority.NORMAL: "", Priority.LOW: ".low",
}  # fmt: skip
_NAMED = frozenset(map(int, Priority))
_LEVELS = {suffix: level for level, suffix in _SUFFIX.items() if suffix}

RQ_QUEUES = "rq:queues"
RQ_SUSPENDED = "rq:suspended"
RQ_WORKERS = "rq:workers"
RQ_WORKER = "rq:worker:"


class Keys:
    """The keys of one name space."""

    __slots__ = (
        "_queue_prefix",
        "app_hooks",
        "breakers",
        "builds",
        "bulks",
        "claims",
        "counted_runners",
        "dead_hooks",
        "deadlines",
        "declared",
        "due",
        "expiry",
        "fair",
        "format",
        "graphs",
        "groups",
        "hook_queue",
        "job_prefix",
        "laned",
        "levels",
        "limits",
        "lines",
        "live",
        "live_hooks",
        "namespace",
        "new_counts",
        "paused_queues",
        "questions",
        "schedules",
        "shared",
        "slots",
        "totals",
        "versions",
        "waiting_lists",
    )

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.namespace = namespace
        is_default = namespace == DEFAULT_NAMESPACE
        self.job_prefix = "" if is_default else f"{namespace}_"
        self._queue_prefix = "" if is_default else f"{namespace}."
        self.claims = f"{namespace}:claims"
        self.due = f"{namespace}:due"
        self.deadlines = f"{namespace}:deadlines"
        self.live = f"{namespace}:idx:live"
        self.expiry = f"{namespace}:idx:expiry"
        self.questions = f"{namespace}:questions"
        self.waiting_lists = f"{namespace}:waiting_lists"
        self.app_hooks = f"{namespace}:app_hooks"
        self.breakers = f"{namespace}:breakers"
        self.bulks = f"{namespace}:bulks"
        self.paused_queues = f"{namespace}:paused_queues"
        self.laned = f"{namespace}:laned"
        self.fair = f"{namespace}:fair"
        self.levels = f"{namespace}:levels"
        self.versions = f"{namespace}:versions"
        self.live_hooks = f"{namespace}:hooks:live"
        #: the RQ queue of hook deliveries
        self.hook_queue = f"{namespace}.hooks"
        self.builds = f"{namespace}:builds"
        self.dead_hooks = f"{namespace}:hooks:dead"
        self.format = f"{namespace}:format"
        self.shared = f"{namespace}:shared"
        self.schedules = f"{namespace}:schedules"
        self.declared = f"{namespace}:declared"
        self.graphs = f"{namespace}:graphs"
        self.groups = f"{namespace}:groups"
        self.limits = f"{namespace}:limits"
        self.lines = f"{namespace}:lines"
        self.slots = f"{namespace}:slots"
        self.totals = f"{namespace}:totals"
        self.new_counts = f"{namespace}:stat:new"
        self.counted_runners = f"{namespace}:stat:runners"

    def run(self, run_id: str) -> str:
        return f"{self.namespace}:run:{run_id}"

    def record(self, member: str) -> str:
        """Name the record of a run or hook, given its member name."""
        return f"{self.namespace}:{member}"

    def untold(self, runner: str) -> str:
        return f"{self.namespace}:untold:{runner}"

    def session(self, session_id: str) -> str:
        return f"{self.namespace}:session:{session_id}"

    def hook(self, hook_id: str) -> str:
        return f"{self.namespace}:hook:{hook_id}"

    def schedule(self, schedule_id: str) -> str:
        return f"{self.namespace}:sched:{schedule_id}"

    def group(self, group_id: str) -> str:
        return f"{self.namespace}:group:{group_id}"

    def shared_values(self, name: str) -> str:
        """Name the index of the shared values of a name; their keys begin with it."""
        return f"{self.namespace}:shared:{name}"

    def breaker(self, name: str) -> str:
        return f"{self.namespace}:breaker:{name}"

    def bulk(self, bulk_id: str) -> str:
        return f"{self.namespace}:bulk:{bulk_id}"

    def bulk_runs(self, bulk_id: str) -> str:
        return f"{self.namespace}:bulk:{bulk_id}:runs"

    def ended_index(self, state: str) -> str:
        return f"{self.namespace}:idx:ended:{state}"

    def runner_index(self, group: str, runner: str) -> str:
        """Name the index of a runner's runs of one *group*: an end state, or `live`."""
        return f"{self.namespace}:idx:{group}:{runner}"

    def tag_index(self, tag: str) -> str:
        """Name the index of the runs with *tag*, which is written `key=value`."""
        return f"{self.namespace}:idx:tag:{tag}"

    def of_limit(self, kind: str, name: str, key: str) -> str:
        """Name what a limit keeps for one *key*, written: its `slots`, `line`, `tat` ..."""
        return f"{self.namespace}:{kind}:{name}:{key}"

    def minute(self, at: float) -> str:
        """Name the counts of the minute of *at*, in unix seconds."""
        return f"{self.namespace}:stat:{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M}"

    def hour(self, at: float) -> str:
        """Name the counts of the hour of *at*, in unix seconds."""
        return f"{self.namespace}:stat:{datetime.fromtimestamp(at, UTC):%Y%m%dT%H}"

    def queued_at(self, rq_queue: str) -> str:
        return f"{self.namespace}:queued_at:{rq_queue}"

    def lanes(self, rq_queue: str) -> str:
        return f"{self.namespace}:lanes:{rq_queue}"

    def lane(self, rq_queue: str, name: str) -> str:
        return f"{self.namespace}:lane:{rq_queue}:{name}"

    def lanes_with(self, run: Run) -> Sequence[str]:
        """Give the lane that may hold *run*, if it has one."""
        return (self.lane(self.queue_of(run), run.lane),) if run.lane else ()

    def once(self, name: str) -> str:
        """Name the key of what `Run.once` says."""
        return f"{self.namespace}:once:{name}"

    def once_of(self, run: Run) -> Sequence[str]:
        """Give the key that *run* has as a singleton or debounced, if it is one."""
        return (self.once(run.once),) if run.once else ()

    def marks_of(self, run: Run) -> Sequence[str]:
        """Give the sets that may say since when *run* waits for a claim."""
        return (self.queued_at(self.queue_of(run)), *self.lanes_with(run))

    def wake(self, rq_queue: str) -> str:
        return f"{self.namespace}:wake:{rq_queue}"

    def waiting_list(self, rq_queue: str, runner: str) -> str:
        return f"{self.namespace}:waiting:{rq_queue}:{runner}"

    def workers(self, queue: str) -> str:
        return f"{self.namespace}:workers:{queue}"

    def tell_channel(self, worker: str) -> str:
        return f"{self.namespace}:tell:{worker}"

    def asked(self, worker: str) -> str:
        return f"{self.namespace}:asked:{worker}"

    def now(self, ask_id: str) -> str:
        return f"{self.namespace}:now:{ask_id}"

    def done_channel(self, run_id: str) -> str:
        return f"{self.namespace}:done:{run_id}"

    def output_channel(self, run_id: str) -> str:
        return f"{self.namespace}:out:{run_id}"

    # RQ's side

    def rq_queue(self, queue: str, priority: int) -> str:
        """Name the RQ queue that carries *queue* at *priority*."""
        return f"{self._queue_prefix}{queue}{_SUFFIX[priority]}"

    def rq_queues(self, queue: str, levels: Collection[str] = ()) -> list[str]:
        """
        Name the RQ queues behind *queue*, the most urgent first.

        Those of priorities without a name are among them that are in *levels*.
        """
        if not levels:
            return [self.rq_queue(queue, priority) for priority in Priority]
        names = [(level, self.rq_queue(queue, level)) for level in range(PRIORITIES)]
        return [name for level, name in names if level in _NAMED or name in levels]

    def queue_name(self, queue: str) -> str:
        """Name *queue* as the paused ones are named: as RQ would, without a priority."""
        return f"{self._queue_prefix}{queue}"

    def wake_of(self, queue: str) -> str:
        """Name the wake list of *queue*: one for all its RQ queues."""
        return self.wake(f"{self._queue_prefix}{queue}")

    def split_queue(self, rq_queue: str) -> tuple[str, int]:
        """Read queue and priority back from an RQ queue's name."""
        name = rq_queue.removeprefix(self._queue_prefix)
        queue, dot, suffix = name.rpartition(".")
        level = _LEVELS.get(dot + suffix)
        return (name, int(Priority.NORMAL)) if level is None else (queue, int(level))

    def level_of(self, run: Run) -> Sequence[str]:
        """Give where the priority of *run* is noted: nowhere for one that has a name."""
        return () if run.priority in _NAMED else (self.levels,)

    def rq_id(self, delivery: Delivery) -> str:
        """Give the RQ job id of *delivery* in this name space."""
        return self.job_prefix + delivery.rq_id

    def queue_of(self, run: Run) -> str:
        """Name the RQ queue of *run*."""
        return self.rq_queue(run.queue, run.priority)

    @staticmethod
    def rq_list(rq_queue: str) -> str:
        return f"rq:queue:{rq_queue}"

    @staticmethod
    def rq_job(rq_id: str) -> str:
        return f"rq:job:{rq_id}"

    @staticmethod
    def rq_wip(rq_queue: str) -> str:
        return f"rq:wip:{rq_queue}"

    @staticmethod
    def rq_scheduled(rq_queue: str) -> str:
        return f"rq:scheduled:{rq_queue}"

    @staticmethod
    def rq_failed(rq_queue: str) -> str:
        return f"rq:failed:{rq_queue}"
