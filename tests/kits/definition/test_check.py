"""Broken definitions: each fault is named, with its line and its place."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from stepflow import InvalidDefinition, InvalidOption, RunFailed, Stepflow
from stepflow.cli.main import cli
from stepflow.kits.definition.checking.source import read_file, read_text
from stepflow.testing import Harness

HEAD = "name: broken\nenv: [TOKEN]\nsteps:\n"
SCHEMED = "name: broken\ninput: {properties: {name: {type: string}}}\nsteps:\n"
A = "  - {id: a, kind: checkpoint, input: {name: x}}\n"

#: where the input of the first step stands, below HEAD
AT = "4: steps[0].input"
#: name -> the file, and its faults as `line: place: words`
BROKEN: dict[str, tuple[str, list[str]]] = {
    "no mapping": ("- 1\n", ["1: : a definition is a mapping"]),
    "no yaml": ("name: [\n", ["2: : it is no YAML"]),
    "a key twice": (HEAD + A + "name: again\n", ["5: name: 'name' stands here twice"]),
    "a date": ("name: x\nsteps: !!timestamp 2026-01-01\n", ["2: steps: timestamp is none of JSON"]),
    "no steps": ("name: broken\n", ["1: : 'steps' is missing"]),
    "a wrong name": ("name: 7 up\nsteps:\n" + A, ["1: name: String should match pattern"]),
    "an unknown field": (HEAD + A + "step: 1\n", ["5: step: there is no such field as 'step'"]),
    "an unknown field of a step": (
        HEAD + "  - {id: a, kind: sleep, input: {for: 1}, dependson: [b]}\n",
        ["4: steps[0].dependson: there is no such field"],
    ),
    "an id twice": (HEAD + A + A, ["5: steps[1].id: steps[0] is called 'a' as well"]),
    "a reserved name": (
        HEAD + "  - {id: input, kind: sleep, input: {for: 1}}\n",
        ["4: steps[0].id: 'input' is a reserved name"],
    ),
    "an unknown dependency": (
        HEAD + A
        + "  - id: two\n    kind: sleep\n    input: {for: 1}\n    depends_on:\n      - b\n",
        ["9: steps[1].depends_on[0]: no step is called 'b'"],
    ),
    "a cycle": (
        HEAD
        + "  - {id: a, kind: sleep, depends_on: [b], input: {for: 1}}\n"
        + "  - {id: b, kind: sleep, depends_on: [a], input: {for: 1}}\n",
        ["4: steps[0].depends_on: these steps wait for one another: a -> b -> a"],
    ),
    "itself": (
        HEAD + "  - {id: a, kind: sleep, depends_on: [a], input: {for: 1}}\n",
        ["4: steps[0].depends_on: these steps wait for one another: a -> a"],
    ),
    "an unknown kind": (
        HEAD + "  - {id: a, kind: htpp}\n",
        ["4: steps[0].kind: there is no kind 'htpp'; did you mean 'http'?"],
    ),
    "an unknown tool": (
        HEAD + "  - id: a\n    kind: tool\n    input:\n      tool: snd\n",
        ["7: steps[0].input.tool: no tool is called 'snd'; did you mean 'send'?"],
    ),
    "a tool that no other is like": (
        HEAD + "  - {id: a, kind: tool, input: {tool: reckon}}\n",
        [AT + ".tool: no tool is called 'reckon'; the app registers it with @app.tool, above"],
    ),
    "an agent that no other is like": (
        HEAD + "  - {id: a, kind: agent, input: {agent: oracle, prompt: x}}\n",
        [AT + ".agent: no agent is called 'oracle'; the app registers it with app.agent, above"],
    ),
    "arguments that a tool does not take": (
        HEAD + "  - {id: a, kind: tool, input: {tool: send, args: {who: x}}}\n",
        ["4: steps[0].input.args: tool 'send' cannot be called with them"],
    ),
    "an unknown runner": (
        HEAD + "  - {id: a, kind: run, input: {runner: nobody}}\n",
        [AT + ".runner: no runner is called 'nobody'; the app registers it or names it"],
    ),
    "an unknown definition": (
        HEAD + "  - {id: a, kind: run, input: {definition: nobody}}\n",
        ["4: steps[0].input.definition: no definition is called 'nobody'"],
    ),
    "a template of no dependency": (
        HEAD + A + "  - id: b\n    kind: emit\n    input: {data: 'got {steps.a.at}'}\n",
        ["7: steps[1].input.data: {steps.a.at}: step 'a' need not have ended by then"],
    ),
    "a template of no step": (
        HEAD + "  - {id: b, kind: emit, input: {data: ['{steps.c}']}}\n",
        ["4: steps[0].input.data[0]: {steps.c}: no step is called 'c'"],
    ),
    "a template of nothing": (
        HEAD + "  - {id: b, kind: emit, input: {data: '{inputs.c}'}}\n",
        ["4: steps[0].input.data: {inputs.c}: nothing is called 'inputs'"],
    ),
    "an unknown input": (
        SCHEMED + "  - {id: b, kind: emit, input: {data: '{input.nmae}'}}\n",
        ["4: steps[0].input.data: {input.nmae}: the input's schema has no 'nmae'; did you mean"],
    ),
    "a variable that is not declared": (
        HEAD + "  - {id: b, kind: http, input: {url: 'http://x/{env.OTHER}'}}\n",
        ["4: steps[0].input.url: {env.OTHER}: put OTHER into the definition's env"],
    ),
    "a variable that is not allowed": (
        HEAD + "  - {id: b, kind: http, input: {url: 'http://x/{env.TOKEN}'}}\n",
        ["4: steps[0].input.url: {env.TOKEN}: this app does not let definitions read TOKEN"],
    ),
    "a variable where it would be stored": (
        HEAD + "  - {id: b, kind: emit, input: {data: '{env.TOKEN}'}}\n",
        ["4: steps[0].input.data: {env.TOKEN}: the environment is not for this place"],
    ),
    "an expression that cannot be read": (
        HEAD + "  - {id: b, kind: sleep, skip_if: 'input.a >', input: {for: 1}}\n",
        ["4: steps[0].skip_if: expression 'input.a >': it cannot be read"],
    ),
    "an expression of no dependency": (
        HEAD + A + "  - {id: b, kind: sleep, skip_if: 'steps.a.ok', input: {for: 1}}\n",
        ["5: steps[1].skip_if: expression 'steps.a.ok': step 'a' need not have ended"],
    ),
    "code in an expression": (
        HEAD + "  - {id: b, kind: sleep, skip_if: '[x for x in input]', input: {for: 1}}\n",
        ["4: steps[0].skip_if: expression '[x for x in input]': ListComp is not for expressions"],
    ),
    "a call in an expression": (
        HEAD + "  - {id: b, kind: sleep, skip_if: 'open(input)', input: {for: 1}}\n",
        ["4: steps[0].skip_if: expression 'open(input)': open is no function"],
    ),
    "a call of what no name is": (
        HEAD + f"  - {{id: b, kind: sleep, skip_if: 'input{'.a' * 490}()', input: {{for: 1}}}}\n",
        ["4: steps[0].skip_if: expression 'input.a.a.a"],
    ),
    "shell code of a template": (
        HEAD + "  - {id: b, kind: script, input: {bash: 'rm {input.file}'}}\n",
        ["4: steps[0].input.bash: {input.file} would be run as code of the shell"],
    ),
    "two programs": (
        HEAD + "  - {id: b, kind: script, input: {bash: ls, argv: [ls]}}\n",
        ["4: steps[0].input: a script has either argv or bash"],
    ),
    "no duration": (
        HEAD + "  - {id: b, kind: sleep, input: {for: tomorrow}}\n",
        ["4: steps[0].input.for: 'tomorrow' is no duration"],
    ),
    "an option that the kind does not take": (
        HEAD + "  - id: b\n    kind: sleep\n    input: {for: 1}\n    retry: {attempts: 2}\n",
        ["7: steps[0].retry: a step of kind 'sleep' takes no retry"],
    ),
    "a choice that does not wait": (
        HEAD + A + "  - {id: b, kind: condition, input: {cases: [{when: 'true', then: a}]}}\n",
        ["5: steps[1].input: step 'a' has to have 'b' in its depends_on to be chosen"],
    ),
    "a map of waits": (
        HEAD + "  - {id: b, kind: map, input: {over: [1], kind: wait, input: {prompt: x}}}\n",
        ["4: steps[0].input.kind: a map does work (http, script, tool) or run"],
    ),
    "undone by a wait": (
        HEAD + "  - {id: b, kind: sleep, input: {for: 1}, compensate: {kind: wait}}\n",
        ["4: steps[0].compensate.kind: 'wait' cannot undo a step"],
    ),
    "an entry point without a value": (
        HEAD + A + "  - {id: b, kind: emit, depends_on: [a], input: {data: '{steps.a}'}}\n"
        "entry_points:\n  late:\n    start: [b]\n",
        ["7: entry_points.late.results: step 'b' refers to 'a', which has no value from here on"],
    ),
    "an entry point at no step": (
        HEAD + A + "entry_points:\n  late: {start: [b]}\n",
        ["6: entry_points.late.start[0]: no step is called 'b'"],
    ),
    "no schema": (
        "name: broken\ninput: {type: 7}\nsteps:\n" + A,
        ["2: input: {'type': 7} is no JSON schema"],
    ),
    "an answer of no schema": (
        HEAD + "  - {id: b, kind: wait, input: {prompt: x, schema: {type: 7}}}\n",
        ["4: steps[0].input.schema: {'type': 7} is no JSON schema"],
    ),
    "an unknown trigger": (
        HEAD + A + "triggers:\n  - {on: moon}\n",
        ["6: triggers[0]: Input tag 'moon'"],
    ),
    "a filter of other things": (
        HEAD + A + "triggers:\n  - {on: event, topic: x, filter: 'input.a'}\n",
        ["6: triggers[0].filter: expression 'input.a': it knows only what came"],
    ),
    "two at once": (
        HEAD + "  - {id: a, kind: slep}\n  - {id: b, kind: sleep, depends_on: [c]}\n",
        [
            "4: steps[0].kind: there is no kind 'slep'; did you mean 'sleep'?",
            "5: steps[1].input: a sleep has either for or until",
            "5: steps[1].depends_on[0]: no step is called 'c'",
        ],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def app() -> Stepflow:
    app = Stepflow("redis://localhost:1")

    @app.tool
    def send(to: str) -> None: ...

    app.definitions(scripts=True)
    return app


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_all_that_is_wrong_with_line_and_place(
    app: Stepflow, name: str
) -> None:
    """[D1] Nothing more is said than is wrong."""
    text, expected = BROKEN[name]
    found = [f"{fault}" for fault in app.definitions().faults(read_text(text, "f.yaml"))]
    said = [f"f.yaml:{each}".replace(": : ", ": ") for each in expected]
    assert len(found) == len(said), found
    for sentence, beginning in zip(sorted(found), sorted(said), strict=True):
        assert sentence.startswith(beginning), found


def test_there_are_thirty_broken_files_and_more() -> None:
    assert len(BROKEN) >= 30


def test_the_command_checks_files_and_folders_and_prints_the_schema(tmp_path: Path) -> None:
    """[D1] Without an app it knows no tools, and says nothing of them."""
    (tmp_path / "right.yaml").write_text(HEAD + A)
    (tmp_path / "wrong.yaml").write_text(BROKEN["an id twice"][0])
    tool = HEAD + "  - {id: a, kind: tool, input: {tool: theirs}}\n"
    (tmp_path / "tool.json").write_text(tool)
    checked = CliRunner().invoke(cli, ["definition", "check", str(tmp_path)])
    assert checked.exit_code == 1
    [line] = checked.stdout.splitlines()
    assert line == f"{tmp_path}/wrong.yaml:5: steps[1].id: steps[0] is called 'a' as well"
    assert checked.stderr == "1 problem; 2 of 3 files are right\n"
    data = CliRunner().invoke(cli, ["definition", "check", str(tmp_path), "--json"]).stdout
    assert (json.loads(data)[0]["line"], json.loads(data)[0]["path"]) == (5, "steps[1].id")
    schema = json.loads(CliRunner().invoke(cli, ["definition", "schema"]).stdout)
    assert "tool" in schema["$defs"]["StepSpec"]["properties"]["kind"]["enum"]


def create_account(name: str, level: int) -> None: ...
def delete_account(account: str) -> None: ...
def join_team(account: str, team: str) -> None: ...


def test_a_sound_definition_of_every_kind_has_no_fault(app: Stepflow) -> None:
    """[D1] [D6]"""
    example = Path(__file__).parents[3] / "examples" / "flows" / "onboarding.yaml"
    source = read_file(example)
    kinds = {step["kind"] for step in source.data["steps"]}
    assert kinds == set(app.definitions().known.kinds) - {"agent"}
    app = Stepflow("redis://localhost:1")
    app.definitions(scripts=True, env=["MEMBERS_TOKEN"], runners=["welcome"])
    for tool in (create_account, delete_account, join_team):
        app.tool(tool)
    assert app.definitions().faults(source) == []


def test_the_graph_is_drawn(tmp_path: Path) -> None:
    """[D10] With what a condition chooses at its ways."""
    path = tmp_path / "f.yaml"
    path.write_text(
        HEAD
        + "  - {id: c, kind: condition, input: {cases: [{when: 'input.n > 1', then: a}]}}\n"
        + "  - {id: a, kind: sleep, depends_on: [c], input: {for: 1}}\n"
    )
    drawn = CliRunner().invoke(cli, ["definition", "graph", str(path), "--mermaid"]).stdout
    assert drawn.splitlines() == [
        "stateDiagram-v2",
        "    state s0 <<choice>>",
        '    state "a<br/>sleep" as s1',
        "    [*] --> s0",
        "    s0 --> s1: input.n > 1",
    ]
    dot = CliRunner().invoke(cli, ["definition", "graph", str(path), "--dot"]).stdout
    assert '"c" -> "a" [label="input.n > 1"];' in dot
    data = json.loads(CliRunner().invoke(cli, ["definition", "graph", str(path), "--json"]).stdout)
    assert data["ways"] == [["c", "a", "input.n > 1"]]


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_folder_is_loaded_whole_or_not_at_all_wrong(tmp_path: Path) -> None:
    """[D2] Definitions may run each other, in whatever order their files come."""
    app = Stepflow("redis://localhost:1")
    one = "name: one\nsteps:\n  - {id: x, kind: run, input: {definition: two}}\n"
    two = "name: two\nsteps:\n" + A
    book = app.definitions(folder(tmp_path, a=one, b=two))
    assert set(book.known.definitions) == {"one", "two"}
    with pytest.raises(InvalidOption, match="no definition is called 'tow'; did you mean 'two'"):
        book.read("tow")
    with pytest.raises(InvalidOption, match="no such folder"):
        app.definitions("nowhere/")
    other = Stepflow("redis://localhost:1")
    with pytest.raises(InvalidDefinition) as caught:
        other.definitions(folder(tmp_path, c=two.replace("name: x", "name: y")))
    assert "definition 'two' version 1 is there twice" in caught.value.faults[0]


def test_yaml_is_read_as_json_would_have_it() -> None:
    """[D1] No key becomes true, no time a number, and aliases do not explode."""
    source = read_text("{on: off, at: 1:30, day: 2026-01-01, oct: 010, n: -1.5e3, t: true, e: ~}")
    assert source.data == {
        "on": "off", "at": "1:30", "day": "2026-01-01", "oct": "010", "n": -1500.0, "t": True,
        "e": None,
    }  # fmt: skip
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
    )
    assert "over 50,000 parts" in str(read_text(bomb).faults[0])


def test_the_definitions_of_the_documentation_are_sound() -> None:
    """[D1] Every block of YAML on its page; and a fault is named there as it is named."""
    page = (Path(__file__).parents[3] / "docs" / "definitions.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert blocks
    app = Stepflow("redis://localhost:1")
    book = app.definitions(env=["MEMBERS_TOKEN"], scripts=True)
    assert [fault for block in blocks for fault in book.faults(read_text(block))] == []
    misspelt = blocks[0].replace("kind: wait", "kind: wiat")
    [fault] = book.faults(read_text(misspelt, "flows/onboarding.yaml"))
    assert f"\n{fault}\n" in page


async def test_the_harness_runs_definitions_with_mocks(app: Stepflow) -> None:
    """[D6]"""
    definition = read_text(
        HEAD
        + "  - {id: a, kind: http, input: {url: 'http://nowhere.example/'}}\n"
        + "  - {id: b, kind: sleep, depends_on: [a], input: {for: 3d}}\n"
        + "output: '{steps.a.body}'\n"
    ).data
    async with Harness(app) as h:
        h.mock("a", {"status": 200, "body": "mocked"})
        run = await h.client.submit_definition(definition)
        await h.advance(timedelta(days=3))
        assert await h.result(run) == "mocked"


async def test_work_that_takes_too_long_says_so() -> None:
    """[D6]"""
    app = Stepflow("redis://localhost:1")

    @app.tool
    async def hangs() -> None:
        await h.sleep(timedelta(days=1))

    definition = read_text(
        HEAD + "  - {id: a, kind: tool, timeout: 30s, retry: {attempts: 1}, input: {tool: hangs}}\n"
    ).data
    async with Harness(app) as h:
        run = await h.client.submit_definition(definition)
        await h.advance(30)
        with pytest.raises(RunFailed, match="it took longer than its timeout of 30 s"):
            await h.result(run)
