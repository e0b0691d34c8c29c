"""The list of BabyAI's navigation levels, and what is said of others."""

import warnings

import gymnasium
import minigrid
import pytest
from minigrid.core.actions import Actions
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX

import goalbridge.envs  # noqa: F401  (registers the ids)
from goalbridge.envs.babyai import phrasing, simulator
from goalbridge.envs.babyai.levels import LEVELS, LevelError, check_minigrid_version, level


@pytest.mark.parametrize("name", LEVELS)
def test_minigrid_has_the_level_in_this_size_and_every_name_is_known(name: str) -> None:
    known = LEVELS[name]
    raw = gymnasium.make(known.minigrid_id, disable_env_checker=True).unwrapped
    assert (known.width, known.height) == (raw.width, raw.height)  # type: ignore[attr-defined]
    assert known.name == name
    assert known.id in gymnasium.registry
    assert level(name) is level(known.minigrid_id) is level(known.id) is known


def test_no_level_about_going_somewhere_is_left_out() -> None:
    theirs = {name for name in gymnasium.registry if name.startswith("BabyAI-GoTo")} - {"BabyAI-GoToImpUnlock-v0"}
    assert {known.minigrid_id for known in LEVELS.values()} == theirs | {"MiniGrid-FourRooms-v0"}
    families = ["room", "doors", "maze", "four_rooms", "sequence"]
    assert [known.family for known in LEVELS.values()] == sorted(
        (k.family for k in LEVELS.values()), key=families.index
    )
    assert level("goalbridge/BabyAI-GoToObjS6-v0").minigrid_id == "BabyAI-GoToObjS6-v1"


def test_numbers_are_minigrids() -> None:
    for name, number in [*OBJECT_TO_IDX.items(), *STATE_TO_IDX.items()]:
        assert getattr(simulator, name.upper()) == number
    assert {colour: place for place, colour in enumerate(phrasing.COLOURS)} == COLOR_TO_IDX
    assert [OBJECT_TO_IDX[kind] - phrasing.FIRST_TYPE for kind in phrasing.TYPES] == [0, 1, 2, 3]
    assert tuple(int(Actions[name]) for name in simulator.ACTIONS) == simulator.MINIGRID_ACTIONS


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        *((name, "") for name in ("GoToImpUnlock", "BabyAI-PickupLoc-v0", "MiniGrid-Empty-5x5-v0", "")),
        ("BabyAI-GoToLocal-v7", "GoToLocal"),
        ("GoToLocla", "GoToLocal"),
        ("gotoseq", "GoToSeq"),
        ("BabyAI-GoToObjMazeS8-v0", "GoToObjMazeS"),
        ("MiniGrid-FourRoom-v0", "FourRooms"),
        ("goalbridge/BabyAI-GoToDor-v0", "GoToDoor"),
    ],
)
def test_other_levels_are_refused_in_one_line_the_nearest_first(name: str, nearest: str) -> None:
    with pytest.raises(LevelError) as caught:
        level(name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"level: expected a navigation level, got {name!r}")
    named = message.split("try one of ")[1].split(", ")
    assert sorted(named) == sorted(LEVELS)
    assert named[0].startswith(nearest)


@pytest.mark.parametrize("version", ["3.3.0", "3.20.1", "3.1.0", "4.0.0"])
def test_an_untested_minigrid_is_warned_of_once(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minigrid, "__version__", version)
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.warns(UserWarning, match=f"minigrid: expected version .*{version}") as caught:
            make("goalbridge/BabyAI-GoToLocal-v0")
        assert len(caught) == 1
        assert "\n" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tested in ("3.2.0", "3.2.17", "3.2"):
            monkeypatch.setattr(minigrid, "__version__", tested)
            check_minigrid_version()
