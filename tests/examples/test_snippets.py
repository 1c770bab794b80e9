"""
Every Python block of the docs runs.

Those of the README and the tutorial are files, which their own tests run. On every other page the
blocks run one after the other in one namespace, against a harness. It begins with what
`snippets/<page>.py` defines: the names that the page's reader has at hand. Its `prepare` submits
what they look at, its `check` tries what the blocks have defined. A block below
`<!-- in a workflow -->` is the body of one; one below `<!-- in another app -->` may reuse names.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from textwrap import indent
from types import ModuleType
from typing import Any

import pytest

from stepflow import Context, Stepflow, SyncContext
from stepflow.testing import Harness
from tests.examples.pages import (
    DIRECTIVES,
    LANGUAGES,
    OTHERS,
    PAGES,
    ROOT,
    WALKTHROUGHS,
    Block,
    blocks,
    python_blocks,
)

SNIPPETS = Path(__file__).parent / "snippets"
MARKS = {"", "in a workflow", "in another app"}
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_block_is_of_a_kind_that_this_test_knows(page):
    """[U19] A block cannot leave the tests by another name for its language, or by a typo."""
    assert page.read_text().count("```") == 2 * len(list(blocks(page)))
    for block in blocks(page):
        language = block.language.split(" ")[0]
        assert language in LANGUAGES | DIRECTIVES, f"{page.name}:{block.line}"
        if block.language == "python":
            assert block.mark in MARKS, f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", WALKTHROUGHS, ids=names)
def test_every_python_block_of_a_walk_through_is_a_file(page):
    assert [block.line for block in python_blocks(page) if block.file is None] == []


@pytest.mark.crash
@pytest.mark.parametrize("page", [page for page in OTHERS if python_blocks(page)], ids=names)
async def test_the_python_blocks_run(page, tmp_path, monkeypatch):
    """[U19] One after the other, in one namespace."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("snippets")
    monkeypatch.setitem(sys.modules, "snippets", module)
    space = vars(module)
    space["app"] = Stepflow()
    setup = next(SNIPPETS.rglob(f"{page.stem}.py"), None)
    if setup is not None:
        exec(compile(setup.read_text(), setup, "exec", dont_inherit=True), space)
    async with Harness(space["app"]) as harness:
        space.update(h=harness, client=harness.client)
        if "prepare" in space:
            await space["prepare"](harness)
        for block in python_blocks(page):
            await run(block, page, space)
        if "check" in space:
            await space["check"](harness, space)


async def run(block: Block, page: Path, space: dict[str, Any]) -> None:
    is_body = block.mark == "in a workflow"
    if block.mark == "in another app":
        space["app"] = Stepflow()
    # the lines of a traceback are those of the page
    source = "\n" * (block.line - 1 - is_body)
    source += body_of_a_workflow(block) if is_body else block.text
    code = compile(source, page, "exec", TOP_LEVEL_AWAIT, dont_inherit=True)
    running = eval(code, space)
    if inspect.isawaitable(running):
        await running
    if is_body:
        await run_workflow(space)


def body_of_a_workflow(block: Block) -> str:
    define = "async def" if "await " in block.text else "def"
    return f"{define} snippet(ctx):\n{indent(block.text, '    ')}"


async def run_workflow(space: dict[str, Any]) -> None:
    """Run the block as a workflow: it ends, or waits for what the page does not give it."""
    app = Stepflow()
    space.get("register", lambda app: None)(app)
    snippet = space["snippet"]
    kind = Context if inspect.iscoroutinefunction(snippet) else SyncContext
    snippet.__annotations__["ctx"] = kind
    app.workflow("snippet")(snippet)
    async with Harness(app) as harness:
        run_id = await harness.submit("snippet")
        status = await harness.status(run_id)
        assert status.state in ("succeeded", "waiting"), status.error
