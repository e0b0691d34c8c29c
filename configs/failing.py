"""How a script ends on what a person can mend: one line on stderr and exit code 2, from one process alone."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final, NoReturn

HINTS: Final = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, for too many files are open",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be read and written",
    errno.EPERM: "choose a folder that can be read and written",
    errno.EIO: "look after that disk, which could not be read or written",
    errno.ENOENT: "see whether somebody has removed it",
    errno.ENOTDIR: "see whether somebody has replaced it",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def said_of(error: OSError) -> str:
    """What the operating system refused, on which file, and what to do, in a line."""
    what = error.strerror or str(error) or type(error).__name__
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    # Numpy tells of a disk that is full, or of a limit, in words alone.
    hint = HINTS.get(error.errno or errno.ENOSPC, "try again; HYDRA_FULL_ERROR=1 shows where")
    return f"{where}{what[:1].lower()}{what[1:]}; {hint}"


def fail(error: Exception, everywhere: bool = False) -> NoReturn:
    """Ends this process with the error's line.

    everywhere: all processes that torchrun started meet the same error, so that the first of them alone tells it. The
    line goes to torchrun as well, whose summary then ends with it, below torchrun's own traceback.
    HYDRA_FULL_ERROR=1 shows where the error came from.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    if not everywhere or os.environ.get("RANK", "0") == "0":
        said = said_of(error) if isinstance(error, OSError) else str(error)
        line = f"error: {' '.join(said.split())}"
        print(line, file=sys.stderr, flush=True)
        summary = os.environ.get("TORCHELASTIC_ERROR_FILE")
        if summary:
            Path(summary).write_text(json.dumps({"message": line, "timestamp": int(time.time())}))
    raise SystemExit(2)
