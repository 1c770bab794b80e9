"""What type checkers make of calls of the public API: mypy and pyright, both strict."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.examples.pages import WALKTHROUGHS, python_blocks

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
USES = [HERE / "uses.py", HERE / "machines.py"]
APPROVAL = ROOT / "docs" / "tutorial" / "approval.md"
#: handlers of web frameworks, which examples leave without types
FRAMEWORKS = re.compile(r"^(?:import|from) (?:django|fastapi|flask)\b", re.MULTILINE)


def is_typed(example):
    """Examples are short, and typed where they are workflows or ask for resources."""
    source = example.read_text()
    has_types = "@app.workflow" in source or "inject(" in source
    return has_types and not FRAMEWORKS.search(source)


EXAMPLES = [path for path in sorted((ROOT / "examples").rglob("*.py")) if is_typed(path)]
FILES = [*USES, *EXAMPLES]

#: rules of basedpyright that pyright does not have are off in its mode "strict"
PYRIGHT = {
    "include": [str(path) for path in FILES],
    "extraPaths": [str(ROOT)],
    "typeCheckingMode": "strict",
    "pythonVersion": f"{sys.version_info.major}.{sys.version_info.minor}",
}


def marked():
    return {
        (file.name, number)
        for file in USES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.endswith("# error")
    }


def run(*command, **environment):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def by_mypy(tmp_path):
    done = run("mypy", "--strict", "--no-error-summary", *map(str, FILES))
    found = re.findall(r"^([^:\n]+):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [(Path(file).name, int(line), message) for file, line, message in found]


def by_pyright(tmp_path):
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps(PYRIGHT))
    done = run("basedpyright", "-p", str(settings), "--outputjson", "--pythonpath", sys.executable)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES)
    return [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"])
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    ]


@pytest.mark.crash  # half a minute
@pytest.mark.parametrize(
    ("module", "check"), [("mypy", by_mypy), ("basedpyright", by_pyright)], ids=["mypy", "pyright"]
)
def test_right_calls_have_their_types_and_wrong_ones_are_reported(module, check, tmp_path):
    """[U1] [K12] Each line marked as an error is one for both; no other is, in examples, too."""
    if find_spec(module) is None and not os.environ.get("CI"):
        pytest.skip(f"{module} is not installed")
    found = check(tmp_path)
    expected = marked()
    unexpected = [each for each in found if each[:2] not in expected]
    assert unexpected == []
    assert expected - {each[:2] for each in found} == set()


def test_a_wrong_call_is_marked_for_each_kind_of_call():
    """[U1] The file does not lose its wrong calls."""
    assert len(marked()) > 40


@pytest.mark.crash
def test_what_the_readme_and_the_tutorial_have_a_reader_write_is_typed(tmp_path):
    """Their files, each as the last page that writes it has it."""
    for page in WALKTHROUGHS:
        folder = tmp_path / ("readme" if page.name == "README.md" else "tutorial")
        folder.mkdir(exist_ok=True)
        for block in python_blocks(page):
            (folder / str(block.file)).write_text(block.text)
    (tmp_path / "tutorial" / "orders.py").write_text(
        next(block.text for block in python_blocks(APPROVAL) if block.file == "orders.py")
    )
    for folder in ("readme", "tutorial"):
        files = sorted(map(str, (tmp_path / folder).glob("*.py")))
        done = run(
            "mypy", "--strict", "--no-error-summary", *files, MYPYPATH=str(tmp_path / folder)
        )
        assert (done.stdout, done.returncode) == ("", 0)
