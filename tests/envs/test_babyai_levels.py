"""The list of BabyAI's navigation levels, and what is said of others."""

import warnings

import gymnasium
import minigrid
import pytest

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai.levels import LEVELS, LevelError, check_minigrid_version, level


@pytest.mark.parametrize("name", LEVELS)
def test_minigrid_has_the_level_in_this_size(name: str) -> None:
    known = LEVELS[name]
    raw = gymnasium.make(known.minigrid_id, disable_env_checker=True).unwrapped
    raw.reset(seed=0)
    assert (known.width, known.height) == (raw.width, raw.height) == (raw.grid.width, raw.grid.height)  # type: ignore[attr-defined]
    assert known.name == name
    assert known.id in gymnasium.registry


def test_no_level_about_going_somewhere_is_left_out() -> None:
    theirs = {name for name in gymnasium.registry if name.startswith("BabyAI-GoTo")} - {"BabyAI-GoToImpUnlock-v0"}
    assert {known.minigrid_id for known in LEVELS.values()} == theirs | {"MiniGrid-FourRooms-v0"}
    families = [known.family for known in LEVELS.values()]
    assert list(dict.fromkeys(families)) == ["room", "doors", "maze", "four_rooms", "sequence"]
    assert families == sorted(families, key=["room", "doors", "maze", "four_rooms", "sequence"].index)


def test_a_level_is_known_by_every_name() -> None:
    for name, known in LEVELS.items():
        assert level(name) is level(known.minigrid_id) is level(known.id) is known
    assert level("goalbridge/BabyAI-GoToObjS6-v0").minigrid_id == "BabyAI-GoToObjS6-v1"
    assert level("goalbridge/BabyAI-FourRooms-v0").minigrid_id == "MiniGrid-FourRooms-v0"


@pytest.mark.parametrize(
    "name", ["GoToImpUnlock", "BabyAI-PickupLoc-v0", "MiniGrid-Empty-5x5-v0", "", "BabyAI-GoToLocal-v7"]
)
def test_other_levels_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(LevelError) as caught:
        level(name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"level: expected a navigation level, got {name!r}")
    assert sorted(message.split("try one of ")[1].split(", ")) == sorted(LEVELS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GoToLocla", "GoToLocal"),
        ("gotoseq", "GoToSeq"),
        ("BabyAI-GoToObjMazeS8-v0", r"GoToObjMazeS\d"),
        ("MiniGrid-FourRoom-v0", "FourRooms"),
        ("goalbridge/BabyAI-GoToDor-v0", "GoToDoor"),
    ],
)
def test_the_nearest_level_is_named_first(name: str, meant: str) -> None:
    with pytest.raises(LevelError, match=f"try one of {meant}, "):
        level(name)


@pytest.mark.parametrize("version", ["3.3.0", "3.20.1", "3.1.0", "4.0.0"])
def test_an_untested_minigrid_is_warned_of(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minigrid, "__version__", version)
    with pytest.warns(UserWarning, match="minigrid: expected version") as caught:
        gymnasium.make("goalbridge/BabyAI-GoToLocal-v0")
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 1
    assert version in messages[0]
    assert "\n" not in messages[0]
    with pytest.warns(UserWarning, match="minigrid: expected version") as caught:
        gymnasium.make_vec("goalbridge/BabyAI-GoToLocal-v0", num_envs=3)
    assert len(caught) == 1


@pytest.mark.parametrize("version", ["3.2.0", "3.2.17", "3.2"])
def test_a_tested_minigrid_is_passed_over(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minigrid, "__version__", version)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_minigrid_version()
