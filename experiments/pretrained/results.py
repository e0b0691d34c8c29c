"""The sections of RESULTS.md about pretrained models, from results/pretrained.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from goalbridge.experiments.agent.markdown import cell, load, source, table
from goalbridge.experiments.pretrained.figures import CONFUSION_PNG, RECALL_PNG, SIZES_PNG, WAYS
from goalbridge.experiments.pretrained.retrieval import RANKS

Rows = Mapping[str, Any]  # by name, direction and "R@k"

ABOUT_DATA: Final = (
    "Images are two digits of scikit-learn's `load_digits` side by side, speech is espeak-ng's. Each image has a "
    "caption in one of five languages, each clip one in its own: the number word, a phrase, or something vaguer (odd "
    "or even, the tens, the last digit). Image-caption pairs and caption-speech pairs are trained apart, by InfoNCE; "
    "no image is ever seen with speech, except by the rival of the last row, which has as many steps, on images and "
    "clips of the same number. Training hears its voices distorted, as was best on development voices. Tested on "
    "voices that neither has met, and on the file's last three forms of handwriting: the file names no writers, but "
    "its forms can be told apart, and people filled them in one after the other."
)
ABOUT_METHODS: Final = (
    "*LogSumExp* is the whole sum over all texts, each weighted by its probability, with either pair's own learned "
    "scale; *at scale 1* it takes the same models' bare cosines. *best text alone* is the sum's largest term. *Direct* "
    "compares images with speech as if both models had one space: those trained apart have none in common."
)
ABOUT_ENCODERS: Final = (
    "Each model reads text by an encoder of its own: frozen MiniLM sentence embeddings, or letters (character n-grams) "
    "learned from scratch. LogSumExp adds scores and needs no common space. Image-text model first, text-speech second."
)


def sections() -> list[str]:
    """The headings, paragraphs and tables; empty where nothing has been measured."""
    result = load("pretrained")
    if result is None:
        return []
    methods, sizes = result["methods"], {f"M = {size}": row for size, row in result["sizes"].items()}
    apart = {name: row for name, row in result["text_encoders"].items() if "Direct" not in name}
    return [
        f"## Handwriting and speech that were never paired\n\n{source(result)} {_trials(result)}",
        ABOUT_DATA,
        ABOUT_METHODS,
        _recalls("method", methods, result["candidates"]),
        f"![Recall by method]({RECALL_PNG})",
        "### How well each pair is learned\n\nA number word among 25, in the language spoken.",
        _recalls("pair", result["own_pairs"]),
        _voices(result),
        "### The size of the bridge\n\nTexts drawn from p(text), with repeats.",
        _recalls("bridge", sizes),
        f"![Recall over the size of the bridge]({SIZES_PNG})",
        "### What the bridge is made of\n\nThe same models; only these captions in the sum.",
        _recalls("captions", result["bridges"]),
        f"### Two text encoders\n\n{ABOUT_ENCODERS}",
        _recalls("text encoders", apart),
        "### What is taken for what\n\nCandidates: one clip of each of the 100 numbers.",
        f"![Confusions]({CONFUSION_PNG})",
    ]


def _trials(result: Mapping[str, Any]) -> str:
    return f"{result['trials']} trials of {result['candidates']} candidates for each seed; split: {result['split']}."


def _voices(result: Mapping[str, Any]) -> str:
    found = ", ".join(f"{voice} {right / clips:.3f}" for voice, (right, clips) in result["voices"].items())
    return (
        "Voices differ: the share of clips whose own word comes first of the 100 of its language, by the text-speech "
        f"pair, for each voice of the test: {found}."
    )


def _recalls(first: str, rows: Rows, candidates: int | None = None) -> str:
    """Recall@k of either direction, with intervals; chance, too, where the number of `candidates` is given."""
    header = [first, *(f"{title}, R@{k}" for title in WAYS.values() for k in RANKS)]
    lines = [[name, *(cell(row[way][f"R@{k}"]) for way in WAYS for k in RANKS)] for name, row in rows.items()]
    if candidates:
        lines.append(["chance", *(f"{k / candidates:.3f}" for _ in WAYS for k in RANKS)])
    return table(header, lines)
