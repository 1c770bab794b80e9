"""
The floors of the house: who may import whom, where each library lives, how long a file may get.

Imports for types only count as any other.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from stepflow import forks

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "stepflow"

#: an import goes down or stays in its room; rooms on one floor do not see each other
FLOORS = [
    ["durations", "errors", "logs", "names", "settings", "shell", "strict_json", "times"],
    ["core"],
    ["store", "rq"],
    ["engine", "hooks", "embedded"],
    ["archive"],
    ["worker", "client", "metrics", "telemetry"],
    ["app", "web"],
    ["kits"],
    ["agents"],
    ["stepflow"],
    ["entry"],
    ["cli", "testing"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: modules that are part of a room without being in its folder
ROOMMATES = {
    "archiver": "entry",
    "jobs": "app",
    "forks": "entry",
    "loop": "entry",
    "process": "entry",
    "supervisor": "entry",
    "value_settings": "settings",
    "__init__": "stepflow",
    "__main__": "cli",
}

#: modules of the public face that name what a room above gives to it: for types, and in the calls
#: that load it
FACES = {
    "kits.flow.calls.agents": "agents",
    "kits.flow.calls.sync_agents": "agents",
}

#: rooms that do not know another, wherever that stands
APART = [
    ("stepflow.kits", "stepflow.worker"),
    ("stepflow.kits.flow.commands", "stepflow.kits.flow.replay"),
    ("stepflow.kits.flow.runtime", "stepflow.kits.flow.commands"),
]

#: where a library may be imported: a room, or one module of it
HOMES = {
    "agents": ["agents.openai_agents"],
    "anyio": ["agents"],
    "click": ["cli"],
    "cryptography": ["store.values.keyring"],
    "cronsim": ["core.schedules.cron"],
    "fakeredis": ["testing"],
    "genai_prices": ["agents"],
    "greenlet": ["kits"],
    "hiredis": ["store"],
    "httpx": ["hooks.deliver", "hooks.request"],
    "jinja2": ["web.pages"],
    "jsonschema": ["engine.user_code.schema"],
    "markupsafe": ["web.pages"],
    "msgpack": ["store.values"],
    "openai": ["agents"],
    "obstore": ["store.offload"],
    "opentelemetry": ["telemetry"],
    "pydantic": [
        "store.values",
        "app",
        "engine",
        "kits.definition",
        "settings",
        "web",
        "agents",
    ],
    "pydantic_ai": ["agents"],
    "prometheus_client": ["metrics"],
    "pytest": ["testing.fixtures"],
    "redis": ["store", "rq"],
    "referencing": ["engine.user_code.schema"],
    "rich": ["cli"],
    "rq": ["rq", "entry"],
    "simpleeval": ["kits.definition.values.expressions"],
    "starlette": ["web"],
    "sqlalchemy": ["archive"],
    "standardwebhooks": ["cli.demo.receiver"],
    "tenacity": ["engine", "hooks", "store"],
    "typing_extensions": ["engine.user_code.readable"],
    "uvicorn": ["web.server"],
    "uvloop": ["entry"],
    "yaml": ["kits.definition.checking.source"],
    "zstandard": ["store.offload"],
}
#: what would let the world into the core, which is handed its time and its chance
IMPURE = {"logging", "os", "pathlib", "random", "socket", "subprocess", "time"}

#: lines that a file may have, docstrings, comments and blank ones counted
LONGEST = 400
#: lines of code, docstrings and comments left out, that a function may have
LONGEST_FUNCTION = 60
#: files that a folder may have
MOST_FILES = 20
#: lines that a script may have, and lines of code among them
LONGEST_SCRIPT, LONGEST_SCRIPT_CODE = 80, 60

ROOMS = ("stepflow", "tests", "benchmarks", "examples", "docs", "workers")
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
#: the same by the names that an import has for them
NAMES = {f"stepflow.{name}".removesuffix(".__init__"): path for name, path in MODULES.items()}
SCRIPTS = sorted(PACKAGE.rglob("*.lua"))


def room_of(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    return ROOMMATES.get(first, first)


class Interesting(ast.NodeVisitor):
    """Gathers imports and functions; does not go down into expressions, which hold neither."""

    def __init__(self) -> None:
        self.found: list[ast.AST] = []

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, INTERESTING):
            self.found.append(node)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.expr):
                self.visit(child)


INTERESTING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def nodes_of(source: str) -> list[ast.AST]:
    """Give each import and each function of a source."""
    visitor = Interesting()
    visitor.visit(ast.parse(source))
    return visitor.found


@cache
def imports_of(source: str) -> tuple[str, ...]:
    """Name every module a source imports, in functions and for types too."""
    return tuple(_imports_of(source))


def _imports_of(source: str) -> Iterator[str]:
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "." * node.level
        elif isinstance(node, ast.ImportFrom) and node.module == "stepflow":
            yield from (
                f"stepflow.{alias.name}" if alias.name in FLOOR else "stepflow"
                for alias in node.names
            )
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


@cache
def modules_of(source: str) -> tuple[str, ...]:
    """Name every module of ours that a source imports, whole or a name out of it."""
    return tuple(_modules_of(source))


def _modules_of(source: str) -> Iterator[str]:
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in NAMES else node.module for name in names)


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, by whatever way round."""
    suspects = {module: needed & imports.keys() for module, needed in imports.items()}
    while harmless := [module for module, needed in suspects.items() if not needed]:
        for module in harmless:
            del suspects[module]
        suspects = {module: needed & suspects.keys() for module, needed in suspects.items()}
    reached: dict[str, set[str]] = {}
    for module in suspects:
        found, left = set(), [module]
        while left:
            new = suspects[left.pop()] - found
            found |= new
            left += new
        reached[module] = found
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in suspects
    }
    return sorted(list(group) for group in groups if group)


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
        elif (
            library == "stepflow"
            and target not in {room, FACES.get(module)}
            and FLOOR.get(target, 99) >= max(FLOOR[room], 1)
        ):
            yield f"{target} is not below {room}"
        elif room == "core" and library in IMPURE:
            yield f"{library} is not pure"
        elif library != "stepflow" and library not in sys.stdlib_module_names:
            homes = HOMES.get(library, [])
            if not any(home == room or f"{module}.".startswith(f"{home}.") for home in homes):
                yield f"{library} lives in {' and '.join(homes) or 'no room yet'}"


