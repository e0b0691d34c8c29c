"""Files and folders that are whole or absent after a kill at any moment, and after a loss of power."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file, and its folder; a reader, or a kill at any moment, meets the old file or the new one.

    Once this returns it is on the disk. What processes that were killed as they wrote it left beside it is removed.
    Raises OSError, after which nothing is left over and the old file is as it was.
    """
    make_folder(path.parent)
    remove_leftovers(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # several processes may write one file
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder and those around it that are missing, on the disk."""
    missing = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync(made.absolute().parent)


def settle(partial: Path, folder: Path) -> None:
    """What lies in the folder `partial` becomes `folder`, in the place of what is there, once it is all on the disk."""
    for path in partial.rglob("*"):
        sync(path)
    sync(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Forces a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """What tells a file's content from any other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def remove_leftovers(path: Path) -> None:
    """Removes what processes that were killed as they wrote the file have left beside it."""
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        number = partial.name.removesuffix(".partial").rpartition(".")[2]
        if number.isdigit() and not _is_running(int(number)):
            with suppress(OSError):
                partial.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
