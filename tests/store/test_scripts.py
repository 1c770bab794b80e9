"""How the Lua scripts are written, and that Lua and Python mean the same by a name."""

import ast
import re
from pathlib import Path

import pytest

import stepflow
from stepflow.core.ids import Delivery, hook_member, hook_rq_id, member_of_rq_id, run_member
from stepflow.core.limits.use import write_key
from stepflow.core.run import PRIORITIES, Cleanup, Parked, RunState
from stepflow.store import keys as store_keys
from stepflow.store import scripts
from stepflow.store.calls import raw
from stepflow.store.family_update import children_keys
from stepflow.store.indexes.old import old_ended_index, old_runner_index
from stepflow.store.lua import source as lua_source
from stepflow.store.scripts import Group

STORE = Path(stepflow.__file__).parent / "store"
FILES = sorted((STORE / "lua").rglob("*.lua"))
SCRIPTS = {script.name: script for script in scripts.all_scripts()}
CODE = {
    path.relative_to(STORE / "lua").with_suffix("").as_posix(): "\n".join(
        line.split(" -- ")[0]
        for line in path.read_text().splitlines()
        if not line.lstrip().startswith("--")
    )
    for path in FILES
}
TAKERS = {"runs/submit_child", "schedules/fire_schedule", "groups/submit_member"}
HEADERS = [name for name in CODE if not name.startswith("lib/")]


@pytest.mark.parametrize("name", CODE)
def test_no_file_speaks_of_places_in_keys_and_arguments(name):
    """Lists of arguments are places, and lib/lists is the one file that reads them."""
    found = re.findall(r"\b(?:KEYS|ARGV)\b.*", CODE[name])
    assert name == "lib/lists" or found == []
    assert [hit for hit in found if re.search(r"(?:KEYS|ARGV)\[\d|#(?:KEYS|ARGV)", hit)] == []


@pytest.mark.parametrize("name", [name for name in HEADERS if name not in TAKERS])
def test_a_body_uses_every_name_in_its_header(name):
    """Those that make a run take over the names of `submit_run`, of which they need most."""
    source = lua_source.read_source(name)
    names = [f"{key}_key" for key in source.keys.single]
    names += [f"{key}_keys" for key in source.keys.lists]
    names += [*source.args.single, *source.args.lists]
    used = set(re.findall(r"\w+", lua_source._lean(source.text)))
    assert [word for word in names if word not in used] == []


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=lambda script: script.name)
def test_no_name_hides_a_function(script):
    functions = set(re.findall(r"local function (\w+)", script.text))
    assert functions.isdisjoint({*script.args.single, *script.args.lists})


def test_a_library_is_cut_down_to_what_is_used():
    assert "local function whole" not in SCRIPTS["keep_step"].text
    assert "local function whole" in SCRIPTS["claim_one"].text


#: a function of a script that is made when it is called, with what is in it
LAZY = re.compile(
    r"^local function (\w+)\(\.\.\.\)\nif select.*?\n(.*?)\nreturn \1\(\.\.\.\)\nend$",
    re.MULTILINE | re.DOTALL,
)
LIBRARIES = [path.read_text() for path in lua_source._FOLDER.glob("lib/**/*.lua")]
FUNCTIONS = {name for text in LIBRARIES for name in re.findall(r"(?m)^local function (\w+)", text)}


def missing_in(text):
    """The functions of libraries that a script calls and does not have above the call."""
    inner = [missing_in(match[2]) for match in LAZY.finditer(text)]
    text = LAZY.sub(r"local function \1() end", text)
    first = {}
    for match in re.finditer(r"(function )?\b(\w+)\(", text):
        first.setdefault(match[2], match[1])
    return sum(inner, [name for name in first if name in FUNCTIONS and not first[name]])


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=lambda script: script.name)
def test_a_script_has_every_function_that_it_calls(script):
    assert missing_in(script.text) == []


