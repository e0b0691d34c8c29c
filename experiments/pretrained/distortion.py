"""Speech as it might have sounded from other throats and through other rooms: what training hears of each clip.

Voices differ above all by the length of the vocal tract, which stretches the spectrum, and by a colouring that is the
same at all times (a muffled voice, a bright one). Both are drawn anew each time a clip is heard, as are a shift in
time and noise. Source: vocal tract length perturbation, Jaitly & Hinton, ICML workshop 2013.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST = 1e-3  # deviation that is made 1: a colour may drown a faint clip


@dataclass(frozen=True)
class Distortion:
    """How far training's speech is distorted; chosen on development voices.

    shift: frames by which a clip is moved, either way. stretch: share by which its spectrum is stretched, either way,
    about band 0. colour: standard deviation of each of the `waves` cosines over the bands whose sum is added, in units
    of the features' deviation. noise: standard deviation added to each feature.
    """

    shift: int = 3
    stretch: float = 0.15
    colour: float = 0.6
    waves: int = 4
    noise: float = 0.2

    def __call__(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Log-mel features [B, 72, 40] -> the same, each clip distorted in its own way, mean 0 and deviation 1."""
        found = self._coloured(self._stretched(features, generator), generator)
        found = self._moved(found, generator)
        spread = found.std((1, 2), keepdim=True).clamp(min=_SMALLEST)
        found = (found - found.mean((1, 2), keepdim=True)) / spread
        return found + self.noise * torch.randn(found.shape, generator=generator)

    def _stretched(self, features: Tensor, generator: torch.Generator) -> Tensor:
        count, frames, bands = features.shape
        factor = 1 + self.stretch * (2 * torch.rand(count, 1, generator=generator) - 1)  # [B, 1]
        place = (factor * torch.arange(bands)).clamp(max=bands - 1)  # [B, 40], from where each band is taken
        below = place.floor().long()
        above = (below + 1).clamp(max=bands - 1)
        share = (place - below).unsqueeze(1)  # [B, 1, 40]
        low, high = (features.gather(2, at.unsqueeze(1).expand(-1, frames, -1)) for at in (below, above))
        return low + share * (high - low)

    def _coloured(self, features: Tensor, generator: torch.Generator) -> Tensor:
        count, _, bands = features.shape
        order = torch.arange(1, self.waves + 1).unsqueeze(1)  # [W, 1]
        waves = torch.cos(math.pi * order * (torch.arange(bands) + 0.5) / bands)  # [W, 40]
        colour = self.colour * torch.randn(count, self.waves, generator=generator) @ waves  # [B, 40]
        silence = features.amin((1, 2), keepdim=True)  # [B, 1, 1]: no filter makes it louder
        return torch.where(features > silence, torch.maximum(features + colour.unsqueeze(1), silence), silence)

    def _moved(self, features: Tensor, generator: torch.Generator) -> Tensor:
        count, frames, bands = features.shape
        by = torch.randint(-self.shift, self.shift + 1, (count, 1), generator=generator)
        place = (torch.arange(frames) - by) % frames  # [B, 72]: silence at the end comes round to the start
        return features.gather(1, place.unsqueeze(2).expand(-1, -1, bands))
