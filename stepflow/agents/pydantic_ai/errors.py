"""
The errors of units: kept with the journal, raised again as what they were.

An error is kept by what pickle would keep of it, as plain values. It is made again of classes that
are loaded already, so that what stands in Redis never decides what is imported.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_ai import exceptions
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UserError
from pydantic_ai.messages import ModelResponse

from stepflow.agents.limits import resting
from stepflow.core.backoff import RetryPolicy
from stepflow.errors import PermanentError, StepError, StepFailed, StepflowError, TransientError

#: where an error's data has what it is made of again
KEPT = "pydantic_ai"
#: what pydantic-ai attaches to the error of a stream that had begun: what had come of it
_STREAMED = "_pydantic_ai_streamed_before_failing"
#: links of a chain of causes that are looked at
_DEEPEST = 5
#: statuses of 4xx that are worth another attempt
_AGAIN = frozenset({408, 409, 425, 429})
#: the one that says to come again later
_TOO_MANY = 429
#: what a step fails with whose time is up, its own or that of its place in line for a limit
_TIMED_OUT = frozenset({"TimeoutError", "LimitTimeout"})

_response = TypeAdapter(ModelResponse)
_anything: TypeAdapter[Any] = TypeAdapter(Any)


def _named(*names: str) -> tuple[type[BaseException], ...]:
    """Return those classes of pydantic-ai's errors that its installed version has."""
    found = (getattr(exceptions, name, None) for name in names)
    return tuple(kind for kind in found if isinstance(kind, type))


#: another attempt cannot help
_FOR_GOOD: tuple[type[BaseException], ...] = (
    UserError,
    *_named(
        "ModelQuotaExceededError",
        "ModelRequestRejectedError",
        "UsageLimitExceeded",
        "ContentFilterError",
        "RunCancelled",
    ),
)


def judged(error: Exception, policy: RetryPolicy) -> Exception:
    """
    Return *error* as the step is to raise it: to be tried again or not, with what it is made of.

    A provider's Retry-After is the least wait.
    """
    if isinstance(error, StepflowError):
        return error
    data = kept(error)
    if _is_for_good(error) or not policy.retries(error):
        return _as(PermanentError, error)(readable(error), data=data)
    retry_after = getattr(error, "retry_after", None)
    if isinstance(retry_after, int | float) and retry_after >= 0:
        again = cast("type[TransientError]", _as(TransientError, error))
        later = again(readable(error), retry_after=retry_after, data=data)
        return resting(later, retry_after) if _is_rate_limit(error) else later
    return _as(TransientError, error)(readable(error), data=data)


def _is_for_good(error: Exception) -> bool:
    if isinstance(error, _FOR_GOOD):
        return True
    if getattr(error, "provider_retry_hint", None) is False:
        return True
    if not isinstance(error, ModelHTTPError):
        return False
    status = error.status_code
    return (400 <= status < 500 and status not in _AGAIN) or "insufficient_quota" in str(error.body)  # noqa: PLR2004  the range of HTTP


def _is_rate_limit(error: Exception) -> bool:
    return isinstance(error, ModelHTTPError) and error.status_code == _TOO_MANY


