"""The rival that imitates: the action taken against others, towards the caption of what it led to."""

from __future__ import annotations

from torch import Tensor

from goalbridge.agents.objectives import Info, TensorBatch
from goalbridge.agents.objectives.end_to_end import EndToEnd
from goalbridge.configs.registries import objectives


@objectives.register("behaviour_cloning")
class BehaviourCloning(EndToEnd):
    """A policy a | s, caption; captions are not compared with each other."""

    def __call__(self, batch: TensorBatch, detailed: bool = True) -> tuple[Tensor, Info]:
        loss, info = self.contrast_actions(*self.encode(batch))
        return loss, info | {"loss": loss.detach()}