def callers():
    """Every call of a script in the store: where, which, and the names it spells out."""
    for path in sorted(STORE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "call"
                and ast.unparse(node.func.value).startswith("scripts.")
            ):
                name = ast.unparse(node.func.value).removeprefix("scripts.").lower()
                yield pytest.param(SCRIPTS[name], node, id=f"{path.stem}: {name}")


CALLERS = list(callers())


@pytest.mark.parametrize(("script", "node"), CALLERS)
def test_a_caller_uses_the_names_of_the_header(script, node):
    """What a caller takes from a helper (`**names`) is looked at by tests/conftest.py."""
    given = {word.arg: word.value for word in node.keywords}
    for part, wanted in {
        "keys": script.keys.single,
        "key_lists": script.keys.lists,
        "args": script.args.single,
        "lists": script.args.lists,
    }.items():
        names = given.get(part, ast.Dict([], []))
        if not isinstance(names, ast.Dict):
            continue
        spelled = [key.value for key in names.keys if key is not None]
        assert set(spelled) <= set(wanted)
        assert len(spelled) == len(set(spelled))
        if None not in names.keys:
            assert set(spelled) == set(wanted)


def test_every_script_has_a_caller():
    called = {param.values[0].name for param in CALLERS}
    assert called == set(SCRIPTS)


def test_a_missing_name_is_refused():
    with pytest.raises(TypeError, match="put_memo is called without its 'memo'"):
        scripts.PUT_MEMO.call(raw, keys={"run": "a"})


def test_names_are_sent_in_the_order_of_the_header():
    call = scripts.TAKE_SIGNAL.call(
        raw,
        lists={"names": ["x", "y"]},
        args={"head": "h", "index": 3, "token": "t"},
        keys={"sent": "4", "mail": "3", "journal": "2", "run": "1"},
    )
    assert (call.keys, call.args) == (("1", "2", "3", "4"), ("t", 3, "h", 2, "x", "y"))


def test_lists_of_keys_are_told_apart_by_their_lengths():
    lists = dict.fromkeys(scripts.FINISH_RUN.args.lists, ())
    call = scripts.FINISH_RUN.call(
        raw,
        keys=dict.fromkeys(scripts.FINISH_RUN.keys.single, "k"),
        args=dict.fromkeys(scripts.FINISH_RUN.args.single, "a"),
        lists=lists,
        key_lists={
            "hook": ["h", "j"], "own": (), "parent": ["p"], "note": ["n"], "counts": ["c"],
            "schedule": (), "group": (), "queued": (), "once": (),
            "archive": ("z",),
        },
    )  # fmt: skip
    assert call.keys[-6:] == ("h", "j", "p", "n", "c", "z")
    assert call.args[-21:] == (2, 0, 1, 1, 1, 0, 0, 0, 0, *[0] * len(lists))


def test_a_group_takes_exactly_its_names():
    group = Group("runs/submit_run", "fork")
    assert group.order({"following": 2, "entries": 1}) == (1, 2)
    with pytest.raises(TypeError):
        group.order({"entries": 1})
    with pytest.raises(TypeError):
        group.order({"entries": 1, "following": 2, "more": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEANUP_NEEDED", Cleanup.NEEDED),
        ("PARKED_LIMIT", Parked.LIMIT),
        ("STATE_PENDING", RunState.PENDING),
    ],
)
def test_a_constant_has_the_value_that_python_writes(name, value):
    written = value.value
    assert lua_source.constant(name) == str(written)


def evaluate(client, library, expression):
    text = lua_source.library_text(library)
    return client.eval(f"{text}\nreturn {{{expression}}}", 0)


