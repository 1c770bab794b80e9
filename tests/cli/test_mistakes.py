import re
import signal

import pytest

from tests.support import until_blocking

MISTAKES = {
    "submit etl {oops": (2, "not JSON"),
    "submit etl kite": (2, """text has quotes of its own: '"kite"'"""),
    "submit etl 1e999": (2, "larger than any number that is kept"),
    "submit etl -5": (2, "What begins with - stands behind --"),
    "submit etl NaN": (2, "NaN is none of JSON's values"),
    "answer a.1 yes": (2, """write true, or as text: '"yes"'"""),
    "signal a paid None": (2, "write null"),
    "submit etl 1 --id a/b": (2, "is not valid"),
    "submit etl 1 --header k": (2, "not key=value"),
    "submit etl 1 --header workflow.x=1": (2, "reserved"),
    "submit etl 1 --queue a.b": (2, "queue name"),
    "submit etl 1 --delay soon": (2, "no duration"),
    "submit etl 1 --delay 1e30": (2, "no duration"),
    "submit etl 1 --delay nan": (2, "no duration"),
    "submit etl 1 --timeout -5": (2, "no duration"),
    "submit etl 1 --timeout 10000000000d": (2, "from 0 to 9,000,000,000 s"),
    f"submit etl 1 --delay {'9' * 400}": (2, "from 0 to 9,000,000,000 s"),
    "result a --timeout inf": (2, "no duration"),
    "list --cursor nan|a": (2, "is not the cursor"),
    "list --cursor 1e300|a": (2, "is not the cursor"),
    "submit etl 1 --webhook ftp://x": (2, "refused"),
    "submit etl 1 --webhook http://x/ --webhook-secret-env UNSET_VARIABLE": (
        2,
        "UNSET_VARIABLE is not set",
    ),
    "list --cursor nonsense": (2, "is not the cursor"),
    "list --state sleeping": (2, "sleeping"),
    "list --namespace a.b": (2, "namespace"),
    "show nobody": (5, "there is no"),
    "show a*": (2, "is not valid"),
    "result nobody": (5, "there is no"),
    "watch nobody": (5, "there is no"),
    "cancel nobody": (5, "there is no"),
    "retry nobody": (5, "there is no"),
    "hooks redeliver nothing": (5, "there is no"),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence_and_an_exit_code(run, line):
    code, part = MISTAKES[line]
    result = run(*line.split(" "))
    assert (result.exit_code, result.stdout) == (code, "")
    assert part in result.stderr
    assert "Traceback" not in result.stderr


BROKEN_APPS = {
    "syntax.py": ("x = (", "SyntaxError"),
    "crash.py": (
        "def f():\n    return 1 / 0\nf()",
        "ZeroDivisionError: division by zero (crash.py, line 2)",
    ),
    "library.py": (
        "import json\njson.loads('{')",
        "JSONDecodeError: Expecting property name enclosed in double quotes",
    ),
    "exits.py": ("raise SystemExit(0)", "SystemExit"),
    "needs.py": ("import not_there_at_all", "not_there_at_all"),
    "empty.py": ("", "no Stepflow object called 'app'"),
}


@pytest.mark.parametrize("name", BROKEN_APPS)
def test_an_app_that_cannot_be_loaded_is_said_in_one_sentence(program, folder, name):
    source, part = BROKEN_APPS[name]
    (folder / name).write_text(source)
    result = program("worker", f"{name.removesuffix('.py')}:app")
    assert result.returncode == 2
    *traceback, sentence = result.stderr.strip().splitlines()
    assert part in sentence
    assert not any("stepflow" in line for line in traceback)


def test_an_app_that_raises_shows_the_users_own_traceback(program, folder):
    """[U21] From their first frame on, with those of libraries folded."""
    (folder / "lib.py").write_text("import json\n\ndef load():\n    return json.loads('{')\n")
    (folder / "top.py").write_text("import lib\n\nCONFIG = lib.load()\n")
    said = program("worker", "top:app").stderr
    lines = [line for line in said.splitlines() if "^" not in line]
    assert lines[:6] == [
        "Traceback (most recent call last):",
        f'  File "{folder}/top.py", line 3, in <module>',
        "    CONFIG = lib.load()",
        f'  File "{folder}/lib.py", line 4, in load',
        "    return json.loads('{')",
        "  … 3 frames of libraries",
    ]
    assert lines[-1].startswith("error: cannot load app 'top:app': importing it raised JSONDecode")
    assert lines[-1].endswith("(lib.py, line 4); correct it and try again")


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("nowhere:app", "write it as package.module:app"),
        ("capp", "did you mean capp:app?"),
        ("capp.py", "did you mean capp:app?"),
        ("capp.py:app", "did you mean capp:app?"),
        ("./shop/more.py", "did you mean shop.more:app?"),
        ("cap:app", "did you mean capp:app?"),
        ("capp:nothing", "did you mean capp:app?"),
    ],
)
def test_an_app_that_is_not_there_is_said_in_one_sentence(program, target, meant):
    """[U21]"""
    result = program("worker", target)
    assert result.returncode == 2
    assert "cannot load app" in result.stderr
    assert result.stderr.strip().endswith(meant)


