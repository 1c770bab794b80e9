"""[U7] Builds: the same code has the same one in every process, other code has another one."""

import subprocess
import sys
from functools import partial, wraps
from itertools import combinations
from pathlib import Path
from textwrap import indent
from types import ModuleType
from unittest.mock import MagicMock, create_autospec

import pytest

from stepflow import Stepflow
from stepflow.engine.user_code.build import build_of

APP = """
from stepflow import Context, Stepflow
from deployed.steps import work
app = Stepflow("redis://localhost:1")

@app.workflow("order")
async def order(ctx: Context, names: frozenset = frozenset({"a", "b", "c"})) -> str:
    if "x" in {"p", "q", "r", "x"}:
        return await ctx.step("work", work)
    return "no"

@app.job
def job(number: int) -> int:
    return number
"""
STEPS = "def work():\n    return 1\n"
PRINT = """
import sys
from deployed.app import app
from stepflow.engine.user_code.build import build_of
for key, entry in sorted(app.registry.runners.items()):
    print(key, build_of(entry.run))
"""


def deploy(folder: Path, *, app: str = APP, steps: str = STEPS) -> Path:
    package = folder / "deployed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "app.py").write_text(app)
    (package / "steps.py").write_text(steps)
    return folder


#: where a deploy may stand
INSIDE = ["", "site-packages"]


def builds(folders: list[Path], seed: int) -> list[str]:
    """Give the builds of deployed apps, as another process has them that loads each in turn."""
    each = "for folder in sys.argv[1:]:\n    sys.path.insert(0, folder)\n"
    each += indent(PRINT, "    ") + "    print('--')\n"
    each += "    for name in [name for name in sys.modules if name.startswith('deployed')]:\n"
    each += "        del sys.modules[name]\n"
    # what a process remembers of its files for as long as it lives
    each += "    from stepflow.engine.user_code import build\n"
    each += "    for kept in vars(build).values():\n"
    each += "        getattr(kept, 'cache_clear', int)()\n"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{each}", *map(str, folders)], check=True,
        capture_output=True, text=True, cwd=folders[0],
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": str(seed)},
    )  # fmt: skip
    found = done.stdout.split("--\n")[:-1]
    assert [text.count("\n") for text in found] == [2] * len(folders)
    return found


@pytest.mark.crash
def test_two_processes_of_one_deploy_have_the_same_builds_wherever_it_stands(tmp_path):
    one, two = ([deploy(tmp_path / name / inside) for inside in INSIDE] for name in ("one", "two"))
    assert builds(one, 1) == builds(one, 2) == builds(two, 3)


CHANGED = {
    "workflow": {"app": APP.replace('"work", work', '"other", work')},
    "constant": {"app": APP.replace('"x"', '"y"')},
    "comment": {"app": APP + "\n# a comment, which may be all that a type says\n"},
    "helper": {"steps": STEPS.replace("1", "2")},
}


def test_another_workflow_or_another_helper_is_another_build(tmp_path):
    names = [(name, inside) for name in ("before", *CHANGED) for inside in INSIDE]
    folders = [deploy(tmp_path / name / inside, **CHANGED.get(name, {})) for name, inside in names]
    found = dict(zip(names, builds(folders, 1), strict=True))
    for name, inside in names[len(INSIDE) :]:
        before, after = found["before", inside], found[name, inside]
        assert not set(before.splitlines()) & set(after.splitlines()), (name, inside)


def test_what_a_function_is_made_of_makes_its_build():
    def made(name):
        async def workflow(ctx):
            return await ctx.step(name, len, "x")

        return workflow

    def wrapped(function):
        @wraps(function)
        async def inside(*args):
            return await function(*args)

        return inside

    def default(ctx, name="a"):
        return name

    def other_default(ctx, name="b"):
        return name

    parts = [
        made("a"), made("b"), wrapped(made("a")), wrapped(made("b")), partial(made("a"), 1),
        partial(made("a"), 2), default, other_default,
    ]  # fmt: skip
    assert all(build_of(one) != build_of(other) for one, other in combinations(parts, 2))
    assert build_of(made("a")) == build_of(made("a"))


def test_a_function_that_holds_itself_has_a_build():
    def again(number):
        return again(number - 1) if number else 0

    assert build_of(again) == build_of(again)


class Proxy:
    """As werkzeug's LocalProxy is: whoever looks at it outside of a request gets an error."""

    @property  # type: ignore[misc]
    def __class__(self):
        raise RuntimeError("outside of a request")


class Caller:
    def call(self):
        return 1

    def __init__(self):
        self.function = self.call


class LazyModule(ModuleType):
    def __getattr__(self, name):
        raise ImportError(name)


def holding(value):
    def function(ctx):
        return value

    return function


def without_module():
    function = holding(1)
    function.__module__ = None  # type: ignore[assignment]
    return function


def of_module(name):
    function = holding(1)
    function.__module__ = name
    return function


def held_in_a_circle():
    circle = partial(len)
    circle.__setstate__((len, (circle,), {}, {}))
    return circle


@pytest.mark.parametrize(
    "made",
    [
        without_module,
        lambda: holding(without_module()),
        lambda: holding(create_autospec(len)),
        lambda: holding(MagicMock()),
        lambda: holding(Proxy()),
        lambda: holding(Caller().call),
        lambda: holding(held_in_a_circle()),
        lambda: of_module("a.b.c.d.e.f.g.h.i.j.k"),
        lambda: of_module("lazy"),
    ],
)
def test_whatever_a_function_holds_it_has_a_build(made, monkeypatch):
    """[U7] A worker starts with it, and so does the next one, with the same build."""
    deep = ModuleType("deep")
    deep.__file__ = "/deep.py"
    monkeypatch.setitem(sys.modules, "a.b.c.d.e.f.g.h.i.j.k", deep)
    monkeypatch.setitem(sys.modules, "lazy", LazyModule("lazy"))
    assert build_of(made()) == build_of(made())


def test_modules_of_python_that_are_loaded_late_make_no_other_build():
    """[U7] Which of them are loaded differs from process to process."""
    code = """
import json, sys
from stepflow.engine.user_code.build import build_of
if sys.argv[1:]:
    import csv, mailbox, wave
def make(dumps):
    return lambda ctx: dumps(ctx)
print(build_of(make(json.dumps)))
"""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code, *more], check=True, capture_output=True, text=True,
            env={"PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for more in ([], ["more"])
    )  # fmt: skip
    assert first == second


def test_every_kind_of_runner_has_a_build():
    app = Stepflow("redis://localhost:1")

    @app.workflow("w")
    async def workflow(ctx):
        return 1

    @app.workflow("w", version=2)
    async def second(ctx):
        return 2

    @app.runner("r")
    async def runner(step):
        return None

    @app.job(name="j")
    def job():
        return 3

    found = [build_of(entry.run) for entry in app.registry.runners.values()]
    assert len(set(found)) == len(found) == 4
