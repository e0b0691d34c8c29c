"""The user's media as a table: a CSV file with columns audio, image and text.

    audio,image,text
    clips/rain.wav,frames/rain.png,heavy rain on a tin roof
    clips/rain.wav,frames/rain.png,a downpour
    ,,a dog barks in the distance

A row with audio and image says that they belong together; its text, if any, is a caption of both. A row of text alone
adds a caption to the bridge. Files are relative to the CSV file.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goalbridge.configs.checks import ConfigError

COLUMNS: Final = ("audio", "image", "text")


@dataclass(frozen=True)
class Manifest:
    """Media pairs and captions.

    audio, image: [N] files that belong together, each pair once. texts: [T] captions, each once. owners: [T] which
    pairs each caption was given to, as indices; empty for a row of text alone.
    """

    audio: tuple[Path, ...]
    image: tuple[Path, ...]
    texts: tuple[str, ...]
    owners: tuple[frozenset[int], ...]


def read_manifest(path: Path, candidates: int) -> Manifest:
    """The manifest in `path`, all its files there.

    candidates: media pairs that a trial needs. Raises ConfigError for a file that is no such table, naming the line
    and the column, and for too few pairs or captions.
    """
    pairs: dict[tuple[Path, Path], int] = {}
    owners: dict[str, set[int]] = {}
    for line, row in _rows(path):
        where = f"{path} line {line}"
        audio, image = (_file(path.parent, row[column], f"{where}, {column}") for column in ("audio", "image"))
        text = row["text"]
        if (audio is None) != (image is None):
            lacking = "audio" if audio is None else "image"
            raise ConfigError(f"{where}, {lacking}: is empty; a row has both audio and image, or text alone")
        if audio is None and not text:
            raise ConfigError(f"{where}, text: is empty, as are audio and image; delete the row")
        belongs = set() if audio is None or image is None else {pairs.setdefault((audio, image), len(pairs))}
        if text:
            owners.setdefault(text, set()).update(belongs)
    if len(pairs) < candidates:
        raise ConfigError(
            f"{path}: has {len(pairs)} audio-image pairs; a trial of candidates={candidates} needs as many"
        )
    if not owners:
        raise ConfigError(f"{path}, text: is empty throughout; captions are what bridges images and audio")
    audios, images = zip(*pairs, strict=True)
    return Manifest(audios, images, tuple(owners), tuple(frozenset(of) for of in owners.values()))


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines and cells of the table, stripped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = [name.strip() for name in reader.fieldnames or ()]
            if sorted(header) != sorted(COLUMNS):
                found = ", ".join(header) or "none"
                raise ConfigError(f"{path} line 1: columns are {found}; needs {', '.join(COLUMNS)}")
            reader.fieldnames = header
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise ConfigError(f"{path} line {reader.line_num}: has not 3 cells; put text with commas in quotes")
                rows.append((reader.line_num, {column: row[column].strip() for column in COLUMNS}))
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"manifest={path}: cannot be read as CSV in UTF-8 ({error})") from error


def _file(folder: Path, cell: str, where: str) -> Path | None:
    if not cell:
        return None
    path = folder / cell
    if not path.is_file():
        raise ConfigError(f"{where}: {cell} is no file in {folder}; mend the path")
    return path