@pytest.mark.parametrize("namespace", ["stepflow", "other"])
@pytest.mark.parametrize("priority", range(PRIORITIES))
def test_lua_builds_the_keys_of_the_table(redis_client, namespace, priority):
    keys = store_keys.Keys(namespace)
    queue = keys.rq_queue("default", priority)
    ns = f"'{namespace}'"
    wanted = {
        f"record_of({ns}, 'hook:h')": keys.hook("h"),
        f"record_of({ns}, 'run:a') ": keys.record(run_member("a")),
        f"run_of({ns}, 'a')": keys.run("a"),
        f"data_of(run_of({ns}, 'a'))": f"{keys.run('a')}:data",
        f"asks_of(run_of({ns}, 'a'))": f"{keys.run('a')}:asks",
        f"children_of(run_of({ns}, 'a'), 2)": children_keys(keys, "a", 2)[0],
        f"queued_at_of({ns}, '{queue}')": keys.queued_at(queue),
        f"ended_index_of({ns}, 'failed')": keys.ended_index(RunState.FAILED),
        f"runner_index_of({ns}, 'failed', 'x')": keys.runner_index(RunState.FAILED, "x"),
        f"tag_index_of({ns}, 'a=b')": keys.tag_index("a=b"),
        f"old_ended_index_of({ns}, 'failed')": old_ended_index(keys, RunState.FAILED),
        f"old_runner_index_of({ns}, 'x')": old_runner_index(keys, "x"),
        f"queue_of('{queue}')": keys.queue_name("default"),
        f"wake_of({ns}, '{queue}')": keys.wake_of("default"),
        f"runner_wake_of({ns}, 'x@2')": keys.wake("@x@2"),
        f"waiting_list_of({ns}, '{queue}', 'x')": keys.waiting_list(queue, "x"),
        f"laned_of({ns})": keys.laned,
        f"fair_of({ns})": keys.fair,
        f"levels_of({ns})": keys.levels,
        f"level_of({ns}, '{queue}')": f"{keys.levels[:-1]}:{queue}",
        f"lanes_of({ns}, '{queue}')": keys.lanes(queue),
        f"lane_of({ns}, '{queue}', 'acme')": keys.lane(queue, "acme"),
        f"limits_of({ns})": keys.limits,
        f"tell_of({ns})": keys.tell_channel(""),
        f"lines_of({ns})": keys.lines,
        f"slots_of({ns})": keys.slots,
        f"kept_of({ns}, 'line', 'x', 'a%20b')": keys.of_limit("line", "x", write_key("a b")),
        f"line_of_held({ns}, 'x|a%20b|1.5')": keys.of_limit("line", "x", write_key("a b")),
        f"list_of('{queue}')": keys.rq_list(queue),
        "job_of('run-a-0')": keys.rq_job("run-a-0"),
        f"scheduled_of('{queue}')": keys.rq_scheduled(queue),
        f"failed_of('{queue}')": keys.rq_failed(queue),
    }
    functions = set(re.findall(r"local function (\w+)", CODE["lib/keys"]))
    assert {call.split("(")[0] for call in wanted} == functions
    made = evaluate(redis_client, "keys", ", ".join(wanted))
    assert [key.decode() for key in made] == list(wanted.values())


@pytest.mark.parametrize("prefix", ["", "other_"])
def test_lua_reads_rq_ids_as_python_does(redis_client, prefix):
    ids = [
        *(Delivery(run, 3, *rest).rq_id for run in ("a", "a-1", "x-g1-r2") for rest in
          ((), (1,), (0, 2), (1, 2))),
        *(hook_rq_id("h-1", serial) for serial in (0, 7)),
        "run-a", "run--1", "hook-", "somebody-elses", "",
    ]  # fmt: skip
    calls = ", ".join(f"member_of_rq_id('{prefix}{rq_id}', '{prefix}') or ''" for rq_id in ids)
    made = evaluate(redis_client, "ids", calls)
    assert [member.decode() for member in made] == [member_of_rq_id(rq_id) for rq_id in ids]


def test_lua_names_members_as_python_does(redis_client):
    [member] = evaluate(redis_client, "ids", "run_member('a')")
    assert member.decode() == run_member("a")
    told = evaluate(
        redis_client,
        "ids",
        ", ".join(
            f"is_hook_member('{member}') and 1 or 0, is_member('{member}') and 1 or 0"
            for member in (run_member("a"), hook_member("h"), "else:a")
        ),
    )
    assert told == [0, 1, 1, 1, 0, 0]
