"""TensorBoard as a person sees it: a run in a real browser, without a window."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from goalbridge.envs import rendering
from goalbridge.tests.end_to_end.runs import python

Pixels = NDArray[np.uint8]
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), "")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--no-first-run", "--virtual-time-budget=25000", "--window-size=1400,2000",
)  # fmt: skip
PATIENCE = 180  # seconds, on a busy machine
FIELDS = ("field/row 3", "field/row 3 or column 5", "field/somewhere on the left", "field/the top left corner")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no chromium is installed, in which TensorBoard could be looked at"),
]


class Board:
    """A running TensorBoard, asked over HTTP and through a browser."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, body: Any = None, **query: str | int) -> bytes:
        """What it answers to a query; or, given a body, to that as JSON."""
        address = f"{self.address}/{path}?{urllib.parse.urlencode(query)}"
        content = json.dumps(body).encode() if body else None
        request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
        return bytes(urllib.request.urlopen(request, timeout=60).read())

    def is_ready(self) -> bool:
        try:
            return "rollout" in json.loads(self.get("data/plugin/images/tags")).get("fork", {})
        except OSError:
            return False

    def browse(self, page: str, folder: Path, *flags: str) -> str:
        """What the browser prints of a page; it keeps its own things in `folder`."""
        command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, f"{self.address}/{page}"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def images(self, page: str, folder: Path) -> set[tuple[str, str, int]]:
        """Run, tag and step of the images in a page's DOM."""
        sources = re.findall(r"imageData\?imageId=([\w-]+)", self.browse(page, folder, "--dump-dom"))
        found = [json.loads(base64.urlsafe_b64decode(source + "=" * (-len(source) % 4))) for source in sources]
        return {(run, tag, step) for _, run, tag, step, *_ in found}

    def screenshot(self, page: str, path: Path) -> Pixels:
        """The page as it looks, [h, w, 3], which is kept in a file."""
        self.browse(page, path.parent, f"--screenshot={path}")
        return np.asarray(Image.open(path).convert("RGB"))


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Tries until it holds: on a busy machine a page may be done before all that it asked for has come."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} seconds"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def board(
    script_environment: dict[str, str], tiny_sentence: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Board]:
    """TensorBoard on a free port, over a run that has just been trained."""
    runs = tmp_path_factory.mktemp("runs")
    settings = [*tiny_sentence, f"run_dir={runs / 'fork'}"]
    assert python(script_environment, "train.py", *settings).returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        board = Board(f"http://localhost:{port}")
        wait_for(board.is_ready, "TensorBoard")
        yield board
    finally:
        process.terminate()
        process.wait(60)


def shows_a_maze(page: Pixels) -> bool:
    """Whether walls, arrows and an outlined region can be seen on a page."""
    wanted = (rendering.WALL_COLOUR, rendering.PATH_COLOUR, rendering.REGION_COLOUR)
    pixels = page.reshape(-1, 3).astype(int)
    return all((np.abs(pixels - np.array(colour)).max(axis=1) <= 16).sum() > 500 for colour in wanted)


def test_rollouts_and_fields_can_be_seen(board: Board, tmp_path: Path) -> None:
    tags = json.loads(board.get("data/plugin/images/tags"))
    assert set(tags) == {"fork"}  # one run: no part of it has made one of its own
    assert set(tags["fork"]) == {"rollout", *FIELDS}
    for tag, opening in (("rollout", b"GIF8"), (FIELDS[0], b"\x89PNG")):
        found = json.loads(board.get("data/plugin/images/images", run="fork", tag=tag, sample=0))
        assert [image["step"] for image in found] == [8, 12]
        for image in found:
            query = dict(urllib.parse.parse_qsl(image["query"]))
            assert board.get("data/plugin/images/individualImage", **query).startswith(opening)

    # The tab of time series has its images in the DOM; that of images hides them in shadow roots.
    wanted = {("fork", tag, 12) for tag in ("rollout", *FIELDS)}
    page = "?tagFilter=field%7Crollout#timeseries"
    wait_for(lambda: board.images(page, tmp_path) == wanted, "images in the DOM")
    wait_for(lambda: shows_a_maze(board.screenshot("#images", tmp_path / "images.png")), "a maze to be seen")


def test_settings_and_results_stand_side_by_side(board: Board, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": []}
    answer = board.get("data/plugin/hparams/session_groups", asked | {"startIndex": 0, "sliceSize": 9})
    (group,) = json.loads(answer)["sessionGroups"]
    assert group["hparams"]["env.id"] == "goalbridge/ForkMaze-v0"
    assert (group["hparams"]["seed"], group["hparams"]["train.steps"]) == (0, 12)
    results = {value["name"]["tag"]: value["trainingStep"] for value in group["metricValues"]}
    metrics = ("success", "spl_grid", "mass", "first_guess", "wrong_visits")
    assert results == {f"evaluation/{metric}": 12 for metric in metrics}
    assert len(np.unique(board.screenshot("#hparams", tmp_path / "hparams.png").reshape(-1, 3), axis=0)) > 50


def test_the_projector_has_goals_and_instructions(board: Board, tmp_path: Path) -> None:
    (found,) = json.loads(board.get("data/plugin/projector/info", run="fork"))["embeddings"]
    points, size = found["tensorShape"]
    about = board.get("data/plugin/projector/metadata", run="fork", name=found["tensorName"]).decode().splitlines()
    assert about[0].split("\t") == ["text", "kind", "row", "column", "quadrant"]
    assert len(about) == 1 + points
    tensor = board.get("data/plugin/projector/tensor", run="fork", name=found["tensorName"])
    assert len(tensor) == 4 * points * size
    kinds = {line.split("\t")[1] for line in about[1:]}
    assert kinds == {"goal", "exact", "line", "region", "vague", "held-out wording"}
    assert board.screenshot("#projector", tmp_path / "projector.png").size > 0
