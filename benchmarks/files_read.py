"""How many files one reads to follow a call: those of the package whose functions run in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]


def files_run(call: Callable[[], object]) -> tuple[str, ...]:
    """The package's files whose functions run in `call`, as paths from its root."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    inside = (Path(name).resolve() for name in seen if Path(name).is_file())
    relative = (path.relative_to(ROOT).as_posix() for path in inside if path.is_relative_to(ROOT))
    return tuple(sorted(name for name in relative if not name.startswith((".venv", "tests", "benchmarks"))))
