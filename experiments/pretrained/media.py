"""Reading images and sound from files."""

from __future__ import annotations

from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.signal import resample_poly

from goalbridge.configs.checks import ConfigError


def read_image(path: Path) -> Image.Image:
    """The image in `path`, in RGB. Raises ConfigError where it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(f"image={path}: cannot be read ({error}); give a PNG or JPEG file") from error


def read_wave(path: Path, rate: int) -> NDArray[np.float32]:
    """The sound in `path` [samples] at `rate` samples a second, channels averaged, -1 to 1.

    Reads WAV, FLAC, OGG and MP3. Raises ConfigError where it cannot, or where there is no sound in it.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its C library is missing
        raise ConfigError("soundfile: is not installed; pip install 'goalbridge[experiments]'") from error
    try:
        channels, found = soundfile.read(path, dtype="float32", always_2d=True)  # [samples, channels]
    except (soundfile.LibsndfileError, OSError) as error:
        raise ConfigError(f"audio={path}: cannot be read ({error}); give a WAV, FLAC, OGG or MP3 file") from error
    if not len(channels) or not np.isfinite(channels).all():
        raise ConfigError(f"audio={path}: holds no sound, or no finite samples; leave it out")
    wave = channels.mean(axis=1)
    if found != rate:
        common = gcd(found, rate)
        wave = resample_poly(wave, rate // common, found // common)
    samples: NDArray[np.float32] = wave.astype(np.float32)
    return samples