def readable(error: BaseException) -> str:
    """Return the message of an error whose own methods may raise."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a __str__ of user code
        return type(error).__name__


#: by base and name: the error stands in histories and logs under its own name
_made: dict[tuple[type[StepError], str], type[StepError]] = {}


def _as(base: type[StepError], error: Exception) -> type[StepError]:
    """Return a class of *base* that is called as the class of *error*."""
    key = (base, type(error).__name__)
    if key not in _made:
        _made[key] = type(key[1], (base,), {"__module__": __name__})
    return _made[key]


def kept(error: BaseException) -> dict[str, Any] | None:
    """Return as plain values what *error* is made of again; None if it cannot be."""
    try:
        make, args, *state = cast("tuple[Any, ...]", error.__reduce__())
        fields = dict((state[0] if state else None) or {})
        streamed = fields.pop(_STREAMED, None)
        found = {
            "message": readable(error),
            "make": _path(make),
            "args": [_plain(arg) for arg in args],
            "state": {
                name: _plain(value)
                for name, value in fields.items()
                if not name.startswith("_pydantic_ai_")
            },
        }
        if isinstance(streamed, ModelResponse):
            found["streamed"] = _response.dump_python(streamed, mode="json")
    except Exception:  # noqa: BLE001  what pickles an error is user code as well
        return None
    return {KEPT: found} if found["make"] else None


def streamed_usage(error: BaseException | None) -> tuple[int, int]:
    """Give the tokens, in and out, that a stream has told of before it failed by *error*."""
    for _ in range(_DEEPEST):
        streamed = getattr(error, _STREAMED, None)
        if isinstance(streamed, ModelResponse):
            return streamed.usage.input_tokens, streamed.usage.output_tokens
        error = None if error is None else error.__cause__
    return 0, 0


def _path(made: Any) -> str | None:
    module, name = getattr(made, "__module__", None), getattr(made, "__qualname__", None)
    path = f"{module}:{name}"
    return path if _loaded(path) is made else None


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        return {"$class": _path(value)}
    return _anything.dump_python(value, mode="json", fallback=str)


def _loaded(path: str) -> Any:
    """Return the exception class at *path*, or a maker of pydantic-ai's, of a loaded module."""
    module, _, names = path.partition(":")
    found: Any = sys.modules.get(module)
    for name in names.split("."):
        found = getattr(found, name, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    return found if module == exceptions.__name__ and callable(found) else None


def raised(failed: StepFailed, model: str | None = None) -> BaseException:
    """
    Return what the unit that *failed* raised; *failed* itself where that cannot be made again.

    A *model* whose time was up raises an error of its API, so that a fallback takes over.
    """
    if isinstance(failed.data, Mapping) and KEPT in failed.data:
        return _made_again(failed.data[KEPT]) or failed
    if failed.error_type in _TIMED_OUT:
        return _timed_out(failed, model)
    found = getattr(builtins, failed.error_type, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found(failed.error_message)
    return failed


def _timed_out(failed: StepFailed, model: str | None) -> BaseException:
    if model is None:
        return TimeoutError(failed.error_message) if failed.error_type == "TimeoutError" else failed
    kind = getattr(exceptions, "ModelTimeoutError", ModelAPIError)
    made: BaseException = kind(model, f"the request {failed.error_message or 'took too long'}")
    return made


def _made_again(found: Mapping[str, Any]) -> BaseException | None:
    make = _loaded(found["make"])
    if make is None:
        return None
    args = [_loaded(arg["$class"]) if _is_class(arg) else arg for arg in found["args"]]
    for error in _tries(make, args):
        try:
            _restore(error, found)
        except Exception:  # noqa: BLE001,S112  user code; the plainer way is next
            continue
        if readable(error) == found.get("message"):
            return error
    return None


def _is_class(arg: Any) -> bool:
    return isinstance(arg, Mapping) and set(arg) == {"$class"} and arg["$class"] is not None


def _tries(make: Any, args: list[Any]) -> Iterator[BaseException]:
    """Make the error as pickle does, else without its constructor."""
    try:
        made = make(*args)
    except Exception:  # noqa: BLE001  a constructor of user code
        made = None
    if isinstance(made, BaseException):
        yield made
    if isinstance(make, type):
        kind: type[BaseException] = make
        bare = kind.__new__(kind)
        bare.args = tuple(args)
        yield bare


def _restore(error: BaseException, found: Mapping[str, Any]) -> None:
    state = found.get("state")
    if state:
        error.__setstate__(state)
    if found.get("streamed"):
        setattr(error, _STREAMED, _response.validate_python(found["streamed"]))
