"""Texts and JSON from files that come from anywhere."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def encoding_of(path: Path) -> str:
    """UTF-16 where a file begins with its mark, as Windows' editors write it; else UTF-8, with its mark or without."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF_16 else "utf-8-sig"


def parse_json(text: str | bytes) -> Any:
    """A JSON value; ValueError for what is none, for a name that is given twice, NaN, infinity, and deep nesting."""
    try:
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("expected some levels of nesting, got thousands") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; OSError, or ValueError for anything else, as `parse_json`."""
    value = parse_json(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got a {type(value).__name__}")
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"expected each name once, got {twice[:60]!r} twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"expected finite numbers, got {name}")
