"""What all that is said of a world promises: every text is of one split and leads back to its label."""

import re
from collections.abc import Callable

import pytest

from goalbridge.configs.splits import SPLITS
from goalbridge.envs.babyai.captions import GridCaptions
from goalbridge.envs.babyai.four_rooms import EVALUATION_TEMPLATES, ROOMS
from goalbridge.envs.commands import MazeCommands
from goalbridge.envs.layouts import LAYOUTS, Layout
from goalbridge.envs.phrasing import TEMPLATES, Wordings
from goalbridge.envs.places import MazePlaces
from goalbridge.envs.spaces import INSTRUCTION_SPACE

SMALL = ("#..\n###\n#..", "....\n.##.\n....\n....\n.#..\n....", ".", "......#.")
EVERY: dict[str, Callable[[], Wordings]] = {
    "commands": lambda: MazeCommands(LAYOUTS["fork"]),
    "fork": lambda: MazePlaces(LAYOUTS["fork"]),
    "island": lambda: MazePlaces(LAYOUTS["island"]),
    **{f"maze {text!r}": lambda text=text: MazePlaces(Layout.from_text(text, "small")) for text in SMALL},  # type: ignore[misc]
    **{f"captions {size}": lambda size=size: GridCaptions(size) for size in (0, 1, 5, 20, 1000)},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", EVERY)
def test_every_text_is_of_one_split_and_leads_back_to_its_label(name: str) -> None:
    said = EVERY[name]()
    texts = {split: said.all_texts(split) for split in SPLITS}
    for split in SPLITS:
        parts = [said.phrasings(label, split) for label in range(len(said.labels))]
        assert texts[split] == tuple(text for part in parts for text in part)
        assert min(map(len, parts)) >= 1
        assert len({text.lower() for text in texts[split]}) == len(texts[split])
        assert all(INSTRUCTION_SPACE.contains(text) and text == text.strip() for text in texts[split])
        assert not [text for text in texts[split] if re.search(r"\ba [aeiou]|\ban [^aeiou]", text)]
        for label, part in enumerate(parts):
            assert {said.label_id(text) for text in part} == {label}
            assert {said.label_id(f"  {text.upper()} ".replace(" ", "\n ")) for text in part} == {label}
    train, validation, held_out, label_texts = ({text.lower() for text in texts[split]} for split in SPLITS)
    assert not train & validation
    assert not held_out & (train | validation)
    assert tuple(texts["label"]) == said.labels
    assert len(label_texts) == len(said.labels)
    for text in ("", "row", "go to row 15", "go to row -1", "fly to row 3", "row 3 or column 5", "go to the red sofa"):
        assert said.label_id(text) is None
    with pytest.raises(ValueError, match=r"phrasings: expected .* got 'test'"):
        said.phrasings(0, "test")  # type: ignore[arg-type]


def test_no_held_out_template_of_mazes_is_another_with_words_put_around_it() -> None:
    train, validation, held_out = TEMPLATES.values()
    for others, forms in ((train, validation), (train + validation, held_out)):
        heads = [head for form in others if (head := form.partition("{")[0].strip())]  # the bare place has none
        assert not [other for other in forms for head in heads if head in other]


@pytest.mark.parametrize(
    ("name", "label", "split", "texts"),
    [
        ("commands", "row 3", "train", {"go to row 3", "head for row number three", "row 3", "row three"}),
        ("captions 0", "red ball", "train", {"walk to the red ball", "find a red ball"}),
        ("captions 0", "red", "train", {"something red", "a red object", "walk to the red thing"}),
        ("captions 0", "key", "held_out", {"go to a key", "go to the key"}),
        ("captions 0", "top side", "held_out", {"somewhere at the top"}),
        ("captions 0", "left side", "held_out", {"somewhere on the left"}),
        *(("captions 0", room, "held_out", {one.format(room=room) for one in EVALUATION_TEMPLATES}) for room in ROOMS),
    ],
)
def test_promised_wordings(name: str, label: str, split: str, texts: set[str]) -> None:
    said = EVERY[name]()
    assert texts < set(said.phrasings(said.labels.index(label), split))  # type: ignore[arg-type]
