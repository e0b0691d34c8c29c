"""One job of a sweep: the script with the job's overrides, in a process of its own whatever launcher carries it.

A process of its own, so that a job that is killed or crashes ends nothing else: not the worker that carries it, whose
death some launchers answer by ending all. `python -m goalbridge.configs.job SCRIPT OVERRIDE ...` is that process; it
ends with the worker that started it, so that a worker's successor finds the folder free.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

OUTPUT = "output.txt"
LONGEST_LINE = 300


@dataclass(frozen=True)
class TaskFunction:
    """What a launcher's worker calls with a job's composed settings; importable there without anything heavy.

    script: what was typed after `python`. cwd: where; paths in the settings count from there.
    """

    script: str
    cwd: str

    def __call__(self, _config: DictConfig) -> str:
        """Runs the script with the job's overrides, its output into output.txt of the job's folder.

        Why it did not finish, in a line; empty if it did.
        """
        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        begin = time.perf_counter()
        code = self.run(list(hydra.overrides.task), folder / OUTPUT)
        error = _why(code, folder / OUTPUT) if code else ""
        print(f"{folder.name}: {error or 'finished'} ({time.perf_counter() - begin:.0f} s)", flush=True)
        return error

    def run(self, overrides: list[str], output: Path) -> int:
        """The exit code of the script, which prints into `output`; minus the signal's number where one ended it."""
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "goalbridge.configs.job", self.script, *overrides],
                stdin=subprocess.PIPE,  # never written to: it closes when this process ends, however it ends
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
            )
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)  # it leaves a checkpoint and ends
                process.wait()
                raise


def _why(code: int, output: Path) -> str:
    """Why a job ended with that exit code, in a line."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}; the same command goes on from its last checkpoint"
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else f"ended with exit code {code}"
    return last if len(last) <= LONGEST_LINE else f"{last[:LONGEST_LINE]} ..."


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns at the end of the pipe: nobody writes
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Runs the script (the first argument) as `python SCRIPT OVERRIDE ...` does, until it or the parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).absolute().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
