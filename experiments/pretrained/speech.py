"""Spoken numbers: espeak-ng says a number word, log-mel features show it to a network.

What is said is a script: every (language, number) several times, by voices, speeds and pitches drawn once and for all
from a fixed seed. Voices of the development and the test split are heard nowhere else. Features are kept on disk, one
file a split; synthesis takes about 10 ms a clip.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from scipy.io import wavfile
from scipy.signal import ShortTimeFFT, get_window
from torch import Tensor

from goalbridge.agents.storage import CheckpointError, read_tensors, write_tensors
from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.pretrained.wording import LANGUAGES, NUMBERS

RATE: Final = 22050  # samples a second, as espeak-ng makes them
FRAMES: Final = 72  # of 20 ms: 1.44 s, longer than any number word at these speeds once silence is cut
MELS: Final = 40
HOP: Final = RATE // 50
_WINDOW: Final = 1024
_QUIET: Final = 0.02  # of the loudest sample: what counts as silence
_FLOOR: Final = 1e-6  # of the power; its logarithm is the value of silence

# Variants of espeak-ng's voices. Those of the test were drawn at random and first heard when all choices were made; of
# the voices drawn, those with nearly the formants of a training voice were dropped, unheard (max, miguel), and training
# has no twin of linda (belinda). Development has the odd ones out: muffled, echoing, whispering.
VOICES: Final = {
    "train": (
        *("m1", "m2", "m3", "m4", "m5", "m6", "f1", "f2", "f3", "f5", "klatt", "klatt2", "Andy", "Alex", "Alicia"),
        *("anika", "antonio", "benjamin", "boris", "david", "Denis", "ed", "grandma", "gustave", "Jacky", "john"),
        *("Lee", "marcelo", "Marco", "Michael", "michel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy"),
        *("rob", "robert", "sandro", "shelby", "victor", "zac"),
    ),
    "development": ("m7", "m8", "f4", "croak", "whisper", "adam", "Andrea", "travis"),
    "test": ("Annie", "aunty", "caleb", "grandpa", "kaukovalta", "linda", "Mario", "Nguyen"),
}
# Clips of each (language, number) in a split.
CLIPS: Final = {"train": 16, "development": 4, "test": 4}
_SPEEDS: Final = (120, 200)  # words a minute
_PITCHES: Final = (25, 75)  # of 0 to 99


@dataclass(frozen=True)
class Clip:
    """One utterance: what is said and how."""

    language: str
    number: int
    voice: str
    speed: int
    pitch: int


@dataclass(frozen=True)
class Speech:
    """A split's clips and their log-mel features [N, 72, 40], mean 0 and deviation 1 over each clip."""

    clips: tuple[Clip, ...]
    features: Tensor

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number said in each clip, [N]."""
        return np.array([clip.number for clip in self.clips])

    @property
    def languages(self) -> NDArray[np.int64]:
        """Each clip's language as its place in `LANGUAGES`, [N]."""
        return np.array([list(LANGUAGES).index(clip.language) for clip in self.clips])


def script(split: str, clips: int | None = None) -> tuple[Clip, ...]:
    """What is said in a split: `clips` (by default `CLIPS`) of each (language, number), the same in every run."""
    rng = np.random.default_rng([7, list(VOICES).index(split)])
    voices = VOICES[split]
    return tuple(
        Clip(
            language,
            number,
            voices[rng.integers(len(voices))],
            int(rng.integers(*_SPEEDS, endpoint=True)),
            int(rng.integers(*_PITCHES, endpoint=True)),
        )
        for _ in range(CLIPS[split] if clips is None else clips)
        for language in LANGUAGES
        for number in range(NUMBERS)
    )


@cache
def espeak() -> str:
    """The synthesiser's path. Raises ConfigError where it is not installed."""
    path = shutil.which("espeak-ng")
    if path is None:
        raise ConfigError("espeak-ng: is not installed; install the package of that name (Debian: espeak-ng)")
    return path


def espeak_version() -> str:
    """Such as "1.51"."""
    said = subprocess.run([espeak(), "--version"], capture_output=True, text=True, check=True).stdout
    return said.split(":", 1)[1].split()[0]


def speak(clip: Clip, word: str) -> NDArray[np.float32]:
    """The waveform [samples] at `RATE`, -1 to 1, without silence before and after.

    Raises ConfigError where none is made.
    """
    how = ["-v", f"{clip.language}+{clip.voice}", "-s", str(clip.speed), "-p", str(clip.pitch)]
    done = subprocess.run([espeak(), *how, "--stdout", word], capture_output=True, check=False)
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(f"espeak-ng: does not speak {word!r} as {clip} ({said[0] if said else 'no sound'})")
    _, samples = wavfile.read(io.BytesIO(_whole(done.stdout)))
    wave = (samples / 32768.0).astype(np.float32)
    loud = np.flatnonzero(np.abs(wave) > _QUIET * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def _whole(stream: bytes) -> bytes:
    """A WAV stream with its true lengths: espeak-ng writes the header before it knows them."""
    riff, data = (len(stream) - 8).to_bytes(4, "little"), (len(stream) - 44).to_bytes(4, "little")
    return stream[:4] + riff + stream[8:40] + data + stream[44:]


@cache
def _transform() -> tuple[ShortTimeFFT, NDArray[np.float64]]:
    from transformers.audio_utils import mel_filter_bank  # takes a second: only who makes features waits for it

    window = get_window("hann", _WINDOW)
    bank = mel_filter_bank(_WINDOW // 2 + 1, MELS, 60.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    return ShortTimeFFT(window, HOP, RATE, scale_to="magnitude"), bank


def log_mel(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [72, 40] of a waveform [samples]: log power in 40 mel bands every 20 ms, silence at the end."""
    transform, bank = _transform()
    padded = np.zeros(FRAMES * HOP)
    padded[: min(len(wave), len(padded))] = wave[: len(padded)]
    power = np.abs(transform.stft(padded, p0=0, p1=FRAMES)) ** 2  # [513, 72]
    levels = np.log(power.T @ bank + _FLOOR)  # [72, 40]
    features: NDArray[np.float32] = ((levels - levels.mean()) / levels.std()).astype(np.float32)
    return features


def load_speech(split: str, words: Sequence[Sequence[str]], folder: Path, clips: int | None = None) -> Speech:
    """A split's speech, synthesised unless `folder` holds it already.

    words: [L, 100] number words, languages as in `LANGUAGES`.
    """
    said = script(split, clips)
    texts = [words[list(LANGUAGES).index(clip.language)][clip.number] for clip in said]
    about = [espeak_version(), RATE, FRAMES, MELS, HOP, [[*astuple(c), t] for c, t in zip(said, texts, strict=True)]]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    path = folder / f"speech_{split}_{key}.safetensors"
    try:
        features = read_tensors(path)[0]["features"].float()
    except (CheckpointError, KeyError):
        with ThreadPoolExecutor(2) as pool:
            made = pool.map(lambda pair: log_mel(speak(*pair)), zip(said, texts, strict=True))
            shown = track(made, description=f"speech, {split}", total=len(said))
            features = torch.from_numpy(np.stack(list(shown))).half()
        write_tensors(path, {"features": features})
        features = features.float()
    return Speech(said, features)
