"""The digits experiment: what is said of a number, who writes and speaks it, training, scores and pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.pretrained import __main__ as command
from goalbridge.experiments.pretrained import digits as digits_module
from goalbridge.experiments.pretrained import digits_data, figures, showing, speech
from goalbridge.experiments.pretrained.digits import OURS, Trials
from goalbridge.experiments.pretrained.digits_data import Digits, trials
from goalbridge.experiments.pretrained.digits_models import Models, Recipe
from goalbridge.experiments.pretrained.handwriting import FORMS, SPLITS, write
from goalbridge.experiments.pretrained.retrieval import both_ways, ranks, recalls
from goalbridge.experiments.pretrained.speech import RATE, VOICES, Clip, log_mel, script, speak
from goalbridge.experiments.pretrained.towers import NgramTexts, SpeechTower
from goalbridge.experiments.pretrained.training import Pair, Schedule, embed, train
from goalbridge.experiments.pretrained.wording import KINDS, LANGUAGES, NUMBERS, VAGUE, Wording
from goalbridge.experiments.report.other_pages import PRETRAINED_PAGE

pytest.importorskip("num2words")

STEPS = 2


@pytest.fixture(scope="module")
def wording() -> Wording:
    return Wording()


class Letters:
    """Stands in for the sentence encoder: counts letters."""

    fingerprint = "letters"

    def __init__(self, *_: object) -> None: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)


def hum(clip: Clip, word: str) -> NDArray[np.float32]:
    """Stands in for espeak-ng: a tone a letter."""
    time = np.arange(RATE // 50) / RATE
    return np.concatenate([np.sin(2 * np.pi * (200 + 40 * (ord(letter) % 32)) * time) for letter in word]).astype("f4")


@pytest.fixture(autouse=True, scope="module")
def stand_ins() -> Iterator[None]:
    """No model of language and no synthesiser is used, but where a test says so."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (speech, showing):
            patch.setattr(module, "speak", hum)
        for module in (speech, digits_module):
            patch.setattr(module, "espeak_version", lambda: "none")
        patch.setattr(digits_data, "SentenceEncoder", Letters)
        yield


