"""The query options of a Redis URL: their names, their values, and errors that name them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl

#: the largest database number a server can have
_MOST_DATABASES = 2**31 - 1
_NO, _YES = ("false", "no", "0", "off"), ("true", "yes", "1", "on")
_REQUIREMENTS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def _text(value: str) -> str:
    return value


def _number(value: str) -> str:
    if not (value.isascii() and value.isdigit() and int(value) <= _MOST_DATABASES):
        msg = f"is {value!r}, no number of a database"
        raise ValueError(msg)
    return value


def _file(value: str) -> str:
    if not Path(value).is_file():
        msg = f"is {value!r}, and there is no such file"
        raise ValueError(msg)
    return value


def _folder(value: str) -> str:
    if not Path(value).is_dir():
        msg = f"is {value!r}, and there is no such folder"
        raise ValueError(msg)
    return value


def _boolean(value: str) -> str:
    if value.lower() not in _NO + _YES:
        msg = f"is {value!r}; write true or false"
        raise ValueError(msg)
    return "true" if value.lower() in _YES else "false"


def _requirement(value: str) -> str:
    plain = value.lower().removeprefix("cert_")
    if plain not in _REQUIREMENTS:
        msg = f"is {value!r}; write {', '.join(_REQUIREMENTS)}"
        raise ValueError(msg)
    return plain


#: every option, and the function that validates and normalizes its value
OPTIONS: Mapping[str, Callable[[str], str]] = {
    "db": _number,
    "username": _text,
    "password": _text,
    "sentinel_username": _text,
    "sentinel_password": _text,
    "ssl_ca_certs": _file,
    "ssl_ca_path": _folder,
    "ssl_cert_reqs": _requirement,
    "ssl_certfile": _file,
    "ssl_check_hostname": _boolean,
    "ssl_keyfile": _file,
    "ssl_password": _text,
}


def read_options(query: str, *, tls: bool, sentinel: bool) -> dict[str, str]:
    """
    Parse the query of a Redis URL into options.

    Raises ValueError with the name of the option and what is wrong with it.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise ValueError(_unknown(name))
        if name in found:
            msg = f"option {name!r} is given twice"
            raise ValueError(msg)
        if name.startswith("ssl_") and not tls:
            msg = f"option {name!r} is for TLS: write rediss:// for it"
            raise ValueError(msg)
        if name.startswith("sentinel_") and not sentinel:
            msg = f"option {name!r} is for redis+sentinel:// URLs"
            raise ValueError(msg)
        if not value and OPTIONS[name] is not _text:
            msg = f"option {name!r} is empty"
            raise ValueError(msg)
        try:
            found[name] = OPTIONS[name](value)
        except ValueError as error:
            msg = f"option {name!r} {error}"
            raise ValueError(msg) from None
    return found


def _unknown(name: str) -> str:
    [*near] = get_close_matches(name, OPTIONS, n=1, cutoff=0.7)
    if near:
        return f"there is no option {name!r}; did you mean {near[0]!r}?"
    hint = (
        "; time limits are settings, STEPFLOW_REDIS_..._S"
        if "timeout" in name or "retry" in name
        else ""
    )
    return f"there is no option {name!r}; there are {', '.join(OPTIONS)}{hint}"


def tls_context(options: Mapping[str, str]) -> ssl.SSLContext:
    """
    Build the TLS context from the `ssl_*` options.

    Raises ValueError when their files cannot be read or do not match.
    """
    try:
        context = ssl.create_default_context(
            cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path")
        )
        requirement = _REQUIREMENTS[options.get("ssl_cert_reqs", "required")]
        if requirement is not ssl.CERT_REQUIRED or options.get("ssl_check_hostname") == "false":
            context.check_hostname = False
        context.verify_mode = requirement
        if "ssl_certfile" in options:
            # without a password, OpenSSL would ask for that of an encrypted key on the terminal
            password = options.get("ssl_password", "")
            context.load_cert_chain(
                options["ssl_certfile"], options.get("ssl_keyfile"), lambda: password
            )
        elif "ssl_keyfile" in options:
            msg = "option 'ssl_keyfile' needs 'ssl_certfile'"
            raise ValueError(msg)
    except (ssl.SSLError, OSError) as error:
        msg = (
            f"the files of its ssl_ options do not fit ({getattr(error, 'reason', None) or error})"
        )
        raise ValueError(msg) from None
    return context
