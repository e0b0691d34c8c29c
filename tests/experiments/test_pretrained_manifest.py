"""The user's own media through pretrained models: tiny ones of the same classes, made here, loaded by the same code."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from goalbridge.agents.bridge import bridge_scores
from goalbridge.configs.checks import ConfigError
from goalbridge.experiments.pretrained import __main__ as command
from goalbridge.experiments.pretrained.embeddings import EmbeddingCache
from goalbridge.experiments.pretrained.manifest import read_manifest
from goalbridge.experiments.pretrained.models import load_model
from goalbridge.experiments.pretrained.own_media import Retrieval, draw_trials, free_captions
from goalbridge.experiments.pretrained.settings import ManifestSettings

soundfile = pytest.importorskip("soundfile")

WORDS = ("rain", "dog", "bell", "wind", "bird", "car", "a", "the", "loud", "far")
PAIRS = 5
_SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
_TEXT = _SMALL | {"vocab_size": 32, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
_VISION = _SMALL | {"image_size": 16, "patch_size": 8}
_AUDIO = {
    **{"num_mel_bins": 16, "spec_size": 64, "window_size": 4, "patch_size": 2, "patch_stride": 2, "hidden_size": 32},
    **{"patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2], "num_hidden_layers": 2},
}
_HEARD: dict[str, Any] = {
    "feature_size": 16,
    "sampling_rate": 8000,
    "hop_length": 100,
    "max_length_s": 1,
    "fft_window_size": 512,
}


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate(("[UNK]", "[PAD]", "<s>", "</s>", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"unk_token": "[UNK]", "pad_token": "[PAD]", "bos_token": "<s>", "eos_token": "</s>"}
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=12, **marks)  # type: ignore[no-untyped-call]
    made.save_pretrained(folder)


def save_clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    text = _TEXT | {"max_position_embeddings": 12}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=dict(_VISION), projection_dim=8))
    nn.init.constant_(model.logit_scale, 3.0)
    model.save_pretrained(folder)
    crop = {"height": 16, "width": 16}
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=crop).save_pretrained(folder)
    save_tokenizer(folder)


def save_siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    text = _TEXT | {"max_position_embeddings": 12, "projection_size": 16}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=dict(_VISION)))
    nn.init.constant_(model.logit_scale, 2.0)
    nn.init.constant_(model.logit_bias, -5.0)
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    save_tokenizer(folder)


def save_clap(folder: Path) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    text, audio = _TEXT | {"max_position_embeddings": 20}, _AUDIO | {"num_classes": 4}
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=8))
    nn.init.constant_(model.logit_scale_t, 1.5)
    nn.init.constant_(model.logit_scale_a, 9.0)
    model.save_pretrained(folder)
    ClapFeatureExtractor(**_HEARD, frequency_max=4000, truncation="rand_trunc").save_pretrained(folder)
    save_tokenizer(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for name, save in {"clip": save_clip, "siglip": save_siglip, "clap": save_clap}.items():
        save(folder / name)
    return folder


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A manifest of `PAIRS` clips with frames, a caption each, and five captions of nothing; the first clip has two."""
    rng = np.random.default_rng(0)
    lines = ["audio,image,text"]
    for pair in range(PAIRS):
        seconds = 2 if pair == 0 else 0.5  # longer than the model hears, and shorter
        rate = 16000 if pair == 1 else 8000
        soundfile.write(tmp_path / f"{pair}.wav", 0.1 * rng.normal(size=(int(seconds * rate), 1 + pair % 2)), rate)
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / f"{pair}.png")
        lines.append(f"{pair}.wav,{pair}.png,a {WORDS[pair]}")
    lines += ["0.wav,0.png,the loud rain", *(f",,far {word}" for word in WORDS[:5])]
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def settings(media: Path, models: Path, image: str = "clip") -> ManifestSettings:
    paths = str(media), str(models / image), str(models / "clap")
    cache, out = str(media.parent / "cache"), str(media.parent / "out.json")
    return ManifestSettings(*paths, candidates=3, trials=7, sizes=(2, 4, 1000), cache=cache, out=out)


def retrieval_of(chosen: ManifestSettings) -> Retrieval:
    models = load_model(chosen.image_model, "image"), load_model(chosen.audio_model, "audio")
    return Retrieval(read_manifest(Path(chosen.manifest), 3), *models, chosen)


