"""How a script ends on what a person can mend: one line on stderr and exit code 2, from one process alone."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import NoReturn


def fail(error: Exception, everywhere: bool = False) -> NoReturn:
    """Ends this process with the error's line.

    everywhere: all processes that torchrun started meet the same error, so that the first of them alone tells it. The
    line goes to torchrun as well, whose summary then ends with it, below torchrun's own traceback.
    """
    if not everywhere or os.environ.get("RANK", "0") == "0":
        line = f"error: {' '.join(str(error).split())}"
        print(line, file=sys.stderr, flush=True)
        summary = os.environ.get("TORCHELASTIC_ERROR_FILE")
        if summary:
            Path(summary).write_text(json.dumps({"message": line, "timestamp": int(time.time())}))
    raise SystemExit(2)
