"""Files that come from anywhere, damaged or made to harm: refused in one line, in little time and memory, or loaded."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goalbridge.agents import Agent
from goalbridge.agents.checkpoint import trained_steps
from goalbridge.agents.storage import read_tensors
from goalbridge.configs.checks import UserError
from goalbridge.configs.run_folder import read_run_config
from goalbridge.data.episodes import discard, read_captions, stage
from goalbridge.data.files import FileEpisodes
from goalbridge.data.trajectories import TrajectoryBuffer
from goalbridge.encoders.text_cache import TextCache
from goalbridge.envs.layouts import Layout, LayoutError

SECONDS, BYTES = 5.0, 1 << 30
ROOMS = {"observations": [[0.0, 0.0], [0.0, 1.0]], "actions": [[0.0, 1.0]], "captions": {"1": ["right"]}}
HOSTILE: list[Any] = [
    *(None, True, -1, 0, 1.7, 10**30, float("inf"), float("nan"), "", "x" * 2000, "../../etc/passwd", "\x00", "\ud800"),
    *([], {}, [[]], {"": None}, [0] * 5000, 10**9, 2**31, -(10**9), "os:system", "0", 1e-320),
]


def read_agent(folder: Path) -> None:
    """What evaluate.py would do with an agent's folder."""
    agent = Agent.from_pretrained(folder)
    policy = agent.policy()
    spec = agent.world
    middle = (np.asarray(spec.observation_low) + np.asarray(spec.observation_high)) / 2
    policy.act(middle[None].astype(np.float32), ["row 3"])


def read_checkpoint(folder: Path) -> None:
    trained_steps(folder)
    read_tensors(folder / "checkpoint.safetensors")


def read_cache(folder: Path) -> None:
    found = TextCache("f", folder / "cache.safetensors").find(["a", "b"])
    assert all(np.isfinite(vector).all() and vector.dtype == np.float32 for vector in found.values())


def read_dataset(folder: Path) -> None:
    path = next(p for p in (folder / "data.jsonl", folder / "data.npz") if p.is_file())
    try:
        stage(FileEpisodes(str(path)), folder / "staged")
    finally:
        discard(folder / "staged")


def read_trajectories(folder: Path) -> None:
    read_captions(folder)
    buffer = TrajectoryBuffer.open(folder)
    buffer.sample_futures(np.random.default_rng(0), 4, 0.9)


def read_run(folder: Path) -> None:
    read_run_config(folder)


def read_layout(folder: Path) -> None:
    Layout.load(folder / "layout.txt")


@pytest.fixture
def made(tmp_path: Path, finished: Path) -> Callable[[str], tuple[Path, Path, Callable[[Path], None]]]:
    """A whole file of a kind: its folder, its path, and what reads it."""

    def make(kind: str) -> tuple[Path, Path, Callable[[Path], None]]:
        folder = tmp_path / "it"
        folder.mkdir()
        name, read = KINDS[kind]
        if read in (read_agent, read_checkpoint, read_run):
            for path in finished.glob("*.*"):
                shutil.copy(path, folder)
        elif read is read_trajectories:
            shutil.copytree(finished / "trajectories", folder, dirs_exist_ok=True)
        elif name == "cache.safetensors":
            TextCache("f", folder / name).add({"a": np.ones(4, np.float32), "b": np.zeros(4, np.float32)})
        elif name == "data.jsonl":
            (folder / name).write_text((json.dumps(ROOMS) + "\n") * 3)
        elif name == "data.npz":
            said = {"captions": np.array(["right"]), "caption_rows": np.array([1]), "lengths": np.array([1, 1])}
            arrays: Any = {"observations": np.zeros((4, 2)), "actions": np.ones((2, 2)), **said}
            np.savez(folder / name, **arrays)
        else:
            (folder / name).write_text("#####\n#...#\n#.#.#\n#####\n")
        return folder, folder / name, read

    return make


KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "agent.json": ("agent.json", read_agent),
    "agent.safetensors": ("agent.safetensors", read_agent),
    "checkpoint": ("checkpoint.safetensors", read_checkpoint),
    "config.json": ("config.json", read_run),
    "text cache": ("cache.safetensors", read_cache),
    "JSON lines": ("data.jsonl", read_dataset),
    "npz": ("data.npz", read_dataset),
    "trajectories": ("observations.npy", read_trajectories),
    "checked": ("checked.json", read_trajectories),
    "layout": ("layout.txt", read_layout),
}


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, cut off, repeated or put in."""
    bytes_, kind = bytearray(content), rng.integers(5)
    start = int(rng.integers(len(bytes_)) ** (1 if rng.random() < 0.5 else 0.6))  # rather at the beginning
    if kind == 0:
        return bytes(bytes_[:start])
    if kind == 1:
        return bytes(bytes_[:start] + rng.bytes(int(rng.integers(1, 40))) + bytes_[start:])
    if kind == 2:
        return bytes(bytes_ + bytes_[start : start + 400])
    for _ in range(int(rng.integers(1, 9)) if kind == 3 else 1):
        bytes_[min(len(bytes_) - 1, int(rng.integers(len(bytes_))))] ^= 1 << int(rng.integers(8))
    return bytes(bytes_)


def changed(value: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one part replaced, removed, doubled or nested."""
    places = list(_places(value, ()))
    path = places[int(rng.integers(len(places)))]
    if not path:
        return HOSTILE[int(rng.integers(len(HOSTILE)))]
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if rng.random() < 0.15:
        del inner[path[-1]]
    elif rng.random() < 0.05:
        inner[path[-1]] = {"deep": "DEEP"}
    else:
        inner[path[-1]] = HOSTILE[int(rng.integers(len(HOSTILE)))]
    return copy


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(part, (*path, key))


def hostile(content: bytes, rng: np.random.Generator) -> bytes:
    """The file as somebody who means harm, or a bad disk, may leave it."""
    if content[:1] != b"{" or rng.random() < 0.3:
        return flipped(content, rng)
    first, _, rest = content.partition(b"\n{")
    value = json.loads(first)
    text = json.dumps(changed(value, rng)).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
    if rng.random() < 0.1 and text.startswith("{"):
        text = text[:-1] + ', "format": 9, "format": 2}'
    return text.encode() + (b"\n{" + rest if rest else b"")


def holds(read: Callable[[Path], None], folder: Path) -> str:
    """Why reading broke the promise; "" where it kept it."""
    begin = time.monotonic()
    try:
        read(folder)
        said = ""
    except (UserError, LayoutError) as error:
        said = str(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    if "\n" in said or len(said) > 1500:
        return f"not one line: {said[:300]!r}"
    return f"took {time.monotonic() - begin:.1f} s" if time.monotonic() - begin > SECONDS else ""


@pytest.fixture
def little_memory() -> Iterator[None]:
    """An attempt to take more than a gigabyte fails."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def tried(kind: str, count: int, made: Callable[[str], Any]) -> dict[str, str]:
    """What broke the promise: the file's content, by what happened."""
    folder, path, read = made(kind)
    content = path.read_bytes()
    assert holds(read, folder) == ""
    broken: dict[str, str] = {}
    for seed in range(count):
        path.write_bytes(hostile(content, np.random.default_rng(seed)))
        why = holds(read, folder)
        if why:
            broken.setdefault(why[:120], f"seed {seed}")
    return broken


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_and_hostile_files_are_refused_in_a_line(kind: str, made: Any, little_memory: None) -> None:
    assert tried(kind, 40, made) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_damaged_and_hostile_files_of_each_kind(kind: str, made: Any, little_memory: None) -> None:
    """Ten kinds: 10 000 inputs in all."""
    assert tried(kind, 1000, made) == {}