@pytest.mark.parametrize(("name", "scale", "bias"), [("clip", 3.0, 0.0), ("siglip", 2.0, -5.0)])
def test_the_critic_with_the_bias_gives_the_models_own_logits(
    models: Path, media: Path, name: str, scale: float, bias: float
) -> None:
    model = load_model(str(models / name), "image")
    texts, files = ["a dog", "the far bell"], [media.parent / f"{pair}.png" for pair in range(3)]
    found = model.critic(model.embed_texts(texts), model.embed_media(files)) + model.bias  # [2, 3]
    masked = name == "clip"  # SigLIP never sees a mask
    how = {"padding": True if masked else "max_length", "truncation": True, "max_length": 12, "return_tensors": "pt"}
    inputs = model.tokenizer(texts, return_attention_mask=masked, **how)
    pixels = model.extractor(images=[Image.open(file) for file in files], return_tensors="pt")
    with torch.no_grad():
        expected = model.model(**inputs, **pixels).logits_per_text
    assert model.critic.log_scale.item() == pytest.approx(scale)
    assert model.bias == bias
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_claps_own_scale_of_texts_as_queries_is_used(models: Path, media: Path) -> None:
    model = load_model(str(models / "clap"), "audio")
    assert model.critic.log_scale.item() == pytest.approx(1.5)
    embeddings = model.embed_media([media.parent / f"{pair}.wav" for pair in range(3)])
    assert embeddings.shape == (3, 8)
    again = model.embed_media([media.parent / "0.wav"])  # longer than a second: cropped, but not at random
    torch.testing.assert_close(again[0], embeddings[0], rtol=1e-4, atol=1e-5)


