"""Writes RESULTS.md, docs/results/*.md and, unless told `text`, their pictures: `make results`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from goalbridge.experiments.report import figures
from goalbridge.experiments.report.pages import render


def main(arguments: Sequence[str]) -> None:
    """Writes everything that has been measured into the current folder."""
    for name, text in render().items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if list(arguments) != ["text"]:
        figures.draw()


if __name__ == "__main__":
    main(sys.argv[1:])
