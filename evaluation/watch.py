"""What one can look at: frames and GIFs of episodes, plots of reports, and pictures of all kinds in TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.durable import write_atomically
from goalbridge.evaluation.report import HEADINGS
from goalbridge.evaluation.rollout import rollout
from goalbridge.worlds import Actor, Begun, Belief, Episodes, Moment, Task, World

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FRAMES_PER_SECOND: Final = 10
LAST_FRAME_HOLDS: Final = 10
MOST_FRAMES: Final = 100
# Mostly Okabe and Ito's colours, for all kinds of colour vision; who knows everything or nothing is grey.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C2878", "#7A6A00")
_GREYS: Final = {"limit": "#222222", "expert": "#666666", "random": "#AAAAAA"}
_MARKERS: Final = "osD^vP*X"
_UNKNOWN: Final = {"mean": np.nan, "low": np.nan, "high": np.nan}
_SPREAD: Final = 0.76  # of the room between two categories, how much the estimators take

Stop = Callable[[Any], bool]


@dataclass(frozen=True, eq=False)
class Recording:
    """One episode, moment by moment.

    moments: T + 1. outcome: of this episode alone. stopped: whether it ended because `stop` said so.
    """

    moments: Sequence[Moment]
    outcome: Episodes
    stopped: bool = False

    @property
    def told(self) -> str:
        """What the actor was told."""
        return self.moments[0].task.text


def record(world: World, task: Task, actor: Actor, key: int = 0, stop: Stop | None = None) -> Recording:
    """Plays the episode of a task once more and keeps all that was seen.

    key: of the episode, as the actor hears it. stop: says of each observation, a batch of one, whether that is the end.
    """
    goals, moments, stops = list[NDArray[Any]](), list[Moment](), list[bool]()

    def watch(begun: Begun, seen: Mapping[str, Any]) -> bool:
        goals.append(np.asarray(seen["achieved_goal"])[0])
        pictures = begun.env.render() if begun.env.render_mode == "rgb_array" else None
        picture = None if not pictures else np.asarray(pictures[0], np.uint8)
        moments.append(Moment(begun.tasks[0], seen["observation"], np.stack(goals), picture))
        stops.append(stop is not None and stop(seen["observation"]))
        return stops[-1]

    actor.reset()
    return Recording(moments, rollout(world, [task], actor, key, watch=watch), stops[-1])


def frames(
    world: World, recording: Recording, policy: Any = None, title: str | None = None, most: int = MOST_FRAMES
) -> list[NDArray[np.uint8]]:
    """A picture [h, w, 3] for each of at most `most` moments, both ends among them; none where nothing can be drawn.

    policy: whose posterior over goals is shown; nobody's if None. title: instead of what was told.
    """
    drawn, belief = [], None
    for step in spread(len(recording.moments) - 1, most):
        moment = recording.moments[step]
        if policy is not None:
            belief = _belief(policy, moment.observation, recording.told, belief)
        frame = world.frame(moment, belief, recording.told if title is None else title)
        if frame is None:
            return []
        drawn.append(frame)
    return drawn


def _belief(policy: Any, observation: Any, told: str, before: Belief | None) -> Belief:
    """The posterior over the goals of one observation; the same as before where its goals are."""
    goals = policy.goals(observation)
    own = goals if isinstance(goals, np.ndarray) else goals[0]  # [M, G]
    if before is not None and np.array_equal(before.goals, own):
        return before
    return Belief(own, policy.goal_posterior([told], observation)[0])


def spread(last: int, most: int) -> list[int]:
    """The moments to be drawn of 0, ..., last: all, or `most` (2 or more) evenly spread ones, both ends among them.

    Neighbours are an odd number of steps apart (but for the last): who turns on the spot, or goes to and fro, would
    otherwise be drawn in the same pose each time, and seem to stand still.
    """
    if last < most:
        return list(range(last + 1))
    gap = last / (most - 1)  # at least 1
    odd_and_even = [i % 2 + 2 * round((i * gap - i % 2) / 2) for i in range(most - 1)]  # the nearest in turns
    return [*odd_and_even, last]


def category_plot(report: Mapping[str, Any], metric: str) -> NDArray[np.uint8]:
    """A metric of evaluation.json by category and estimator, means with 95 % intervals; uint8 [h, w, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    categories, names = report["categories"], list(report["estimators"])
    figure = Figure(figsize=(1.6 * len(categories) + 2.4, 4.6), dpi=120, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.subplots()
    offsets = (np.arange(len(names)) - (len(names) - 1) / 2) * _SPREAD / len(names)  # [N]
    for turn, name in enumerate(names):
        found = [categories[category].get(name, {}).get(metric, _UNKNOWN) for category in categories]
        mean, low, high = (np.array([one[key] for one in found]) for key in ("mean", "low", "high"))  # [C] each
        if np.isnan(mean).all():
            continue
        axes.errorbar(
            np.arange(len(categories)) + offsets[turn],
            mean,
            # Rounding may take an end past its mean.
            yerr=np.maximum([mean - low, high - mean], 0),
            color=_GREYS.get(name, _COLOURS[turn % len(_COLOURS)]),
            marker="_" if name in _GREYS else _MARKERS[turn % len(_MARKERS)],
            markersize=9 if name in _GREYS else 5,
            linestyle="none",
            capsize=2,
            label=name,
        )
    axes.set_xticks(np.arange(len(categories)), [name.replace("_", "\n") for name in categories])
    axes.set_xlim(-0.5, len(categories) - 0.5)
    axes.set_ylim(-0.02, 1.02)
    for between in np.arange(len(categories) - 1) + 0.5:
        axes.axvline(between, color="#DDDDDD", linewidth=0.8)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel(HEADINGS.get(metric, metric).replace("\n", " "))
    axes.set_title(f"{report['env']}, paired episodes by category, 95 % intervals", fontsize=10)
    figure.legend(loc="outside right upper", frameon=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def gif(pictures: Sequence[NDArray[np.uint8]]) -> bytes:
    """An endless animation of the pictures [h, w, 3]; the last one stays a second. Empty where there are none."""
    import imageio.v3 as imageio

    if not pictures:
        return b""
    buffer = io.BytesIO()
    held = [*pictures, *[pictures[-1]] * LAST_FRAME_HOLDS]
    imageio.imwrite(buffer, np.stack(held), extension=".gif", duration=1000 // FRAMES_PER_SECOND, loop=0)
    return buffer.getvalue()


def png(picture: NDArray[np.uint8]) -> bytes:
    """One picture [h, w, 3] as a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def add_picture(writer: SummaryWriter, tag: str, encoded: bytes, step: int) -> None:
    """Shows a PNG or a GIF, which moves, in TensorBoard's image tab.

    (`SummaryWriter.add_video` needs a moviepy older than 2, and `add_image` knows no GIFs.)
    """
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = Image.open(io.BytesIO(encoded)).size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
    file_writer: Any = writer._get_file_writer()  # type: ignore[no-untyped-call]
    file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def write_pictures(pictures: Mapping[str, bytes], folder: Path) -> None:
    """Writes PNGs and GIFs by name ("plots/success.png") into `folder`, shows them in TensorBoard, says where."""
    if not pictures:
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name, encoded in pictures.items():
            write_atomically(folder / name, encoded)
            add_picture(writer, name.rpartition(".")[0], encoded, 0)
            print(f"{'rollout' if name.endswith('.gif') else 'picture'}: {folder / name}")
