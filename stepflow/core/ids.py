"""Names: of runs, of deliveries, of the things users may name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from stepflow.errors import InvalidName, InvalidOption, InvalidRunId, shown

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}")
_WHOLE = re.compile(r"[0-9]{1,18}")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RQ_ID = re.compile(
    r"run-(?P<run>.+)-(?P<number>\d{1,15})(?:-g(?P<generation>\d{1,15}))?(?:-r(?P<handoff>\d{1,15}))?"
)

#: characters of a key that stands in the journal as it is
_LONGEST_KEY = 200

_HOOK_RQ_ID = re.compile(r"hook-(?P<hook>.+?)(?:-r\d+)?")

#: Crockford's base 32: sorts as the numbers it stands for, has no letters that look alike
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: two digits at a time: every submit makes an id
_PAIRS = tuple(high + low for high in _BASE32 for low in _BASE32)


def _base32(value: int, length: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(5 * length - 10, -1, -10)])


def new_run_id(now: float, chance: int) -> str:
    """
    Make a run id, a ULID: it sorts by *now* (unix seconds, to the millisecond).

    *chance* is 80 random bits.
    """
    return _base32(int(now * 1000), 10) + _base32(chance, 16)


def check_run_id(run_id: object) -> str:
    """Return *run_id* if it can be one, else raise InvalidRunId."""
    if isinstance(run_id, str) and _RUN_ID.fullmatch(run_id):
        return run_id
    raise InvalidRunId(run_id)


def check_name(kind: str, name: object) -> str:
    """Return the name of a runner or hook if it can be one, else raise InvalidName."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidName(
        kind, name, "use 1 to 200 letters, digits, '_', '.', ':' or '-', not starting with a sign"
    )


def check_text(
    what: str, text: object, *, most: int = 200, least: int = 1, without: str = ""
) -> str:
    """
    Return *text* if it is valid Unicode of *least* to *most* characters, and not *without* in it.

    Raises InvalidOption, which names *what*, for anything else.
    """
    if isinstance(text, str) and least <= len(text) <= most and not (without and without in text):
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    but = f" without {without!r}" if without else ""
    msg = f"{what} is {shown(text)}; use {least or 'up'} to {most:,} characters{but}, valid Unicode"
    raise InvalidOption(msg)


def check_count(what: str, number: object, *, least: int = 0, most: int = 1_000_000_000) -> int:
    """Return *number* if it is a whole number in these bounds, else raise InvalidOption."""
    if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
        return number
    msg = f"{what} is {shown(number)}; it is a whole number, {least} to {most:,}"
    raise InvalidOption(msg)


def check_texts(what: str, given: object) -> list[str]:
    """Return *given* as a list if it is some texts, else raise InvalidOption; one is no list."""
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        found = list(given)
        if all(isinstance(each, str) for each in found):
            return found
    raise InvalidOption(f"{what} is {shown(given)}; it is a list of texts")


def check_pairs(what: str, given: object) -> dict[str, str]:
    """Return *given* as a dict of texts if it is one, none for None; else raise InvalidOption."""
    pairs = {} if given is None else given
    if isinstance(pairs, Mapping) and all(
        isinstance(name, str) and isinstance(value, str) for name, value in pairs.items()
    ):
        return dict(pairs)
    raise InvalidOption(f"{what} is {shown(given)}; it is a dict of texts")


def whole_number(text: str) -> int | None:
    """
    Read a whole number of up to 18 digits, 0 to 9 alone; None for anything else.

    `str.isdigit` is true of digits that `int` does not read, and `int` refuses thousands of them.
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def page_of(limit: object, offset: object) -> tuple[int, int]:
    """Give where a page of a list begins, and how long it is; raises InvalidOption."""
    return check_count("offset", offset), check_count("limit", limit, least=1)


def check_version(version: object) -> int:
    """Return *version* if it is a whole number from 1, else raise InvalidOption."""
    if isinstance(version, int) and not isinstance(version, bool) and version >= 1:
        return version
    msg = f"{shown(version)} is not a version; versions are whole numbers from 1"
    raise InvalidOption(msg)


def runner_key(name: str, version: int) -> str:
    """Return the key by which a worker knows a runner in a version: `name`, later `name@2`."""
    return name if version == 1 else f"{name}@{version}"


def build_key(key: str, build: str) -> str:
    """Name the runner *key* in one build, whose workers read a waiting list of their own."""
    return f"{key}#{build}"


def split_build(name: str) -> tuple[str, str]:
    """Read runner key and build back; the build is empty for a runner in whatever build."""
    key, _, build = name.partition("#")
    return key, build


def split_runner(key: str) -> tuple[str, int]:
    """
    Read name and version back from a runner's key; raises ValueError for anything else.

    No name contains an `@`.
    """
    name, at, version = key.rpartition("@")
    if not name or not at:
        return key, 1
    if not version.isdecimal() or int(version) < 1:
        msg = f"{key!r} names no version"
        raise ValueError(msg)
    return name, int(version)


def check_queue(name: object) -> str:
    """
    Return the name of a queue if it can be one, else raise InvalidName.

    It has no dots: these mark priorities.
    """
    if isinstance(name, str) and _QUEUE.fullmatch(name):
        return name
    raise InvalidName("queue", name, "use 1 to 64 letters, digits, '_' or '-'")


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One handing over of one step of one run: what a queue carries.

    Written `run:<id>:<n>` for people and `run-<id>-<n>` for RQ, whose ids allow no colon. A later
    generation adds `g<k>`, a repeated hand-over of the same step `r<k>`: RQ's clean-up of the old
    job would else swallow the new one.
    """

    run_id: str
    number: int
    generation: int = 0
    handoff: int = 0

    def _join(self, sign: str) -> str:
        parts = ["run", self.run_id, str(self.number)]
        if self.generation:
            parts.append(f"g{self.generation}")
        if self.handoff:
            parts.append(f"r{self.handoff}")
        return sign.join(parts)

    @property
    def name(self) -> str:
        """The name in records, logs and spans: `run:<id>:<n>[:g<k>][:r<k>]`."""
        return self._join(":")

    @property
    def rq_id(self) -> str:
        """The id of the RQ job: `run-<id>-<n>[-g<k>][-r<k>]`."""
        return self._join("-")

    @classmethod
    @lru_cache(maxsize=128)  # a claim asks twice
    def parse(cls, rq_id: str) -> Delivery | None:
        """Read an RQ id from the right, for run ids may contain dashes; None for any other text."""
        match = _RQ_ID.fullmatch(rq_id)
        if match is None:
            return None
        return cls(
            match["run"],
            int(match["number"]),
            int(match["generation"] or 0),
            int(match["handoff"] or 0),
        )