def test_a_runner_that_the_named_app_does_not_have_is_refused(program):
    result = program("submit", "nope", "1", "-A", "capp:app")
    assert result.returncode == 2
    assert "known: countdown, fails, waits" in result.stderr


@pytest.mark.parametrize(
    "verb", [["list"], ["submit", "etl"], ["worker", "capp:app"], ["show", "a"]]
)
def test_an_unreachable_redis_exits_7_and_hides_the_password(program, verb):
    result = program(
        *verb, "--redis-url", "redis://:hush@127.0.0.1:1/0", STEPFLOW_REDIS_RETRY_FOR_S="0"
    )
    assert result.returncode == 7, result.stderr
    assert "does not answer" in result.stderr
    assert "hush" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_setting_that_does_not_fit_is_named_with_its_variable(program):
    result = program("list", STEPFLOW_WORKER_CONCURRENCY="many")
    assert result.returncode == 2
    assert "STEPFLOW_WORKER_CONCURRENCY" in result.stderr
    assert "Traceback" not in result.stderr


def test_config_shows_no_password_and_a_flag_beats_the_environment_beats_the_file(program, folder):
    (folder / "stepflow.toml").write_text(
        "[worker]\nconcurrency = 7\nprocesses = 3\n[redis]\nurl = 'redis://file/0'\n"
    )
    shown = program(
        "config", "show", STEPFLOW_WORKER_PROCESSES="4", STEPFLOW_REDIS_URL="redis://u:hush@env/0",
        STEPFLOW_ARCHIVE_URL="postgresql://u:hush@db/h",
    ).stdout  # fmt: skip
    assert re.search(r"worker.concurrency +7 ", shown)
    assert re.search(r"worker.processes +4 ", shown)
    assert "redis://***@env/0" in shown
    assert "postgresql://***@db/h" in shown
    flagged = program("config", "show", "--redis-url", "redis://u:hush@flag/0").stdout
    assert "redis://***@flag/0" in flagged
    assert "hush" not in shown + flagged


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "redis://u:my hush word@h:x/0"], ["list", "redis://u:my", "hush@h"],
        ["redis://u:hush@h"], ["list", "--redis-url", "redis://u:my hush w@h:x"],
        ["--limit=redis://u:hush@h", "list"], ["list", "--limit", "redis://u:it's hush@h"],
        ["list", "--redis-url", "redis://u:a?hush@h"],
    ],
)  # fmt: skip
def test_a_command_line_that_is_wrong_does_not_show_the_password_in_it(program, arguments):
    """[B22]"""
    result = program(*arguments)
    assert result.returncode == 2
    assert "hush" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_while_waiting_exits_130_and_says_that_the_run_goes_on(start, url, client, real):
    client.submit("waits", run_id="a1")
    process = start("result", "a1", STEPFLOW_REDIS_URL=url)
    until_blocking(lambda: real.pubsub_channels("*done:a1"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "run a1 goes on" in err
    assert client.status("a1").state == "pending"
