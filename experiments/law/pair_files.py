"""Two models' embeddings from .npz files, checked before anything is computed from them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalbridge.agents.model import Critic
from goalbridge.configs.checks import ConfigError
from goalbridge.configs.schema import CRITICS


@dataclass(frozen=True)
class PairFile:
    """One pair's embeddings: left [N, d] and right [M, d] as the critic takes them, and the trained critic.

    paired: how many of the first rows of A (here) and of C (in the other file) belong together; 0 if that is not known.
    """

    left: Tensor
    right: Tensor
    critic: Critic
    paired: int = 0


def read_pairs(ab_path: Path, bc_path: Path) -> tuple[PairFile, PairFile]:
    """A-B with arrays a [N, d], b [M, d], and B-C with b [M, d'], c [K, d']; rows of both b are the same goals.

    Either holds `critic` (one of configs.schema.CRITICS) and `log_scale`, or `scale` (which some call the logit scale).
    A-B may hold `paired`. Raises ConfigError, one line, for what is missing or does not fit.
    """
    ab, bc = _read(ab_path, "a", "b"), _read(bc_path, "b", "c")
    if len(ab.right) != len(bc.left):
        raise ConfigError(f"{bc_path}: b has {len(bc.left)} rows; the {len(ab.right)} goals of {ab_path} would do")
    if not 0 <= ab.paired <= min(len(ab.left), len(bc.right)):
        raise ConfigError(
            f"{ab_path}: paired={ab.paired}; 0 to {min(len(ab.left), len(bc.right))} would do, rows of a and c"
        )
    return ab, bc


def _read(path: Path, left: str, right: str) -> PairFile:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; an .npz file with {left}, {right} would do") from None
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise ConfigError(f"{path}: is no .npz file of plain arrays ({' '.join(str(error).split())[:80]})") from None
    x, y = _matrix(path, left, arrays), _matrix(path, right, arrays)
    if x.shape[1] != y.shape[1]:
        raise ConfigError(f"{path}: {right} has dimension {y.shape[1]}; {left}'s, {x.shape[1]}, would do")
    return PairFile(torch.from_numpy(x), torch.from_numpy(y), _critic(path, arrays), int(arrays.get("paired", 0)))


def _matrix(path: Path, name: str, arrays: dict[str, NDArray[np.generic]]) -> NDArray[np.float64]:
    if name not in arrays:
        raise ConfigError(f"{path}: holds no {name} (but {', '.join(arrays)}); an array [rows, d] would do")
    found = arrays[name]
    if found.ndim != 2 or len(found) < 2 or not np.issubdtype(found.dtype, np.number):
        raise ConfigError(
            f"{path}: {name} has shape {found.shape}, {found.dtype}; numbers [rows, d], two rows, would do"
        )
    matrix: NDArray[np.float64] = found.astype(np.float64)
    if not np.isfinite(matrix).all():
        raise ConfigError(f"{path}: {name} holds NaN or infinity; finite numbers would do")
    return matrix


def _critic(path: Path, arrays: dict[str, NDArray[np.generic]]) -> Critic:
    kind = str(arrays.get("critic", "nothing"))
    if kind not in CRITICS:
        raise ConfigError(f"{path}: critic={kind}; {', '.join(CRITICS)} would do")
    scale = arrays.get("scale", np.array(1.0))
    log_scale = float(arrays["log_scale"]) if "log_scale" in arrays else float(np.log(scale)) if scale > 0 else np.nan
    if not ({"scale", "log_scale"} & set(arrays)) or not np.isfinite(log_scale):
        raise ConfigError(f"{path}: log_scale={log_scale}; the trained critic's log_scale, or scale > 0, would do")
    return Critic(kind, initial_log_scale=log_scale).requires_grad_(False)