@pytest.fixture(scope="module")
def digits(stand_ins: None, tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return Digits(tmp_path_factory.mktemp("digits"), clips=1)


@pytest.fixture(scope="module")
def found(digits: Digits) -> Trials:
    items = digits.items("test", 0, clips=1)
    models = Models(digits, Recipe(embedding_dim=8, schedule=Schedule(steps=STEPS, batch_size=16)), seed=0)
    return Trials(digits, models, items, 6, 0)


def test_captions_are_true_and_as_likely_as_they_are_said_to_be(wording: Wording) -> None:
    english = list(LANGUAGES).index("en")
    said = [wording.texts[text] for text in wording.table[english, 47]]
    vague = ["an odd number", "from forty to forty-nine", "a number ending in seven"]
    assert said == ["forty-seven", "the number forty-seven", *vague]
    rng = np.random.default_rng(0)
    numbers = rng.integers(NUMBERS, size=40_000)
    drawn = np.bincount(wording.draw(rng, numbers), minlength=len(wording.texts)) / len(numbers)
    marginal = wording.marginal()
    assert marginal.sum() == pytest.approx(1)
    assert np.abs(drawn - marginal).max() < 0.003
    even = wording.texts.index("an even number")
    assert marginal[even] == pytest.approx(KINDS["parity"] / len(LANGUAGES) / 2)


def test_a_part_of_the_captions_has_a_marginal_of_its_own(wording: Wording) -> None:
    vague = wording.marginal(("en",), VAGUE)
    assert vague.sum() == pytest.approx(1)
    assert {wording.texts[text] for text in np.flatnonzero(vague)} >= {"an even number", "from ten to nineteen"}
    assert vague[wording.texts.index("forty-seven")] == 0
    shared = wording.table[:, 6, 0]  # "six" is English and French
    assert len(set(shared.tolist())) == len(LANGUAGES) - 1


def test_forms_begin_as_the_file_shows_and_no_form_is_in_two_splits() -> None:
    from sklearn.datasets import load_digits

    labels = load_digits().target
    assert FORMS[-1] == len(labels)
    starts = sum((labels[form : form + 10] == np.arange(10)).all() for form in FORMS[:-1])
    assert starts >= len(FORMS) - 3  # in the other forms a digit of the row was left out
    bounds = [bound for split in ("train", "development", "test") for bound in SPLITS[split]]
    assert bounds[1::2] == [*bounds[2::2], len(FORMS) - 1]


def test_images_show_their_number_and_leave_blank_what_is_not_there() -> None:
    images = write(np.random.default_rng(0), "test", np.array([7, 70]))
    assert images.shape == (2, 8, 16)
    assert images[0, :, :8].max() == 0
    assert images[1, :, :8].max() > 0.5
    assert 0 <= images.min() <= images.max() <= 1


def test_voices_are_in_one_split_only_and_the_script_never_changes() -> None:
    voices = [voice for split in VOICES.values() for voice in split]
    assert len(voices) == len(set(voices))
    assert script("test") == script("test")
    clips = script("development", 1)
    assert {(clip.language, clip.number) for clip in clips} == {(at, n) for at in LANGUAGES for n in range(NUMBERS)}
    assert {clip.voice for clip in clips} <= set(VOICES["development"])


def test_log_mel_shows_a_tone_where_it_sounds() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE // 2) / RATE).astype(np.float32)  # half a second
    features = log_mel(tone)
    assert features.shape == (speech.FRAMES, speech.MELS)
    assert features[:20].max() > features[30:].max() + 1
    band = features[5:20].argmax(1)
    assert (band == band[0]).all()
    assert log_mel(np.tile(tone, 10)).shape == features.shape  # what is too long is cut


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_speaks_the_same_twice_and_differently_by_voice() -> None:
    clip = Clip("de", 47, "m1", 150, 50)
    wave = speak(clip, "siebenundvierzig")
    assert 0.5 < len(wave) / RATE < 1.5
    assert 0.1 < np.abs(wave).max() <= 1
    np.testing.assert_array_equal(wave, speak(clip, "siebenundvierzig"))
    other = speak(Clip("de", 47, "f2", 150, 50), "siebenundvierzig")
    assert len(other) != len(wave) or not np.allclose(other, wave)


def test_without_espeak_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    speech.espeak.cache_clear()
    with pytest.raises(ConfigError, match="espeak-ng: is not installed"):
        speech.espeak()


def test_speech_is_made_once(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: object) -> NDArray[np.float32]:
        raise AssertionError("was made before")

    monkeypatch.setattr(speech, "speak", unexpected)
    again = speech.load_speech("train", digits.words, digits.folder, 1)
    torch.testing.assert_close(again.features, digits.speech.features)


def test_ranks_count_those_before_and_ties_against() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, -1.0], [5.0, 6.0, 4.0]])
    assert ranks(scores).tolist() == [0, 1, 2]
    assert recalls(scores.unsqueeze(0))["R@1"].tolist() == pytest.approx([1 / 3])
    assert both_ways(scores.unsqueeze(0))["backward"]["R@1"].tolist() == pytest.approx([1 / 3])
    assert recalls(torch.zeros(1, 25, 25))["R@10"].tolist() == [0.0]  # what tells nothing apart finds nothing


def test_a_trial_holds_the_same_numbers_in_images_and_clips(found: Trials) -> None:
    images, clips = trials(found.items, 4, 1)
    assert images.shape == clips.shape == (4, 25)
    numbers = found.items.image_numbers[images]
    np.testing.assert_array_equal(numbers, found.items.speech.numbers[clips])
    assert all(len(set(trial)) == 25 for trial in numbers.tolist())


def test_a_batch_marks_captions_that_say_the_same(digits: Digits) -> None:
    images, texts, same = digits.image_and_text(np.random.default_rng(0), 64)
    assert images.shape == (64, 8, 16)
    assert same is not None
    torch.testing.assert_close(same, texts[:, None] == texts)
    assert same.sum() > 64
    texts, features, _ = digits.text_and_speech(np.random.default_rng(0), 8)
    assert texts.shape == (8,)
    assert features.shape == (8, speech.FRAMES, speech.MELS)


def test_towers_see_order_and_ngrams_need_no_padding() -> None:
    texts = ("twenty-four", "forty-two", "a number ending in four")
    torch.manual_seed(0)
    alone, among = NgramTexts(texts[:1], 4), NgramTexts(texts, 4)
    alone.load_state_dict(among.state_dict())
    which = torch.arange(3)
    torch.testing.assert_close(alone(which[:1]), among(which)[:1])
    assert not torch.allclose(among(which)[0], among(which)[1])
    tower, features = SpeechTower(4), torch.randn(1, speech.FRAMES, speech.MELS)
    assert not torch.allclose(tower(features), tower(features.flip(1)))


