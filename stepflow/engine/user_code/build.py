"""
Builds: which code a process has for a runner, known by a digest of it.

Two processes of one deploy have the same build, those of another deploy have another one.
"""

from __future__ import annotations

import inspect
import platform
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

#: hex digits of a build
DIGITS = 12
#: folders that hold what others wrote: of these only the package of the function itself counts
_INSTALLED = {"site-packages", "dist-packages"}
#: values inside a function that are written the same in every process
_PLAIN = (str, bytes, int, float, bool, complex, type(None))


def build_of(function: Callable[..., Any]) -> str:
    """
    Return the build of a runner: a digest of its code and of the source files around it.

    These are the files of the modules that are loaded from the same folder, so that a change in a
    helper makes another build, too. Costs milliseconds once in a process, then microseconds.
    """
    digest = blake2b(f"{_own_version()} {platform.python_version()}".encode())
    modules: set[str] = set()
    for part in _parts(function, modules, set()):
        digest.update(f"{len(part)}:".encode() + part)
    for module in sorted(modules):
        digest.update(_tree(module))
    return digest.hexdigest()[:DIGITS]


def _own_version() -> str:
    try:
        return version("stepflow-rq")
    except PackageNotFoundError:  # its files alone were copied
        return ""


def _parts(value: Any, modules: set[str], seen: set[int]) -> Iterator[bytes]:
    """Go through all that says what a function does, and note the *modules* that it is from."""
    if isinstance(value, FunctionType | CodeType):  # a function may hold itself
        if id(value) in seen:
            return
        seen.add(id(value))
    if isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, CodeType):
        yield from _code(value, modules, seen)
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item, modules, seen)
    elif isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif isinstance(value, frozenset):
        yield repr(sorted(map(repr, value))).encode()
    elif isinstance(value, partial):
        yield from _parts((value.func, *value.args), modules, seen)
    elif inspect.ismethod(value):
        yield from _parts(value.__func__, modules, seen)
        modules.add(type(value.__self__).__module__)
        yield from _parts(getattr(value.__self__, "function", None), modules, seen)
    elif isinstance(value, FunctionType):
        modules.add(value.__module__)
        cells = [_content(cell) for cell in value.__closure__ or ()]
        hints = tuple(item for pair in value.__annotations__.items() for item in pair)
        wrapped = getattr(value, "__wrapped__", None)
        inside = (value.__code__, value.__defaults__, wrapped, hints, *cells)
        yield from _parts(inside, modules, seen)


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
    file = getattr(sys.modules.get(module), "__file__", None)
    top = module.partition(".")[0]
    if file is None or top == "stepflow":  # its version stands for it
        return module.encode()
    root = Path(file).resolve().parents[_depth(module, file)]
    return _files_under(root, top if root.name in _INSTALLED else "")


@lru_cache(maxsize=64)
def _files_under(root: Path, top: str) -> bytes:
    """Digest the source of the loaded modules below *root*, only those of package *top* if any."""
    digest = blake2b(digest_size=16)
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or (top and name.partition(".")[0] != top):
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


def _depth(module: str, file: str) -> int:
    """Count the folders between a module's file and the folder that is on the path."""
    is_package = Path(file).stem == "__init__"
    return module.count(".") + is_package
