"""Writes the embeddings of the commonest instructions beside each agent of pretrained/, for a start without the model.

python -m goalbridge.experiments.agent.ship_texts
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from goalbridge.agents import Agent
from goalbridge.configs.run_folder import read_run_config
from goalbridge.encoders import SentenceEncoder
from goalbridge.worlds import open_trained

FOLDER: Final = Path(__file__).parents[2] / "pretrained"
BARE: Final = ("{}", "go to {}")
WORDINGS: Final = ("the {}", "go to the {}", "go to a {}")


def ship(folder: Path) -> int:
    """Ships the short labels of the agent's world, worded in a few ways; how many texts."""
    captions = open_trained(read_run_config(folder), folder).captions
    labels = [label for label in captions.labels if "," not in label]  # not every single cell
    # "row 3" takes no article.
    texts = [each.format(label) for label in labels for each in (BARE if label[-1].isdigit() else (*BARE, *WORDINGS))]
    encoder = Agent.from_pretrained(folder).text
    assert isinstance(encoder, SentenceEncoder)
    encoder.ship(texts)
    encoder.save(folder)
    return len(texts)


if __name__ == "__main__":
    for agent in sorted(FOLDER.iterdir()):
        print(f"{agent.name}: {ship(agent)} texts")