def test_a_manifest_becomes_recalls_in_json(models: Path, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = media.parent / "found.json"
    arguments = ["manifest", str(media), str(models / "clip"), str(models / "clap")]
    command.main([*arguments, "candidates=3", "trials=7", "sizes=[2,4,1000]", f"cache={media.parent}/c", f"out={out}"])
    result = json.loads(out.read_text())
    assert set(result["methods"]) == {"Direct", "LogSumExp, all captions"}
    assert set(result["sizes"]) == {"2", "4"}  # no bridge has 1000
    for row in (*result["methods"].values(), *result["sizes"].values()):
        for way in ("forward", "backward"):
            one, five = row[way]["R@1"], row[way]["R@5"]
            assert 0 <= one["low"] <= one["mean"] <= one["high"] <= 1
            assert five["mean"] == 1  # of three candidates
    assert result["models"]["image"]["logit_scale"] == pytest.approx(np.exp(3.0), rel=1e-4)
    assert "chance" in capsys.readouterr().out


def test_no_direct_between_spaces_of_other_dimensions(models: Path, media: Path) -> None:
    retrieval = retrieval_of(settings(media, models, "siglip"))
    assert not retrieval.has_direct
    trial, free = torch.tensor([0, 2, 4]), torch.ones(11, dtype=torch.bool)
    assert torch.isfinite(retrieval.logsumexp(trial, free)).all()


def test_scores_are_lemma_1_of_all_free_captions(models: Path, media: Path) -> None:
    retrieval = retrieval_of(settings(media, models))
    critics = load_model(str(models / "clip"), "image").critic, load_model(str(models / "clap"), "audio").critic
    trial = torch.tensor([0, 2, 4])
    free = torch.ones(11, dtype=torch.bool)
    free[[0, 3]] = False
    expected = torch.empty(3, 3)
    for i, a in enumerate(retrieval.a[trial]):
        for k, c in enumerate(retrieval.c[trial]):
            terms = critics[0].paired(a, retrieval.bridge_ab) + critics[1].paired(c, retrieval.bridge_bc)  # [T]
            expected[i, k] = terms[free].logsumexp(0) - np.log(9)
    torch.testing.assert_close(retrieval.logsumexp(trial, free), expected, rtol=1e-4, atol=1e-4)
    first = retrieval.order[free[retrieval.order]][:4]
    pairs = retrieval.a[trial], retrieval.c[trial]
    some = bridge_scores(*pairs, retrieval.bridge_ab[first], retrieval.bridge_bc[first], *critics)
    torch.testing.assert_close(retrieval.logsumexp(trial, free, 4), some)


def test_embeddings_are_made_once_for_each_content(models: Path, media: Path) -> None:
    chosen = settings(media, models)
    retrieval_of(chosen)
    files = sorted(Path(chosen.cache).iterdir())
    assert [file.name.split("_")[0] for file in files] == ["images", "sounds", "texts", "texts"]

    def unexpected(_: object) -> Tensor:
        raise AssertionError("was embedded before")

    cache = EmbeddingCache(Path(chosen.cache), load_model(chosen.image_model, "image").fingerprint, "images")
    copy = media.parent / "copy.png"
    copy.write_bytes((media.parent / "2.png").read_bytes())
    kept = cache.embed([copy, media.parent / "2.png"], unexpected, 1)  # the same content under another name
    torch.testing.assert_close(kept[0], kept[1])


def test_an_unreadable_cache_and_another_model_start_anew(tmp_path: Path) -> None:
    made: list[str] = []

    def make(texts: Sequence[str]) -> Tensor:
        made.extend(texts)
        return torch.ones(len(texts), 2)

    EmbeddingCache(tmp_path, "one", "texts").embed(["x", "y", "x"], make, 8)
    assert made == ["x", "y"]
    EmbeddingCache(tmp_path, "one", "texts").path.write_bytes(b"damaged")
    EmbeddingCache(tmp_path, "one", "texts").embed(["x"], make, 8)
    EmbeddingCache(tmp_path, "two", "texts").embed(["x"], make, 8)
    assert made == ["x", "y", "x", "x"]
    with pytest.raises(ConfigError, match="not finite"):
        EmbeddingCache(tmp_path, "three", "texts").embed(["x"], lambda texts: torch.full((len(texts), 2), torch.nan), 8)


def test_captions_of_a_trials_own_files_never_bridge_it(media: Path, models: Path) -> None:
    manifest = read_manifest(media, 3)
    assert len(manifest.texts) == 11
    free = free_captions(manifest, np.array([0, 2, 3]))
    barred = {text for text, of in zip(manifest.texts, free, strict=True) if not of}
    assert barred == {"a rain", "the loud rain", "a bell", "a wind"}


def test_no_file_is_in_a_trial_twice(media: Path, models: Path) -> None:
    media.write_text(media.read_text() + "0.wav,1.png,two frames of one clip\n")
    manifest = read_manifest(media, 3)
    assert len(manifest.audio) == PAIRS + 1
    for trial in draw_trials(manifest, settings(media, models)):
        assert len({manifest.audio[pair] for pair in trial}) == len({manifest.image[pair] for pair in trial}) == 3
    with pytest.raises(ConfigError, match="share no file"):
        draw_trials(manifest, ManifestSettings(str(media), "-", "-", candidates=6, trials=1))


HEADER = b"audio,image,text\n0.wav,0.png,a dog\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + b"missing.wav,0.png,rain", r"line 3, audio: missing.wav is no file"),
        (HEADER + b"0.wav,missing.png,rain", r"line 3, image: missing.png is no file"),
        (HEADER + b"0.wav,,rain", r"line 3, image: is empty"),
        (HEADER + b",,", r"line 3, text: is empty"),
        (HEADER + b"0.wav,0.png,rain, heavy", r"line 3: has not 3 cells"),
        (HEADER + b"0.wav,0.png", r"line 3: has not 3 cells"),
        (HEADER + b",,rain", r"has 1 audio-image pairs; a trial of candidates=3"),
        (b"sound,image,text\n", "columns are sound, image, text"),
        (b"", "columns are none"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_bad_manifest_is_named_by_line_and_column(media: Path, content: bytes, message: str) -> None:
    media.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        read_manifest(media, 3)
    assert "\n" not in str(error.value)


def test_what_cannot_be_measured_ends_in_one_line(
    models: Path, media: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are nowhere; and, before models are loaded, three pairs and their captions without any others."""
    import huggingface_hub

    def offline(*_: object, **__: object) -> str:
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    for lines, message in (
        (None, "image_model=openai/clip: weights are not on disk"),
        (4, "add rows of text alone"),
    ):
        media.write_text("\n".join(media.read_text().splitlines()[:lines]) + "\n")
        with pytest.raises(SystemExit) as stop:
            command.main(["manifest", str(media), "openai/clip", str(models / "clap"), "candidates=3", "out=o.json"])
        assert stop.value.code == 2
        (said,) = capsys.readouterr().err.strip().splitlines()
        assert message in said


def test_a_wrong_or_damaged_model_is_refused(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    def refusal(folder: Path | str, kind: Literal["image", "audio"] = "image") -> str:
        with pytest.raises(ConfigError) as error:
            load_model(str(folder), kind)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert re.search(r"audio_model=.*is of kind clip; give a ClapModel", refusal(models / "clip", "audio"))
    assert "no such folder" in refusal("./nowhere")
    (tmp_path / "config.json").write_text("{}")
    assert "holds no weights" in refusal(tmp_path)
    save_clip(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "weights lack visual_projection.weight" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    assert "cannot be loaded" in refusal(tmp_path)
