"""What a program calls `__main__`, a worker imports by its name: both mean the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import until_blocking

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]

APP = """
import sys
from stepflow import Client, RetryPolicy, Stepflow, Succeed

app = Stepflow()

class Flaky(Exception):
    pass

@app.step
def fetch():
    return 1

@app.job
def double(number: int) -> int:
    return 2 * number

@app.job(retry=RetryPolicy(max_attempts=2, initial=0.01, retry_on=Flaky))
def never(number: int) -> int:
    raise KeyError(number)

@app.runner("flaky")
async def flaky(step):
    if step.attempt == 1:
        raise Flaky
    return Succeed("at last")

if __name__ == "__main__" and sys.argv[1:] == ["names"]:
    print(*app.registry.runners)
elif __name__ == "__main__":
    print(double.submit_blocking(21).result(timeout=20))
    policy = RetryPolicy(max_attempts=2, initial=0.01, retry_on=Flaky)
    print(app.client.submit("flaky", retry=policy).result(timeout=20))
"""
PROMPT = """
from stepflow import RetryPolicy, Stepflow, StepflowError

app = Stepflow()

class Flaky(Exception):
    pass

@app.job
def double(number: int) -> int:
    return 2 * number

print(double(2))
for submit in (
    lambda: double.submit_blocking(2),
    lambda: app.client.submit("x", retry=RetryPolicy(give_up_on=Flaky)),
):
    try:
        submit()
    except StepflowError as error:
        print(error)
"""


@pytest.fixture
def python(tmp_path, url):
    """Run Python in a folder that has the app as `mine.py`, and in a package as `shop/mine.py`."""
    (tmp_path / "mine.py").write_text(APP)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "mine.py").write_text(APP)
    kept = {name: value for name, value in os.environ.items() if "REDIS_URL" not in name}
    env = {**kept, "PYTHONPATH": str(ROOT), "STEPFLOW_REDIS_URL": url}

    def start(*args):
        return subprocess.Popen(
            [sys.executable, *args], cwd=tmp_path, env=env, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return start


def said(process, stdin=None):
    out, err = process.communicate(stdin, timeout=60)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["mine.py"], "mine"),
        (["-m", "mine"], "mine"),
        (["shop/mine.py"], "shop.mine"),
        (["-m", "shop.mine"], "shop.mine"),
    ],
)
def test_a_program_names_its_functions_as_a_worker_imports_them(python, command, module):
    """[U8]"""
    names = said(python(*command, "names")).split()
    imported = f"from {module} import app; print(*app.registry.runners)"
    assert names == said(python("-c", imported)).split()
    assert names[:2] == [f"step:{module}.fetch", f"{module}.double"]


def test_a_program_and_its_worker_mean_the_same_functions_and_exceptions(python, client):
    """[U8]"""
    worker = python("-m", "stepflow", "worker", "mine:app")
    try:
        until_blocking(lambda: worker.poll() is not None or client.workers())
        assert said(python("mine.py")) == "42\nat last\n"
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


@pytest.mark.parametrize("how", [["-c", PROMPT], ["-"]])
def test_what_no_worker_can_import_is_refused_at_submit(python, how):
    """[U8] As of a notebook; the function itself works here."""
    local, job, policy = said(python(*how), None if how[0] == "-c" else PROMPT).splitlines()
    assert local == "4"
    assert job.startswith("job 'double' is defined in a notebook or at a prompt")
    assert "give_up_on of RetryPolicy holds Flaky, which is defined in a notebook" in policy