def code_lines(script: Path) -> int:
    lines = (line.strip() for line in script.read_text().splitlines())
    return sum(1 for line in lines if line and not line.startswith("--"))


def lines_of_code(source: str, node: ast.AST) -> int:
    """Count the lines that hold code in a function, a class or a module."""
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(source.splitlines()))
    texts = [
        statement
        for statement in ast.walk(node)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    ]
    silent = {line for text in texts for line in range(text.lineno, (text.end_lineno or 0) + 1)}
    lines = enumerate(source.splitlines()[first - 1 : last], first)
    return sum(
        1
        for number, line in lines
        if line.strip() and not line.strip().startswith("#") and number not in silent
    )


def test_an_import_goes_down_or_stays_in_its_room():
    found = {name: list(breaches(name, path.read_text())) for name, path in MODULES.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


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
        ("engine.claim", "import redis.asyncio", "redis lives in store and rq"),
        ("engine.claim", "from . import commit", "relative import"),
        ("engine.claim", "import leftpad", "leftpad lives in no room yet"),
        ("hooks.body", "import httpx", "httpx lives in hooks.deliver and hooks.request"),
        ("errors", "from stepflow.core.run import Run", "core is not below errors"),
        ("attic.box", "import os", "attic has no floor"),
    ],
)
def test_each_way_of_breaking_the_rule_is_seen(module, source, breach):
    assert list(breaches(module, source)) == [breach]


def test_no_modules_import_each_other():
    imports = {
        name: {found for found in modules_of(path.read_text()) if found in NAMES} - {name}
        for name, path in NAMES.items()
    }
    assert circles(imports) == []


def test_a_circle_is_seen_whatever_its_length():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize(("room", "other"), APART)
def test_rooms_that_are_apart_do_not_know_each_other(room, other):
    seen = {
        (name, found)
        for name, path in NAMES.items()
        if f"{name}.".startswith(f"{room}.")
        for found in modules_of(path.read_text())
        if f"{found}.".startswith(f"{other}.")
    }
    assert seen == set()


@pytest.mark.parametrize(
    "path",
    sorted(chain(ROOT.glob("workers/*.py"), ROOT.glob("examples/**/*.py"))),
    ids=lambda p: p.name,
)
def test_workers_and_examples_import_only_the_public_face_and_the_top_floor(path):
    ours = {name for name in imports_of(path.read_text()) if name.split(".")[0] == "stepflow"}
    assert {room_of(name.partition(".")[2]) for name in ours} <= {
        "",
        "cli",
        "testing",
        "entry",
        "web",
        "kits",
        "agents",
        "telemetry",
    }


def test_no_file_becomes_the_place():
    length = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: size for name, size in length.items() if size > LONGEST} == {}


def test_no_function_becomes_the_place():
    sources = {name: path.read_text() for name, path in MODULES.items()}
    too_long = {
        f"{name}.{node.name}": size
        for name, source in sources.items()
        for node in nodes_of(source)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
        if (size := lines_of_code(source, node)) > LONGEST_FUNCTION
    }
    assert too_long == {}


def test_no_folder_becomes_a_crowd():
    kept = (
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*.*")
        if path.suffix != ".pyc" and path.is_file()
    )
    files = Counter(str(path.parent.relative_to(ROOT)) for path in kept)
    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}


def test_no_script_becomes_the_place():
    whole = {script.name: len(script.read_text().splitlines()) for script in SCRIPTS}
    code = {script.name: code_lines(script) for script in SCRIPTS}
    assert {name: size for name, size in whole.items() if size > LONGEST_SCRIPT} == {}
    assert {name: size for name, size in code.items() if size > LONGEST_SCRIPT_CODE} == {}


def test_the_modules_that_a_forked_child_may_not_call_are_there():
    assert [
        name for name in forks._WORKERS_OWN if name.removeprefix("stepflow.") not in MODULES
    ] == []
