"""The floors of the house: who may import whom, where each library lives, and how long a file may get."""

import ast
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "stepflow"

#: an import goes down or stays in its room; rooms on one floor do not see each other
FLOORS = [
    ["errors", "settings", "times"],
    ["core"],
    ["store", "queue"],
    ["engine", "hooks", "archive", "telemetry", "embedded"],
    ["app"],
    ["kits"],
    ["stepflow"],
    ["entry"],
    ["cli", "web", "testing"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: modules that are part of a room without being in its folder
ROOMMATES = {
    "client": "app",
    "jobs": "app",
    "forks": "entry",
    "loop": "entry",
    "process": "entry",
    "supervisor": "entry",
    "__init__": "stepflow",
    "__main__": "cli",
}

#: where a library may be imported: a room, or one module of it
HOMES = {
    "click": ["cli"],
    "fakeredis": ["testing"],
    "greenlet": ["kits"],
    "hiredis": ["store"],
    "httpx": ["hooks.deliver"],
    "jinja2": ["web"],
    "jsonschema": ["engine.schema"],
    "msgpack": ["store.codec", "store.shapes"],
    "opentelemetry": ["telemetry"],
    "prometheus_client": ["telemetry"],
    "pydantic": ["store.codec", "app", "engine", "settings"],
    "pydantic_settings": ["settings"],
    "pytest": ["testing.fixtures"],
    "redis": ["store", "queue"],
    "referencing": ["engine.schema"],
    "rich": ["cli"],
    "rq": ["queue", "entry"],
    "standardwebhooks": ["hooks", "cli.demo_receiver"],
    "starlette": ["web"],
    "tenacity": ["engine", "hooks", "store"],
    "uvicorn": ["web"],
    "uvloop": ["entry"],
}
#: what would let the world into the core, which is handed its time and its chance
IMPURE = {"logging", "os", "pathlib", "random", "socket", "subprocess", "time"}

#: longest file in lines; those above it by name, and their numbers may only shrink
LONGEST = 300
LONGER: dict[str, int] = {}
#: the same for the lines of code of a script
LONGEST_SCRIPT = 60
LONGER_SCRIPTS: dict[str, int] = {}

MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}
SCRIPTS = sorted(PACKAGE.rglob("*.lua"))


def room_of(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    return ROOMMATES.get(first, first)


def imports_of(source: str) -> Iterator[str]:
    """Name every module a source imports, in functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "." * node.level
        elif isinstance(node, ast.ImportFrom) and node.module == "stepflow":
            yield from (f"stepflow.{alias.name}" if alias.name in FLOOR else "stepflow" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def breaches(module: str, source: str) -> Iterator[str]:
    """Say in words what is wrong with the imports of a module of ours."""
    room = room_of(module)
    if room not in FLOOR:
        yield f"{room} has no floor"
        return
    for name in imports_of(source):
        library, _, inside = name.partition(".")
        target = room_of(inside) if inside else library
        if name.startswith("."):
            yield "relative import"
        elif library == "stepflow" and target != room and FLOOR.get(target, 99) >= max(FLOOR[room], 1):
            yield f"{target} is not below {room}"
        elif room == "core" and library in IMPURE:
            yield f"{library} is not pure"
        elif library != "stepflow" and library not in sys.stdlib_module_names:
            homes = HOMES.get(library, [])
            if not any(home in (room, module) for home in homes):
                yield f"{library} lives in {' and '.join(homes) or 'no room yet'}"


def code_lines(script: Path) -> int:
    lines = (line.strip() for line in script.read_text().splitlines())
    return sum(1 for line in lines if line and not line.startswith("--"))


@pytest.mark.parametrize("module", MODULES)
def test_an_import_goes_down_or_stays_in_its_room(module):
    assert list(breaches(module, MODULES[module].read_text())) == []


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("core.run", "from stepflow.store import keys", "store is not below core"),
        ("core.run", "def f():\n    from stepflow.store import keys", "store is not below core"),
        ("core.run", "import time", "time is not pure"),
        ("core.run", "import tenacity", "tenacity lives in engine and hooks and store"),
        ("engine.claim", "from stepflow import hooks", "hooks is not below engine"),
        ("engine.claim", "import stepflow.app", "app is not below engine"),
        ("engine.claim", "from stepflow import Step", "stepflow is not below engine"),
        ("engine.claim", "import redis.asyncio", "redis lives in store and queue"),
        ("engine.claim", "from . import commit", "relative import"),
        ("engine.claim", "import leftpad", "leftpad lives in no room yet"),
        ("hooks.body", "import httpx", "httpx lives in hooks.deliver"),
        ("errors", "from stepflow.core.run import Run", "core is not below errors"),
        ("attic.box", "import os", "attic has no floor"),
    ],
)
def test_each_way_of_breaking_the_rule_is_seen(module, source, breach):
    assert list(breaches(module, source)) == [breach]


@pytest.mark.parametrize(
    "path", sorted(chain(ROOT.glob("workers/*.py"), ROOT.glob("examples/*.py"))), ids=lambda p: p.name
)
def test_workers_and_examples_import_only_the_public_face_and_the_top_floor(path):
    ours = {name for name in imports_of(path.read_text()) if name.split(".")[0] == "stepflow"}
    assert {room_of(name.partition(".")[2]) for name in ours} <= {"", "cli", "web", "testing", "entry", "kits"}


def test_no_file_becomes_the_place():
    length = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES.values()}
    assert {name: size for name, size in length.items() if size > LONGER.get(name, LONGEST)} == {}
    assert [name for name in LONGER if length.get(name, 0) <= LONGEST] == [], "short again: take it off the list"


def test_no_script_becomes_the_place():
    length = {script.name: code_lines(script) for script in SCRIPTS}
    assert {name: size for name, size in length.items() if size > LONGER_SCRIPTS.get(name, LONGEST_SCRIPT)} == {}
    assert [name for name in LONGER_SCRIPTS if length.get(name, 0) <= LONGEST_SCRIPT] == [], "take it off the list"
