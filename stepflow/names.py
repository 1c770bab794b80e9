"""
The names by which another process imports what you defined.

Python calls the module that it runs `__main__`, in every program another one: `python app.py` and a
worker of `app:app` would mean the same function by two names.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

#: what the module that runs is called, and in a child that multiprocessing spawned
_MAIN = ("__main__", "__mp_main__")


def dotted_name(thing: Any) -> str:
    """
    Return the module and the qualified name of a function or class.

    `__main__` stands in it only for what no other process can import.
    """
    return f"{_module_of(thing)}.{thing.__qualname__}"


def is_importable(dotted: str) -> bool:
    """Whether others can import what `dotted_name` gave: it is of no notebook or prompt."""
    return not dotted.startswith("__main__.")


def _module_of(thing: Any) -> str:
    module: str = thing.__module__
    if module not in _MAIN:
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return _module_called(None if spec is None else spec.name, getattr(main, "__file__", None))


@lru_cache
def _module_called(name: str | None, file: str | None) -> str:
    """
    Return what a module is imported as that runs as *name* (`python -m`), or from *file*.

    A file in a package is imported as a part of it, any other by its own name.
    """
    if name is not None and name not in _MAIN:
        return name
    path = None if file is None else Path(file).resolve()
    if path is None or not path.is_file() or "." in path.stem:
        return "__main__"
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)