#: what a record's member name begins with, by the kind of record
_RUN, _HOOK, _SCHEDULE, _GROUP, _LIMIT = "run:", "hook:", "sched:", "group:", "limit:"


def run_member(run_id: str) -> str:
    """Return the member that is a run in the claims, the due set and others: `run:<id>`."""
    return _RUN + run_id


def hook_member(hook_id: str) -> str:
    """Return the member that is a hook delivery in the claims, the due set and others."""
    return _HOOK + hook_id


def schedule_member(schedule_id: str) -> str:
    """Return the member that is a schedule in the due set: `sched:<id>`."""
    return _SCHEDULE + schedule_id


def schedule_of_member(member: str) -> str:
    """Read a schedule's id back from its member; "" for the member of anything else."""
    return member.removeprefix(_SCHEDULE) if member.startswith(_SCHEDULE) else ""


def group_member(group_id: str) -> str:
    """Return the member that is a group in the due set: `group:<id>`."""
    return _GROUP + group_id


def group_of_member(member: str) -> str:
    """Read a group's id back from its member; "" for the member of anything else."""
    return member.removeprefix(_GROUP) if member.startswith(_GROUP) else ""


def limit_member(name: str, key: str) -> str:
    """Return the member that is the timer of a limit's line in the due set; *key* as written."""
    return f"{_LIMIT}{name}|{key}"


def limited_of_member(member: str) -> str:
    """Read `<limit>|<key>` back from the member of a timer; "" for that of anything else."""
    return member.removeprefix(_LIMIT) if member.startswith(_LIMIT) else ""


def split_member(member: str) -> tuple[str, str]:
    """Read kind (`run` or `hook`) and id back from a member name; ("", "") for any other text."""
    kind, colon, name = member.partition(":")
    return (kind, name) if colon and name and kind in {"run", "hook"} else ("", "")


def worker_of(token: str) -> str:
    """Return the name of the worker whose claim *token* is; empty for an empty one."""
    return token.split(".", 1)[0]


def hook_rq_id(hook_id: str, serial: int) -> str:
    """
    Make the RQ id of one delivery of a hook: `hook-<id>[-r<serial>]`.

    *serial*, the record's rev, tells the deliveries of one hook apart.
    """
    return f"hook-{hook_id}-r{serial}" if serial else f"hook-{hook_id}"


def member_of_rq_id(rq_id: str) -> str:
    """
    Return the member that an RQ id, without the name space's prefix, delivers.

    Empty when the id is none of ours. `store/lua/lib/ids.lua` reads the same grammar.
    """
    delivery = Delivery.parse(rq_id)
    if delivery is not None:
        return _RUN + delivery.run_id
    match = _HOOK_RQ_ID.fullmatch(rq_id)
    return _HOOK + match["hook"] if match else ""


def step_key(run_id: str, generation: int, number: int) -> str:
    """Make the idempotency key of one step: the same for all its attempts, and no other step's."""
    return f"{run_id}.{generation}.{number}"


def question_digest(run_id: str, generation: int, restarts: int, place: str) -> str:
    """Make what the token of a question ends in: the same on every replay."""
    asked = f"{run_id}|{generation}|{restarts}|{place}".encode()
    return blake2b(asked, digest_size=10).hexdigest()


def key_name(key: object) -> str:
    """
    Give what the key of a step is known by.

    That is itself, or its hash where it is longer than 200 characters, has a `|` or is no valid
    Unicode. Raises InvalidOption for what is no text, or an empty one.
    """
    if not isinstance(key, str) or not key:
        msg = f"the key of a step is {shown(key)}; use a text that is not empty"
        raise InvalidOption(msg)
    if len(key) <= _LONGEST_KEY and "|" not in key and (key.isascii() or _is_unicode(key)):
        return key
    made = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=20)
    return f"#{made.hexdigest()}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def idempotency_key(seed: str, restarts: int, place: str) -> str:
    """
    Make the idempotency key of a workflow's step at a place.

    The same for all its attempts and in forks, and no other step's.
    """
    return blake2b(f"{seed}|{restarts}|{place}".encode(), digest_size=16).hexdigest()


def child_run_id(run_id: str, generation: int, restarts: int, place: str) -> str:
    """
    Make the id of what a run begins at a place.

    The same however often it gets there, and no other's.
    """
    made = blake2b(f"{run_id}|{generation}|{restarts}|{place}".encode(), digest_size=16)
    return _base32(int.from_bytes(made.digest()), 26)