def test_training_learns_a_pair_and_is_the_same_twice() -> None:
    def draw(rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        which = torch.from_numpy(rng.integers(8, size=count))
        return nn.functional.one_hot(which, 8).float(), which, which[:, None] == which

    def trained() -> tuple[Pair, dict[str, float]]:
        torch.manual_seed(0)
        pair = Pair(nn.Linear(8, 4), nn.Embedding(8, 4), "cosine", 4)
        return pair, train([pair], [draw], Schedule(steps=150, batch_size=32, learning_rate=0.03), seed=0)

    (pair, info), (again, _) = trained(), trained()
    assert info["accuracy 0"] > 0.95
    for one, other in zip(pair.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert embed(pair.left, torch.eye(8), at_once=3).shape == (8, 4)


def test_the_whole_sum_is_what_many_draws_come_to(found: Trials) -> None:
    crossing, probability = found.apart, found.probability
    drawn = torch.multinomial(probability, 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    few = replace(crossing, a=crossing.a[:3], c=crossing.c[:4])
    torch.testing.assert_close(few.logsumexp(probability), few.sampled(drawn), rtol=0, atol=0.05)
    left, right = crossing.critic_ab(few.a, crossing.bridge_ab), crossing.critic_bc(crossing.bridge_bc, few.c)
    terms = left[:, :, None] + right + probability.log()[:, None]  # [3, T, 4]
    torch.testing.assert_close(few.logsumexp(probability), terms.logsumexp(1), rtol=1e-4, atol=1e-4)


def test_models_are_trained_once_and_share_what_they_should(digits: Digits, found: Trials) -> None:
    first, second = found.models.shared()
    torch.testing.assert_close(first.right.state_dict(), second.left.state_dict())
    before = {path: path.stat().st_mtime_ns for path in digits.folder.rglob("*.safetensors")}
    again = Models(digits, found.models.recipe, seed=0).shared()[1]
    torch.testing.assert_close(again.state_dict(), second.state_dict())
    assert before == {path: path.stat().st_mtime_ns for path in digits.folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def measured(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `digits` writes, by the command itself, after two seeds of two steps."""
    out = tmp_path_factory.mktemp("out") / "pretrained.json"
    small = ["seeds=[0,1]", f"steps={STEPS}", "trials=5", "clips=1", f"folder={digits.folder}", f"out={out}"]
    command.main(["digits", *small])
    command.main(["show", *small])
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_the_command_writes_every_part_with_intervals(measured: dict[str, Any]) -> None:
    assert measured["seeds"] == [0, 1]
    assert next(iter(measured["methods"])) == OURS
    assert set(measured["sizes"]) == {"10", "30", "100", "300", "1000", "3000"}
    assert measured["bridges"]["all"] == measured["methods"][OURS]
    assert measured["text_encoders"]["sentences, sentences"] == measured["methods"][OURS]
    for part in ("methods", "sizes", "bridges", "text_encoders", "own_pairs"):
        for row in measured[part].values():
            for of in (row["forward"]["R@5"], row["backward"]["R@5"]):
                assert 0 <= of["low"] <= of["mean"] <= of["high"] <= 1
    assert sum(clips for _, clips in measured["voices"].values()) == 2 * len(LANGUAGES) * NUMBERS
    counts = np.array(measured["confusion"]["units"])
    assert counts.shape == (10, 10)
    assert (counts.sum(1) == 2 * 100).all()  # two seeds, ten images of each of ten numbers


def test_the_page_plays_and_shows(measured: dict[str, Any], digits: Digits) -> None:
    page = (digits.folder / "retrieval.html").read_text()
    assert page.count("<audio") == showing.QUERIES * (1 + showing.BEST_HEARD)
    assert page.count("<img") == showing.QUERIES * (showing.BEST + 1)
    assert list((digits.folder / "shown").glob("events.out.tfevents.*"))


def test_results_and_pictures_come_from_the_file(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert PRETRAINED_PAGE.render() is None
    with pytest.raises(ConfigError, match="is not there"):
        figures.draw()
    write_json(tmp_path / "results" / "pretrained.json", measured)
    text = str(PRETRAINED_PAGE.render())
    mean = measured["methods"][OURS]["forward"]["R@1"]["mean"]
    assert f"| {OURS} | {mean:.3f} [" in text
    assert "| sentences, n-grams |" in text
    command.main(["figures"])
    assert all(f"(../{path.name})" in text for path in Path("docs").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "digit: is no command; digits, show, manifest, figures would do"),
        (["digits", "steps=none"], "steps=none"),
        (["digits", "steps=0"], "steps=0: must be at least 1"),
        (["digits", "step=5"], "step=5: no such setting"),
        (["digits", "split=train"], "split=train: must be development or test"),
        (["digits", "quick"], "quick: is no setting; give key=value"),
        (["digits", "seeds=[]"], "seeds=[]"),
        (["manifest", "clips.csv"], "image_model: is missing"),
        (["figures", "now"], "now: figures takes no settings"),
        (["digits", "out=/dev/null/x.json"], "is in the way"),
    ],
)
def test_bad_input_ends_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert message in said
