"""Both pairs, with the loss of the words counted twice, as somebody else would add an objective."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.objectives import Info, TensorBatch
from goalbridge.agents.objectives.bridge import Bridge


class WordsTwice(Bridge):
    """The bridge's loss and the one of the words once more."""

    def __call__(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, Info]:
        loss, info = super().__call__(batch, detailed)
        b = self.agent.encode_meanings(batch.caption_goals)
        c = self.agent.encode_language(self.text_features(batch.captions))
        again, _ = self.contrast(self.agent.critic_bc, b, c, batch.duplicates, False)
        return loss + again, info | {"loss": (loss + again).detach()}
