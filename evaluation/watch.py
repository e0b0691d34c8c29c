"""Episodes that one can watch: frames, GIFs, and pictures of all kinds in TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from goalbridge.configs.durable import write_atomically
from goalbridge.evaluation.rollout import rollout
from goalbridge.worlds import Actor, Begun, Belief, Episodes, Moment, Task, World

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FRAMES_PER_SECOND: Final = 10
LAST_FRAME_HOLDS: Final = 10
MOST_FRAMES: Final = 100

Stop = Callable[[Any], bool]


@dataclass(eq=False)
class Recording:
    """One episode, moment by moment.

    told: what the actor was told. moments: T + 1. stopped: whether it ended because `stop` said so. episodes: its
    outcome, alone.
    """

    told: str = ""
    moments: list[Moment] = field(default_factory=list)
    stopped: bool = False
    episodes: Episodes | None = None

    @property
    def outcome(self) -> Episodes:
        """Of the finished episode."""
        assert self.episodes is not None
        return self.episodes


def record(world: World, task: Task, actor: Actor, key: int = 0, stop: Stop | None = None) -> Recording:
    """Plays the episode of a task once more and keeps all that was seen.

    key: of the episode, as the actor hears it. stop: says of each observation, a batch of one, whether that is the end.
    """
    recording = Recording()
    goals: list[NDArray[Any]] = []

    def watch(begun: Begun, seen: Mapping[str, Any]) -> bool:
        recording.told = begun.tasks[0].text
        goals.append(np.asarray(seen["achieved_goal"])[0])
        pictures = begun.env.render() if begun.env.render_mode == "rgb_array" else None
        picture = None if not pictures else np.asarray(pictures[0], np.uint8)
        recording.moments.append(Moment(begun.tasks[0], seen["observation"], np.stack(goals), picture))
        recording.stopped = stop is not None and stop(seen["observation"])
        return recording.stopped

    actor.reset()
    recording.episodes = rollout(world, [task], actor, key, watch=watch)
    return recording


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
