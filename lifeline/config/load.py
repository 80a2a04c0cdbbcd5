"""``lifeline.toml`` → ``Config``, or every problem at once.

    bytes ──► TOML ──► each table by itself into its model ──► what spans tables and touches the disk ──► Config
                            └──────────── problems ────────────────────┘ all raised together

Each table is validated alone, so that a mistake in one hides nothing in another.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import ValidationError

from lifeline.config.checks import Checker
from lifeline.config.intake import AVAILABLE_PAYLOADS
from lifeline.config.models import ARRAYS, SECTIONS, Config
from lifeline.config.section import Section
from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIG_BYTES_MAX: Final = 4 << 20
SECRET_KEYS: Final = {"password", "passwd", "secret", "token", "key"}


def load(
    path: Path | str,
    *,
    payloads: Sequence[str] = AVAILABLE_PAYLOADS,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read and check a configuration. Relative paths in it are relative to the file.

    ``payloads``: built-in payload formats that this version can decode.

    Raises:
        ConfigurationError: every problem found, each with file, key and remedy.
    """
    path = Path(path).absolute()
    problems: list[Problem] = []
    raw = _read(path)
    tables: dict[str, Any] = {}
    for name in raw:
        if name not in SECTIONS and name not in ARRAYS:
            known = [*SECTIONS, *ARRAYS]
            problems.append(Problem(str(path), name, "is not a section", _nearest(name, known)))
    for name, model in SECTIONS.items():
        tables[name] = _section(path, name, model, raw.get(name, {}), problems)
    for name, model in ARRAYS.items():
        tables[name] = _array(path, name, model, raw.get(name, []), problems)
    if "broker" not in raw:
        remedy = 'write [[broker]] with a name and a url; url = "embedded" needs no other program'
        problems.append(Problem(str(path), "broker", "is missing: nowhere to read from", remedy))
    checker = Checker(path, problems, payloads, os.environ if environ is None else environ)
    resolved = checker.check(tables)
    if problems:
        raise ConfigurationError(problems)
    return Config.model_construct(path=path, **resolved)


def _read(path: Path) -> dict[str, Any]:
    def problem(key: str, message: str, remedy: str) -> ConfigurationError:
        return ConfigurationError([Problem(str(path), key, message, remedy)])

    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        raise problem("file", "does not exist", "`lifeline init DIR` writes a commented one") from None
    except OSError as error:
        raise problem("file", f"cannot be read: {error.strerror}", "check path and permissions") from error
    if len(data) > CONFIG_BYTES_MAX:
        raise problem("file", f"is larger than {CONFIG_BYTES_MAX >> 20} MiB", "is it the right file?")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise problem(f"line {line}", "is not UTF-8", "save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        text, _, place = str(error).partition(" (at ")
        where = place.removesuffix(")") or "file"
        raise problem(
            where, f"is not TOML: {text}", "text needs quotes; [x] is a table, [[x]] one of several"
        ) from error


def _section(path: Path, key: str, model: type[Section], raw: Any, problems: list[Problem]) -> Section | None:
    """The table as a model, or None with its problems noted."""
    if not isinstance(raw, dict):
        problems.append(Problem(str(path), key, f"is {_kind(raw)}, not a table", f"write it under [{key}]"))
        return None
    try:
        # By way of JSON: pydantic's strict mode there still turns arrays into tuples and text into paths.
        return model.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        details = error.errors(include_url=False)
        places = [detail["loc"] for detail in details]
        for detail in details:
            # An array whose only entry is wrong is "too short" too: the entry's own problem is enough.
            depth = len(detail["loc"])
            if not any(len(place) > depth and place[:depth] == detail["loc"] for place in places):
                problems.append(_explain(path, key, model, detail))
        return None


def _array(path: Path, key: str, model: type[Section], raw: Any, problems: list[Problem]) -> list[Section | None]:
    if not isinstance(raw, list):
        problems.append(Problem(str(path), key, f"is {_kind(raw)}, not an array of tables", f"write [[{key}]]"))
        return []
    return [_section(path, f"{key}[{index}]", model, entry, problems) for index, entry in enumerate(raw)]


def _kind(value: Any) -> str:
    return {dict: "a table", list: "an array", str: "text", bool: "true or false", int: "a number"}.get(
        type(value), f"a {type(value).__name__}"
    )


def _explain(path: Path, key: str, model: type[Section], detail: Any) -> Problem:
    """One pydantic error as a problem; the value itself is not repeated, it may be a secret."""
    *parents, last = detail["loc"] or ("",)
    for part in detail["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    owner = _model_at(model, parents)
    known = list(owner.model_fields) if owner else []
    if detail["type"] == "extra_forbidden":
        if str(last) in SECRET_KEYS and "password_file" in known:
            return Problem(str(path), key, "a secret is never in this file", "use password_file or password_env")
        return Problem(str(path), key, "is not a key we know", _nearest(str(last), known))
    info = owner.model_fields.get(str(last)) if owner else None
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        message = "is missing"
    elif detail["type"] == "string_pattern_mismatch":
        message = "is not written as it must be"
    else:
        message = message.replace("Input should be", "should be").replace("Tuple", "Array")
    return Problem(str(path), key, message, (info.description if info else None) or "")


def _model_at(model: type[Section], parents: Sequence[int | str]) -> type[Section] | None:
    """The model that the keys ``parents`` lead to."""
    here: Any = model
    for part in parents:
        if isinstance(here, type) and issubclass(here, Section):
            info = here.model_fields.get(str(part))
            here = info.annotation if info else None
        else:  # inside an array or a table of models
            here = next((arg for arg in get_args(here) if arg not in {Ellipsis, str}), None)
        here = (
            next((arg for arg in get_args(here) if isinstance(arg, type) and issubclass(arg, Section)), here)
            if (not isinstance(part, int) and type(None) in get_args(here))
            else here
        )
    return here if isinstance(here, type) and issubclass(here, Section) else None


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(known)}"
