"""
What a fresh machine needs, with nothing but Python.

`python3 dev.py demo` and `python3 dev.py test`.

The first call makes `.venv` and installs the project, by uv when it is on PATH, else by venv and
pip; later calls see that nothing has changed. A Python without ensurepip (Debian without
python3-venv) borrows the machine's pip, else fetches one from the index in PIP_INDEX_URL, checked
against the index's hash; else it says what to install.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "stepflow-installed"

#: test processes: one more than the cores of a small machine, for tests wait as often as they
#: compute
TESTERS = max(3, os.cpu_count() or 1)
COMMANDS = {
    "demo": [["stepflow", "demo"]],
    "test": [["python", "-m", "pytest", "-n", str(TESTERS), "--dist", "loadfile"]],
    "lint": [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]],
    "docs": [["sphinx-build", "--fail-on-warning", "--keep-going", "docs"]],
    "bench": [["python", "-m", "benchmarks"]],
    "chaos": [["python", "-m", "tests.crash.chaos"]],
    "shell": [["python", "-i", "-c", "import stepflow"]],
}
#: what a command gets that is called without arguments
DEFAULTS = {"docs": ["build/docs"]}


def main(arguments: list) -> None:
    """
    Make the environment if need be, then turn into the command.

    Lint runs all its parts and sums up.
    """
    if not arguments or arguments[0] not in COMMANDS:
        sys.exit(f"usage: python3 dev.py {'|'.join(COMMANDS)} [arguments]")
    if sys.version_info < (3, 11):
        start_over_with_a_newer_python(arguments)
    install()
    os.chdir(str(ROOT))
    programs = [[str(VENV / "bin" / program), *fixed] for program, *fixed in COMMANDS[arguments[0]]]
    if len(programs) > 1:
        sys.exit(max(subprocess.call(program) for program in programs))
    os.execv(programs[0][0], programs[0] + (arguments[1:] or DEFAULTS.get(arguments[0], [])))


def start_over_with_a_newer_python(arguments: list) -> None:
    """Run this file again under the first good interpreter on PATH, or say what is missing."""
    for name in [f"python3.{minor}" for minor in range(15, 10, -1)]:
        path = shutil.which(name)
        # A name on PATH may be a stand-in for a version that is not installed: ask it.
        if path and quietly([path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]):
            os.execv(path, [path, str(ROOT / "dev.py"), *arguments])
    sys.exit(
        f"stepflow needs Python 3.11 or newer; this is {sys.version.split()[0]}, and PATH has none."
    )


def install() -> None:
    """Bring `.venv` up to date with pyproject.toml and this interpreter; instant when it is."""
    interpreter = f"{sys.base_prefix} {sys.version}".encode()
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + interpreter).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    print(
        f"installing into .venv with Python {sys.version.split()[0]} ...",
        file=sys.stderr,
        flush=True,
    )
    if not (shutil.which("uv") and install_by_uv()):
        install_by_pip()
    STAMP.write_text(wanted)


def install_by_uv() -> bool:
    """
    Install by uv.

    False when that did not work, for pip may be set up for an index that uv does not know.
    """
    command = ["uv", "sync", "--quiet", "--extra", "all", "--python", sys.executable]
    settings = {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_SYSTEM_CERTS": "1"}
    return subprocess.call(command, cwd=str(ROOT), env={**os.environ, **settings}) == 0


def install_by_pip() -> None:
    """Install by venv and pip; pip 25.1 is the first that knows dependency groups."""
    good = [str(PYTHON), "-c", "import pip, sys; sys.exit(sys.version != sys.argv[1])", sys.version]
    if not (PYTHON.exists() and quietly(good)):
        run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)])
        if not quietly([str(PYTHON), "-m", "ensurepip"]):
            borrow_pip()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    run([*pip, "pip>=25.1"])
    run([*pip, "--editable", ".[all]", "--group", "dev"])


def borrow_pip() -> None:
    """
    Install pip without ensurepip.

    By a pip that this machine has, or from the index that PIP_INDEX_URL names.
    """
    if quietly([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"]):
        return
    if not os.environ.get("PIP_INDEX_URL"):
        sys.exit(
            "this Python has neither ensurepip nor pip; install python3-venv (Debian), "
            "python3-pip or uv, "
            "or set PIP_INDEX_URL to your package index, and run this again"
        )
    index = os.environ["PIP_INDEX_URL"].rstrip("/") + "/pip/"
    with urlopen(index) as page:
        wheels = re.findall(
            r'href="([^"]*/(pip-([\d.]+)-py3-none-any\.whl)#sha256=(\w+))"', page.read().decode()
        )
    address, name, _, digest = max(
        wheels, key=lambda wheel: [int(part) for part in wheel[2].split(".")]
    )
    with urlopen(urljoin(index, address)) as wheel:
        content = wheel.read()
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit(f"the package index sent another {name} than it announced; try again")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        run([str(PYTHON), f"{file}/pip", "install", "--quiet", "--no-index", str(file)])


def quietly(command: list) -> bool:
    """Tell whether a command succeeds, and nothing else."""
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def run(command: list) -> None:
    """Run one step of the installation; its failure is ours."""
    if subprocess.call(command, cwd=str(ROOT)) != 0:
        sys.exit(f"the installation stopped at: {' '.join(command)}")


if __name__ == "__main__":
    main(sys.argv[1:])
