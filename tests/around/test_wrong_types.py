"""
Whatever is given to a client, and to its schedules, limits and the like, that is of another type.

Each is a sentence of ours or is accepted, and nothing raises what Python happens to raise.
"""

from __future__ import annotations

from itertools import product

from stepflow import Breaker, Budget, Client, Cost, Join, Limit, RunSpec, Spending, Stepflow
from stepflow.errors import StepflowError

ODD = [
    None, 1.5, -1, 0, True, float("nan"), b"x", object(), [], {}, "", [1], (None,), "\udc00",
    10**400, {"a": 1}, [object()], [[]],
]  # fmt: skip
ONE = Limit("one", concurrency=1)
MUCH = Budget("much", usd=1)
APP = Stepflow("redis://nowhere.invalid")


def putting(option):
    if option == "tz":
        return lambda c, x: c.schedules.put("s", "etl", "0 2 * * *", tz=x)
    besides = {} if option == "at" else {"every": 60}
    return lambda c, x: c.schedules.put("s", "etl", **{**besides, option: x})


#: what a verb is given, and its odd value; those of one shape together
TABLE = {
    **{
        f"schedules.put({option}=)": putting(option)
        for option in (
            "every", "at", "offset", "tz", "jitter", "overlap", "catch_up", "catch_up_within",
            "until", "max_runs", "queue", "priority", "timeout", "headers", "retry", "version",
        )
    },
    **{
        f"{noun}.{verb}": lambda c, x, noun=noun, verb=verb: getattr(getattr(c, noun), verb)(x)
        for noun, verbs in {
            "schedules": ("get", "history", "next", "why", "pause", "resume", "trigger", "delete"),
            "limits": ("get", "unset", "reset", "forget"),
            "groups": ("status", "retry_failed", "cancel", "forget"),
            "breakers": ("get", "open", "close", "reset"),
            "budgets": ("get", "reset"),
        }.items()
        for verb in verbs
    },
    **{
        f"{noun}.list({option}=)": lambda c, x, noun=noun, option=option: getattr(c, noun).list(
            **{option: x}
        )
        for noun, option in [
            ("groups", "limit"),
            *product(("schedules", "breakers", "budgets"), ("limit", "offset")),
        ]
    },
    **{
        f"client.{verb}(run)": lambda c, x, verb=verb: getattr(c, verb)(x)
        for verb in (
            "status", "cancel", "fail", "retry", "pause", "resume", "run_now", "delete", "history",
            "export", "vars", "mailbox", "journal", "questions_of", "steps", "why", "now",
            "find", "hooks", "stop_bulk", "resume_bulk", "redeliver",
        )
    },
    **{
        f"client.{verb}({option}=)": lambda c, x, verb=verb, option=option: getattr(c, verb)(
            "there", **{option: x}
        )
        for verb, options in {
            "journal": ("first", "limit"), "mailbox": ("limit",), "find": ("limit",),
            "newest_output": ("limit",), "hooks": ("limit",), "signal": ("name",),
            "kv": ("key",), "fork": ("at",), "cancel": ("reason", "by"), "fail": ("reason",),
        }.items()
        for option in options
    },
    **{
        f"client.{verb}({option}=)": lambda c, x, verb=verb, option=option: getattr(c, verb)(
            **{option: x}
        )
        for verb, options in {
            "list": (
                "limit", "cursor", "runner", "state", "queue", "parent", "headers", "tags", "where",
                "since", "roots", "values",
            ),
            "stats": ("minutes", "hours"), "questions": ("limit",), "bulks": ("limit",),
            "statuses": ("run_ids",), "why_many": ("run_ids",), "submit_many": ("specs",),
        }.items()
        for option in options
    },
    **{
        f"client.output({option}=)": lambda c, x, option=option: next(
            iter(c.output("there", **{option: x})), None
        )
        for option in ("after", "topics")
    },
    "client.signal(start=)": lambda c, x: c.signal("there", "go", start=x),
    "client.signal(keep=)": lambda c, x: c.signal("there", "go", keep=x),
    "client.kv(run)": lambda c, x: c.kv(x, "k"),
    "client.hooks(limit=)": lambda c, x: c.hooks(limit=x),
    "client.bulk(verb)": lambda c, x: c.bulk(x, "state=failed"),
    "client.bulk(where)": lambda c, x: c.bulk("cancel", x),
    "shared.drop(name)": lambda c, x: c.shared.drop(x),
    "shared.drop(ids)": lambda c, x: c.shared.drop("s", x),
    "shared.list(name)": lambda c, x: c.shared.list(x),
    "shared.list(limit=)": lambda c, x: c.shared.list("s", limit=x),
    "schedules.put(cron)": lambda c, x: c.schedules.put("s", "etl", x),
    "schedules.put(id)": lambda c, x: c.schedules.put(x, "etl", every=60),
    "schedules.put(runner)": lambda c, x: c.schedules.put("s", x, every=60),
    "schedules.next(count=)": lambda c, x: c.schedules.next("there", x),
    "schedules.trigger(overlap=)": lambda c, x: c.schedules.trigger("there", overlap=x),
    "schedules.backfill(start)": lambda c, x: c.schedules.backfill("there", x, 9.0),
    "schedules.backfill(end)": lambda c, x: c.schedules.backfill("there", 1.0, x),
    "schedules.backfill(rate=)": lambda c, x: c.schedules.backfill("there", 1.0, 99.0, rate=x),
    "limits.set(name)": lambda c, x: c.limits.set(x, concurrency=1),
    **{
        f"limits.set({option}=)": lambda c, x, option=option: c.limits.set("l", **{option: x})
        for option in ("concurrency", "rate", "burst", "max_line", "max_wait")
    },
    **{
        f"Limit({option}=)": lambda c, x, option=option: Limit(
            **{"name": "l", "concurrency": 1, "rate": "1/s", option: x}
        )
        for option in (
            "name", "key", "concurrency", "rate", "burst", "scope", "max_line", "max_wait",
        )
    },
    "Limit.of(key)": lambda c, x: ONE.of(x),
    "Limit.of(units=)": lambda c, x: ONE.of(units=x),
    "Limit.settle": lambda c, x: ONE.settle(x),
    "runner(limits=)": lambda c, x: APP.runner("r", limits=x)(lambda step: None),
    **{
        f"submit({option}=)": lambda c, x, option=option: c.submit("etl", **{option: x})
        for option in (
            "queue", "priority", "delay", "timeout", "headers", "tags", "webhooks", "version",
            "on_conflict",
        )
    },
    "groups.wait": lambda c, x: c.groups.wait(x, timeout=0),
    "client.wait": lambda c, x: c.wait(x, timeout=0),
    "client.result": lambda c, x: c.result(x, timeout=0),
    "submit(limits=)": lambda c, x: c.submit("etl", limits=x),
    "submit(limits={l: })": lambda c, x: c.submit("etl", limits={"l": x}),
    "submit(units=)": lambda c, x: c.submit("etl", units=x),
    "submit(units={l: })": lambda c, x: c.submit("etl", units={"l": x}),
    "groups.submit(id)": lambda c, x: c.groups.submit(x, {"a": RunSpec("etl")}),
    "groups.submit(members)": lambda c, x: c.groups.submit("g", x),
    "groups.submit(member)": lambda c, x: c.groups.submit("g", {"a": x}),
    "groups.submit(join=)": lambda c, x: c.groups.submit("h", {"a": RunSpec("etl")}, join=x),
    **{
        f"Breaker({option}=)": lambda c, x, option=option: Breaker(**{"name": "b", option: x})
        for option in ("name", "failures", "reset", "trials", "counts", "when_open")
    },
    "budgets.set(name)": lambda c, x: c.budgets.set(x, usd=1),
    **{
        f"budgets.set({option}=)": lambda c, x, option=option: c.budgets.set("m", **{option: x})
        for option in ("usd", "tokens")
    },
    **{
        f"Budget({option}=)": lambda c, x, option=option: Budget(
            **{"name": "m", "usd": 1, option: x}
        )
        for option in ("name", "usd", "tokens", "per", "on_exceeded", "unknown_price")
    },
    "Budget.spend(usd=)": lambda c, x: MUCH.spend(usd=x),
    "Budget.spend(tokens=)": lambda c, x: MUCH.spend(usd=1, tokens=x),
    "Spending(budget)": lambda c, x: Spending(x, Cost(usd=1)),
    "Join.quorum": lambda c, x: Join.quorum(x),
    "Join.percentage": lambda c, x: Join.percentage(x),
    "Join.partial": lambda c, x: Join.partial(x),
    "Join.settled(at_least=)": lambda c, x: Join.settled(at_least=x),
    "Join.all(timeout=)": lambda c, x: Join.all(timeout=x),
}  # fmt: skip


def test_what_is_of_another_type_is_refused_in_a_sentence(client: Client, real):
    """[B37]"""
    client.schedules.put("there", "etl", every=60)
    wrong = []
    for what, odd in product(TABLE, ODD):
        try:
            TABLE[what](client, odd)
        except TimeoutError:
            continue
        except StepflowError as error:
            if len(str(error)) < 10:
                wrong.append(f"{what} says only {error}")
        except Exception as error:  # noqa: BLE001  the fault that is looked for
            wrong.append(f"{what} raises {type(error).__name__}: {error}")
    real.flushdb()
    assert not wrong, "\n".join(wrong)
