"""JSON from outside: measured before it is read, and read without guesses.

`json.loads` lets pass what no sender means: doubled keys (the last wins), NaN, numbers that become
infinite, lone surrogates, nesting that ends the interpreter's stack. Here each is an error.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from find_core.errors import FindError
from find_core.support.printable import quoted, shown

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_JSON_CHARS = 16 * 2**20
"""Of one document; most of it may be inline images."""
MAX_JSON_VALUES = 100_000
"""Of one document: each costs some hundred bytes once it is read, one character as text."""
MAX_DEPTH = 32


def parse_json(
    text: str | bytes,
    what: str,
    error: type[FindError],
    *,
    max_chars: int = MAX_JSON_CHARS,
    max_values: int = MAX_JSON_VALUES,
) -> Any:
    """Read one JSON document.

    Args:
        text: UTF-8 where it is bytes; a byte order mark is skipped. what: names it in errors.

    Raises:
        error: no JSON, too large, too deep, doubled keys, numbers that are not finite.
    """
    if len(text) > max_chars:
        raise error(f"{what} has {len(text)} characters, more than {max_chars}: send less.")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise error(
                f"{what} is not UTF-8 ({problem.reason} at byte {problem.start})."
            ) from None
    text = text.removeprefix("\ufeff")
    if text.count(",") + text.count("[") + text.count("{") > max_values:
        raise error(f"{what} has more than {max_values} values: send less.")
    try:
        data = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_float=_finite_float,
            parse_int=_finite_int,
        )
    except RecursionError:
        raise error(f"{what} is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as problem:
        raise error(f"{what} is not JSON: {shown(problem, 120)}.") from None
    check_json(data, what, error)
    return data


def check_json(data: Any, what: str, error: type[FindError]) -> None:
    """Refuse decoded JSON that is too deep, or holds lone surrogates or numbers that are not finite.

    Raises:
        error: with a sentence that says which.
    """
    waiting = [(data, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise error(f"{what} is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, str):
            _check_text(value, what, error)
        elif isinstance(value, dict):
            for key in value:
                _check_text(str(key), what, error)
            waiting += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(v, depth + 1) for v in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise error(f"{what} holds a number that is not finite: {value}.")


def check_schema(data: Any, schema: str, what: str, error: type[FindError]) -> None:
    """Compare decoded JSON with a schema of `find_core.schemas`.

    Raises:
        error: the first thing that the schema refuses, where it stands and what would be right.
    """
    problem = next(_validator(schema).iter_errors(data), None)
    if problem is not None:
        raise error(_sentence(problem, what))


@functools.cache
def _validator(schema: str) -> Validator:
    from jsonschema import Draft202012Validator  # here: commands that read no JSON start faster

    from find_core.schemas import load_schema

    return Draft202012Validator(load_schema(schema))


def _sentence(problem: Any, what: str) -> str:
    """One sentence of a jsonschema error; its own repeats whole documents."""
    place = "".join(
        f"[{p}]" if isinstance(p, int) else f".{shown(p, 40)}" for p in problem.absolute_path
    )
    where = f"{what}: {place.lstrip('.')}" if place else what
    rule, wanted, value = problem.validator, problem.validator_value, problem.instance
    if rule == "required":
        return f"{where} has no {quoted(next(k for k in wanted if k not in value))}."
    if rule == "additionalProperties":
        known = problem.schema.get("properties", {})
        unknown = next(k for k in value if k not in known)
        return f"{where} has an unknown key {quoted(unknown)} (known: {', '.join(known)})."
    if rule in ("minProperties", "maxProperties"):
        names = ", ".join(problem.schema.get("properties", {}))
        return (
            f"{where} takes exactly one of {names}, got {', '.join(map(quoted, value)) or 'none'}."
        )
    sentences: dict[str, Callable[[], str]] = {
        "type": lambda: f"must be of type {wanted}",
        "const": lambda: f"must be {wanted}",
        "enum": lambda: f"must be one of {', '.join(wanted)}",
        "minItems": lambda: f"must have at least {wanted} items",
        "maxItems": lambda: f"must have at most {wanted} items",
        "minLength": lambda: f"must have at least {wanted} characters",
        "maxLength": lambda: f"must have at most {wanted} characters",
    }
    said = sentences.get(rule, lambda: f"must satisfy {rule} {shown(wanted)}")()
    return f"{where} {said}, got {quoted(value)}."


def _check_text(text: str, what: str, error: type[FindError]) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise error(f"{what} holds text that is not valid Unicode: {quoted(text)}.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {quoted(doubled, 40)} stands there twice")
    return data


def _not_finite(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text, 40)} is too large")
    return value


def _finite_int(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"the number {shown(text, 40)} is too large")
    return int(text)
