"""
Builds: which code a process has for a runner, known by a digest of it.

Two processes of one deploy have the same build, those of another deploy have another one.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

#: hex digits of a build
DIGITS = 12
#: folders that hold what others wrote: of these only the package of the function itself counts
_INSTALLED = {"site-packages", "dist-packages"}
#: the packages for which a version stands: of Python, and our own
_VERSIONED = sys.stdlib_module_names - {"__main__"} | {"stepflow"}
#: values inside a function that are written the same in every process
_PLAIN = (str, bytes, int, float, bool, complex, type(None))


def build_of(function: Callable[..., Any]) -> str:
    """
    Return the build of a runner: a digest of its code and of the source files around it.

    These are the files of the modules that are loaded from the same folder, so that a change in a
    helper makes another build, too. Costs milliseconds once in a process, then microseconds. What
    user code holds never makes it raise: a worker needs it to start.
    """
    digest = blake2b(f"{_own_version()} {platform.python_version()}".encode())
    modules: set[str] = set()
    for part in _parts(function, modules, set()):
        digest.update(f"{len(part)}:".encode() + part)
    for module in sorted(modules):
        digest.update(_tree(module))
    return digest.hexdigest()[:DIGITS]


@cache
def _own_version() -> str:
    try:
        return version("stepflow-rq")
    except PackageNotFoundError:  # its files alone were copied
        return ""


def _parts(value: Any, modules: set[str], seen: set[int]) -> Iterator[bytes]:
    """Go through all that says what a function does, and note the *modules* that it is from."""
    kind = type(value)  # isinstance would ask a proxy, which may raise
    if issubclass(kind, FunctionType | CodeType | partial):  # a function may hold itself
        if id(value) in seen:
            return
        seen.add(id(value))
    if kind in _PLAIN:
        yield repr(value).encode()
    elif kind is CodeType:
        yield from _code(value, modules, seen)
    elif kind is tuple:
        for item in value:
            yield from _parts(item, modules, seen)
    elif issubclass(kind, type):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif kind is frozenset:
        yield repr(sorted(map(repr, value))).encode()
    else:
        yield from _callable(value, modules, seen)


def _callable(value: Any, modules: set[str], seen: set[int]) -> Iterator[bytes]:
    kind = type(value)
    if issubclass(kind, partial):
        yield from _parts((value.func, *value.args), modules, seen)
    elif kind is MethodType:
        yield from _parts(value.__func__, modules, seen)
        owner = type(value.__self__)
        _add_module(owner, modules)
        if str(owner.__module__).partition(".")[0] == "stepflow":  # what it calls is yours
            yield from _parts(getattr(value.__self__, "function", None), modules, seen)
    elif kind is FunctionType:
        _add_module(value, modules)
        cells = [_content(cell) for cell in value.__closure__ or ()]
        wrapped = value.__dict__.get("__wrapped__")
        inside = (value.__code__, value.__defaults__, wrapped, _hints(value), *cells)
        yield from _parts(inside, modules, seen)


def _add_module(thing: Any, modules: set[str]) -> None:
    if isinstance(thing.__module__, str):  # made by `exec` or a mock, it has none
        modules.add(thing.__module__)


def _hints(function: FunctionType) -> tuple[Any, ...]:
    try:
        return tuple(item for pair in function.__annotations__.items() for item in pair)
    except Exception:  # noqa: BLE001  from Python 3.14 on it is user code that runs here
        return ()


def _code(code: CodeType, modules: set[str], seen: set[int]) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_name, code.co_names, code.co_varnames)).encode()
    yield from _parts(code.co_consts, modules, seen)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


@lru_cache(maxsize=256)
def _tree(module: str) -> bytes:
    """Digest the source files that are loaded from the folder in which the root of *module* is."""
    file = _file_of(sys.modules.get(module))
    top = module.partition(".")[0]
    if not isinstance(file, str) or top in _VERSIONED:
        return module.encode()
    parents = Path(file).resolve().parents
    depth = _depth(module, file)
    if depth >= len(parents):  # a module by another name than its file has
        return module.encode()
    root = parents[depth]
    return _files_under(root, top if root.name in _INSTALLED else "")


@lru_cache(maxsize=64)
def _files_under(root: Path, top: str) -> bytes:
    """Digest the source of the loaded modules below *root*, only those of package *top* if any."""
    digest = blake2b(digest_size=16)
    for name, module in sorted(sys.modules.copy().items(), key=itemgetter(0)):
        first = name.partition(".")[0]
        path = None if first in _VERSIONED or (top and first != top) else _file_of(module)
        if not isinstance(path, str):
            continue
        where = Path(path)
        if not where.is_relative_to(root) or _INSTALLED & set(where.relative_to(root).parts):
            continue
        try:
            source = where.read_bytes()
        except OSError:  # out of an archive, or gone: its name has to do
            source = b""
        digest.update(f"{name} {len(source)} ".encode() + source)
    return digest.digest()


def _file_of(module: Any) -> Any:
    try:
        return getattr(module, "__file__", None)
    except Exception:  # noqa: BLE001  a module that is loaded when it is first used may raise
        return None


def _depth(module: str, file: str) -> int:
    """Count the folders between a module's file and the folder that is on the path."""
    is_package = Path(file).stem == "__init__"
    return module.count(".") + is_package
