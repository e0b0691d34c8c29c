"""Closed forms of Lemma 1's integral: for marginals uniform on the sphere (Lemma 2) and isotropic Gaussian (Lemma 3).

Source: Che & Eysenbach, ICLR 2025, Lemmas 2 and 3; the normaliser is von Mises and Fisher's (Mardia & Jupp, 2000).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import gammaln, ive

Scores = NDArray[np.float64]


def log_sphere_integral(length: ArrayLike, dimension: int) -> Scores:
    """log E exp(w . u) for u uniform on the unit sphere of `dimension`, by the length |w| >= 0 alone, elementwise.

    It rises with |w|. Raises ValueError if a length is negative or `dimension` < 2.
    """
    kappa = np.asarray(length, dtype=np.float64)
    if (kappa < 0).any() or dimension < 2:
        raise ValueError(
            f"length={kappa.min()}, dimension={dimension}; needs lengths of at least 0 and a dimension from 2"
        )
    order = dimension / 2 - 1
    safe = np.maximum(kappa, 1e-12)
    # E = Gamma(d/2) (2 / kappa)^order I_order(kappa); ive is I scaled by exp(-kappa).
    with np.errstate(divide="ignore"):
        value = gammaln(order + 1) + order * np.log(2 / safe) + np.log(ive(order, safe)) + safe
    # Below this length the series 1 + kappa^2 / 2 d says it, where the Bessel function underflows.
    return np.where(kappa < 1e-3, kappa**2 / (2 * dimension), value)


def sphere_scores(a: Scores, c: Scores, scale_ab: float, scale_bc: float) -> Scores:
    """Lemma 2: log E_u exp(scale_ab a . u + scale_bc u . c), uniform u: unit a [N, d], c [K, d] -> [N, K].

    Only |scale_ab a + scale_bc c| enters, so only a . c: Direct ranks as it does.
    """
    square = scale_ab**2 + scale_bc**2 + 2 * scale_ab * scale_bc * (a @ c.T)  # [N, K]
    return log_sphere_integral(np.sqrt(square.clip(min=0)), a.shape[1])


def gaussian_gain(scale_ab: float, variance: float) -> float:
    """What a is multiplied by before Lemma 3 compares it with c, 0 to 1: 1 / (1 + 1 / (2 variance scale_ab))."""
    return 1 / (1 + 1 / (2 * variance * scale_ab))


def gaussian_scores(a: Scores, c: Scores, scale_ab: float, scale_bc: float, variance: float) -> Scores:
    """Lemma 3: log E exp(-scale_ab |a - x|^2 - scale_bc |x - c|^2), x ~ N(0, variance I): a [N, d], c [K, d] -> [N, K].

    It is a term of a alone less ``k |c - gain a|^2``, a squared distance again. How far the marginal pulls a to the
    origin is `gaussian_gain`; Direct takes it for 1.
    """
    pull = 1 / (2 * variance)
    total = scale_ab + scale_bc + pull
    gain = gaussian_gain(scale_ab, variance)
    k = scale_bc * (scale_ab + pull) / total
    constant = -a.shape[1] / 2 * math.log(2 * variance * total)
    own = (k * gain**2 - scale_ab * (scale_bc + pull) / total) * (a**2).sum(1)  # [N]
    scores: Scores = constant + own[:, None] - k * cdist(gain * a, c, "sqeuclidean")
    return scores
