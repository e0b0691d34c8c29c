"""The pages on the agent: mazes, ambiguous commands, BabyAI, online data, worlds of users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from goalbridge.envs.babyai.levels import LEVELS
from goalbridge.envs.suite import SATISFIABLE
from goalbridge.experiments.report.markdown import Page, Row, Section, load, rows_of

MAZES: Final = ("fork_maze", "island_maze", "blank_maze", "slit_maze", "blocker_maze")
SOURCE: Final = "`{command}`, training seeds {seeds}, evaluation seed {evaluation_seed}, commit {git_commit:.12}."
UNDERSTOOD: Final = {  # beside success, which hides misunderstanding; shown where it was measured
    "mass on what was meant": "{mass}",
    "first guess right": "{first_guess}",
    "wrong visits": "{wrong_visits:2}",
}
BOTH: Final = {
    "success": "{success}",
    "spl_grid": "{spl_grid}",
    "spl": "{spl}",
    "steps": "{steps:1}",
    **UNDERSTOOD,
}
# Asked of LogSumExp by the project's own protocol (success, spl_grid), and what was published.
MAZE_FLOORS: Final = {
    "fork_maze": (0.99, 0.88),
    "island_maze": (0.98, 0.90),
    "blank_maze": (0.998, 0.92),
    "slit_maze": (0.98, 0.87),
    "blocker_maze": (0.99, 0.91),
}
PUBLISHED: Final = {"fork_maze": ".71 / .56", "island_maze": ".95 / .69", "blank_maze": ".90 / .64"}


def maze_rows(_whole: Any) -> Iterable[Row]:
    """A row a maze that has been measured."""
    seconds = (load("training_time") or {}).get("seconds", {})
    for maze in MAZES:
        if found := load(maze):
            ours, limit = (found["policies"]["default"][name]["spl_grid"]["mean"] for name in ("logsumexp", "limit"))
            yield {
                **found["policies"]["default"],
                "maze": maze,
                "plain": found["policies"]["8 directions"]["logsumexp"],
                "share": ours / limit,
                "published": PUBLISHED.get(maze),
                "seconds": seconds.get(maze),
            }


def _maze_floor(row: Row) -> Sequence[str]:
    success, spl = MAZE_FLOORS[row["maze"]]
    return f"logsumexp.success >= {success}", f"logsumexp.spl_grid >= {spl}"


MAZE_PAGE: Final = Page(
    "docs/results/mazes.md",
    "Point mazes",
    "Cells: mean and 95 % interval (bootstrap over training seeds, then episodes). All estimators meet the same "
    "starts, commands (in phrasings held out of training) and noise. The *default* policy weighs 32 directions, "
    "averages over the known noise and masks blocked directions; *8 directions* is the published reference's, with "
    "none of these. *limit* is value iteration that knows maze, command and noise; *expert* is the data's, which "
    "knows maze and command.",
    [
        Section(
            "",
            "All mazes",
            "LogSumExp; success / spl_grid. Training time is that of the whole command on one core.",
            maze_rows,
            {
                "maze": "{maze}",
                "success": "{logsumexp.success}",
                "spl_grid": "{logsumexp.spl_grid}",
                "8 directions": "{plain.success.mean:.3f} / {plain.spl_grid.mean:.3f}",
                "share of the limit's spl_grid": "{share:.3f}",
                "published reference": "{published}",
                "seconds to train": "{seconds:.0f}",
            },
            _maze_floor,
        ),
        *(
            Section(
                maze,
                "{maze}",
                f"{SOURCE} Training: `{{train_command}}`. {{episodes}} episodes a seed.",
                "policies.<policy>.<estimator>",
                {"policy": "{policy}", "estimator": "{estimator}"}
                | BOTH
                | {"success - LogSumExp's, paired": "{success_minus_logsumexp}"},
            )
            for maze in MAZES
        ),
        Section(
            "ablations",
            "What each part is worth (fork)",
            "`{command}`, seeds {seeds}, 1000 episodes each, commit {git_commit:.12}: then captions spoke of rows and "
            "columns only, and policies did not rule out where they had been. Success / spl_grid.",
            "rows.<change>",
            {
                "one change to the recipe": "{change}",
                "LogSumExp": "{logsumexp.success} / {logsumexp.spl_grid.mean:.3f}",
                "Direct": "{direct.success} / {direct.spl_grid.mean:.3f}",
            },
        ),
    ],
)

SUITE_FLOORS: Final = {"exact": 0.95, "line": 0.98, "region": 0.98, "vague": 0.98, "compound": 0.95}
SPL_SHARE: Final = 0.93  # of the limit's, in every category


def _suite_floor(row: Row) -> Sequence[str]:
    if row["estimator"] != "logsumexp":
        return ()
    floors = SUITE_FLOORS | {"held_out_compound": SUITE_FLOORS["compound"]}
    success = [f"{category}.success >= {floor}" for category, floor in floors.items()]
    limit = "whole.estimators.limit"
    return [*success, *(f"{name}.spl_grid >= {SPL_SHARE} {limit}.{name}.spl_grid" for name in SATISFIABLE)]


def _suite(maze: str) -> list[Section]:
    pair = "{{{0}.success}} / {{{0}.spl_grid.mean:.3f}}"
    categories = {f"{name} ({{region_cells.{name}:.0f}} cells)": pair.format(name) for name in SATISFIABLE}
    return [
        Section(
            f"ambiguity_{maze}",
            f"Commands in {maze}",
            f"{SOURCE} Success / spl_grid.",
            "estimators.<estimator>",
            {"estimator": "{estimator}", "all": pair.format("all"), **categories},
            _suite_floor,
        ),
        Section(
            f"ambiguity_{maze}",
            "",
            "LogSumExp beside each, paired by episode:",
            "estimators.<estimator>.all",
            {
                "estimator": "{estimator}",
                "LogSumExp's success - this": "{first_minus_this_success}",
                "LogSumExp's spl_grid - this": "{first_minus_this_spl_grid}",
                **UNDERSTOOD,
            },
        ),
        Section(
            f"ambiguity_{maze}",
            "",
            "Share of different texts that are taken not to be understood:",
            "not_understood.<category>",
            {
                "category": "{category}",
                "texts": "{texts}",
                "unknown": "{unknown}",
                "contradicts itself": "{contradictory}",
            },
        ),
    ]


SCARCITY_FLOORS: Final = {1000: 0.98, 300: 0.95, 100: 0.88}
LEADS: Final = {300: 0.15, 100: 0.25}  # over end to end


def _scarce_rows(whole: Any) -> Iterable[Row]:
    for row in rows_of("captions.<count>", whole):
        yield {**row, "lead": row["bridge"]["success"]["mean"] - row["end to end"]["success"]["mean"]}


def _scarce_floor(row: Row) -> Sequence[str]:
    floors = [f"bridge.success >= {SCARCITY_FLOORS[row['count']]}"] if row["count"] in SCARCITY_FLOORS else []
    return [*floors, *([f"lead >= {LEADS[row['count']]}"] if row["count"] in LEADS else [])]


AMBIGUITY_PAGE: Final = Page(
    "docs/results/ambiguity.md",
    "Ambiguous commands",
    "*resampled* sums over 256 goals drawn in proportion to the posterior instead of 5000; *tempered* halves the "
    "language term's temperature; *likeliest* heads for the posterior's best goal, *sample* for one drawn from it. "
    "*no memory* forgets where an episode has been, *whole texts* reads compounds as one text. *limit* knows maze, "
    "command and noise. *end to end*, *behaviour cloning* and *compounds trained on* are trained for the purpose on "
    "the same data.",
    [
        *_suite("fork_maze"),
        *_suite("island_maze"),
        Section(
            "ambiguity_scarcity",
            "How few captioned states are enough (fork, rows and columns)",
            SOURCE,
            _scarce_rows,
            {"captioned states": "{count:,}"}
            | {
                title: f"{{{title}.success}} / {{{title}.spl_grid.mean:.3f}}"
                for title in ("bridge", "end to end", "behaviour cloning")
            }
            | {"lead over end to end": "{lead:.3f}"},
            _scarce_floor,
            "ambiguity_scarcity.png",
        ),
        Section(
            "ambiguity_goals",
            "How many bridge goals are enough (fork)",
            SOURCE,
            "rows.<name>",
            {"estimator and goals": "{name}", "success": "{all.success}", "spl_grid": "{all.spl_grid}"}
            | {name: f"{{{name}.success.mean:.3f}}" for name in SATISFIABLE}
            | {
                "effective sample size": "{effective_sample_size:.1f}",
                "standard error, nats": "{standard_error:.2f}",
            },
            picture="ambiguity_goals.png",
        ),
    ],
)

# BabyAI: success at least, and mean steps at most so many times those of the optimum or of minigrid's bot.
NEARBY: Final = ("planned.success >= 0.99", "planned.against_optimum <= 1.15")
SMALL: Final = ("planned.success >= 0.97", "planned.against_bot <= 1.4")
FULL: Final[Mapping[str, Sequence[str]]] = {
    "room": NEARBY,
    "doors": NEARBY,
    "four_rooms": NEARBY,
    "maze": ("planned.success >= 0.98", "planned.against_optimum <= 1.15"),
    "sequence": ("planned.success >= 0.9", "planned.against_bot <= 1.3"),
}
PARTIAL: Final[Mapping[str, Sequence[str]]] = {
    "room": SMALL,
    "doors": SMALL,
    "four_rooms": SMALL[:1],  # the bot does not read these missions
    "maze": ("planned.success >= 0.97", "planned.against_bot <= 1.15"),
}


def level_rows(whole: Any) -> list[Row]:
    """A row a level, with its family."""
    return [{**row, "family": LEVELS[row["level"]].family} for row in rows_of("levels.<level>", whole)]


def mean_of(rows: Iterable[Row], *path: str) -> dict[str, float] | None:
    """Mean of the levels' means and of the ends of their intervals (wider than need be); None where none has it."""
    found: list[Any] = []
    for part in rows:
        of: Any = part
        for step in path:
            of = of.get(step) if of else None
        found += [of] if of else []
    return {end: sum(of[end] for of in found) / len(found) for end in ("mean", "low", "high")} if found else None


def _kinds(whole: Any) -> Iterable[Row]:
    """Missions of one kind beside the other kind, over the levels that have both, which weigh the same."""
    for one, other in (("ambiguous", "unambiguous"), ("held_out_things", "seen_things")):
        both = [row for row in level_rows(whole) if {one, other} <= set(row["planned"])]
        if both:
            found = {
                name: {metric: mean_of(both, "planned", kind, metric) for metric in ("success", "steps")}
                for name, kind in (("one", one), ("other", other))
            }
            gap = found["one"]["success"]["mean"] - found["other"]["success"]["mean"]  # type: ignore[index]
            yield {**found, "kinds": f"{one}, {other}".replace("_", " "), "levels": len(both), "gap": gap}


def _levels(view: str, floors: Mapping[str, Sequence[str]], title: str, about: str) -> list[Section]:
    return [
        Section(
            f"babyai_{view}",
            title,
            f"{SOURCE} {about}",
            level_rows,
            {
                "level": "{level}",
                "episodes a seed": "{planned.episodes}",
                "success": "{planned.success}",
                "steps": "{planned.steps.mean:.1f}",
                "optimum": "{planned.optimum:.1f}",
                "steps / optimum": "{planned.against_optimum}",
                "bot's steps": "{bot.steps.mean:.1f}",
                "steps / bot's": "{planned.against_bot}",
                **{title: form.replace("{", "{planned.") for title, form in UNDERSTOOD.items()},
                "random: success / steps": "{random.success.mean:.3f} / {random.steps.mean:.1f}",
            },
            lambda row: floors.get(row["family"], ()),
        ),
        Section(
            f"babyai_{view}",
            "",
            "Missions by kind; levels that have both kinds weigh the same, intervals are the means of the levels' own.",
            _kinds,
            {
                "kinds": "{kinds}",
                "levels": "{levels}",
                "first: success": "{one.success}",
                "steps": "{one.steps:1}",
                "second: success": "{other.success}",
                "steps ": "{other.steps:1}",
                "difference in success": "{gap:+.4f}",
            },
            lambda row: ("gap >= -0.02",) if "held out" in row["kinds"] else (),
        ),
    ]


BABYAI_PAGE: Final = Page(
    "docs/results/babyai.md",
    "BabyAI",
    f"One agent for all {len(LEVELS)} levels. minigrid's levels, missions and step limits are unmodified, and each "
    "level's own verifier is the judge (in FourRooms, which has no mission, being in the room that was named). "
    "Captions in training "
    'never say "go to", as the missions do, and nine pairs of colour and type are in no training layout. Goals are '
    "read off "
    "the *observed* grid: all its free cells and unlocked doors, in four directions, reachable or not.",
    [
        *_levels(
            "full",
            FULL,
            "The whole grid seen",
            "Steps are means over all episodes; a failure counts the level's limit. *optimum* is the fewest steps on "
            "the full map; *bot* is minigrid's own, which sees 7 x 7 cells and remembers them; *random* draws each "
            "action alike. Held out of training layouts: {held_out}.",
        ),
        *_levels(
            "partial",
            PARTIAL,
            "The 7 x 7 view",
            "The same agents, not trained anew, with a map of what the view has shown so far and the true pose; while "
            "nothing seen fits the mission, they go and look. The optimum still knows the whole map.",
        ),
        Section(
            "babyai_rivals",
            "Estimators and rivals",
            f"{SOURCE} *planned* is the default. *planned, all poses* assumes nothing of where one can stand; "
            "*logsumexp* and *max* cross the bridge once; *sample* heads for one goal drawn from the posterior, "
            "*planned_sample* plans towards one. *direct* (`{recipes.direct}`) and *end to end* (`{recipes[end to "
            "end]}`) are trained for the purpose. Differences are paired by episode; *ambiguous*: on missions that "
            "several things satisfy.",
            "levels.<level>.<estimator>",
            {
                "level": "{level}",
                "estimator": "{estimator}",
                "success": "{success}",
                "steps": "{steps:1}",
                "planned's success - this": "{planned_minus_this}",
                "ambiguous": "{planned_minus_this_ambiguous}",
                "steps - planned's": "{steps_more_than_planned:1}",
                "ambiguous ": "{steps_more_than_planned_ambiguous:1}",
            },
        ),
        Section(
            "babyai_ablations",
            "What each part is worth",
            f"{SOURCE} All with `{{steps}}`; success / steps. At that commit, goals still told open doors from closed "
            "ones: compare rows with each other only.",
            "rows.<change>",
            {"one change to the recipe": "{change}", "setting": "{changes}"}
            | {level: f"{{{level}.success}} / {{{level}.steps:1}}" for level in ("GoToLocal", "GoToObjMazeS4", "GoTo")},
        ),
        Section(
            "babyai_words",
            "Words never trained on",
            f"{SOURCE} Missions of {{level}} with colours, types or both in words that no training text holds. *first "
            "guess*: at most two steps more than the optimum; an agent that guessed wrong goes on, and may yet arrive.",
            "lexicon.<size>.<words>",
            {
                "colour words learnt": "{size}",
                "words": "{words}",
                "success": "{success}",
                "first guess": "{first_guess}",
                "steps": "{steps:1}",
            },
            lambda row: ("success >= 0.9",) if row["size"] == 60 and row["words"].startswith("test") else (),
            "babyai_words.png",
        ),
        Section(
            "babyai_words",
            "",
            "The lists, fixed beforehand:",
            "words.<list>.<word>",
            {"list": "{list}", "for": "{word}", "words": "{value}"},
        ),
        Section(
            "babyai_captions",
            "How many captions it takes",
            f"{SOURCE} {{level}}; both are trained on the same captions and as many steps.",
            "captions.<count>.<trained>",
            {"captioned goals": "{count:,}", "trained": "{trained}", "success": "{success}", "steps": "{steps:1}"},
            picture="babyai_captions.png",
        ),
        Section(
            "babyai_online",
            "Online data",
            f"{SOURCE} With `{{recipe}}` the agent takes as many steps in as many layouts itself, half of them at "
            "random, half towards poses that it commands itself. Differences are paired by episode.",
            "levels.<level>",
            {
                "level": "{level}",
                "online: success": "{own play.success}",
                "steps / optimum": "{own play.against_optimum}",
                "collected: success": "{collected.success}",
                "steps / optimum ": "{collected.against_optimum}",
                "collected's success - online's": "{own play.collected_minus_this}",
                "online's steps - collected's": "{own play.steps_more_than_collected:1}",
            },
            lambda row: ("own play.collected_minus_this <= 0.02",) if row["level"] == "GoToLocal" else (),
        ),
    ],
)

ONLINE_FLOORS: Final = {
    ("fork_maze", "own play", 50_000): 0.90,
    ("fork_maze", "own play", 250_000): 0.97,
    ("island_maze", "own play", 250_000): 0.99,
    ("blank_maze", "own play", 250_000): 0.998,
    ("fork_maze", "random walks, shortest", 100_000): 0.93,
}


def _online_floor(row: Row) -> Sequence[str]:
    floor = ONLINE_FLOORS.get((row["whole"]["maze"], row["data"], row["steps"]))
    return () if floor is None else (f"success >= {floor}",)


ONLINE_COLUMNS: Final = {
    "data": "{data}",
    "environment steps": "{steps:,}",
    "success": "{success}",
    "spl_grid": "{spl_grid}",
}
ONLINE_PAGE: Final = Page(
    "docs/results/online.md",
    "Online data (own play)",
    "*own play* commands itself goals that it has reached, a share of them rarely visited; *random goals* are uniform "
    "within the bounds of the maze, walls included. *expert* are noisy shortest paths, *random walks* have no aim. "
    "All learn by the same network in 2000 gradient steps.",
    [
        *(
            Section(
                f"online_{maze}",
                maze,
                SOURCE,
                "rows.<data>.<steps>",
                ONLINE_COLUMNS,
                _online_floor,
                "online.png" if maze == "fork_maze" else "",
            )
            for maze in MAZES[:3]
        ),
        Section(
            "online_corner",
            "Every episode from one corner (fork)",
            SOURCE,
            "rows.<data>.<steps>",
            ONLINE_COLUMNS | {"success by seed": "{success.per_seed:.3f}", "settings": "`{overrides}`"},
            lambda row: ("success >= 0.9",) if (row["data"], row["steps"]) == ("own play, shortest", 500_000) else (),
        ),
        Section(
            "online_search",
            "Directions without a grid (fork)",
            SOURCE,
            "rows.<candidates>",
            {"candidates": "{candidates}", "success": "{success}", "spl_grid": "{spl_grid}"},
        ),
        Section(
            "online_time",
            "Time of the whole command, seed 0, one core",
            "`{command}`, commit {git_commit:.12}. *cold*: all texts are encoded within it; *warm*: a cache holds "
            "them.",
            "rows.<run>",
            {"maze, cache": "{run}", "seconds": "{seconds:.0f}", "processor seconds": "{cpu_seconds:.0f}"},
            lambda row: ("seconds <= 60",),
        ),
    ],
)

CUSTOM_PAGE: Final = Page(
    "docs/results/custom_worlds.md",
    "Worlds that users bring",
    "The worlds of [OWN_WORLD.md](../OWN_WORLD.md), trained on random play by the commands that stand there, and "
    "asked for captions that do not hold at the start. *random* plays as the data were made. *lake* is Gymnasium's "
    "FrozenLake (numbered states and actions), *pendulum* its Pendulum (continuous actions), *dot* is seen in "
    "pictures, *maze* is gymnasium-robotics' PointMaze (continuous actions, MuJoCo). A failure counts all its steps.",
    [
        Section(
            f"own_worlds.{world}",
            world,
            f"{SOURCE} Training: `{{train_command}}`. {{episodes}} episodes a seed.",
            "estimators.<estimator>",
            {
                "estimator": "{estimator}",
                "success": "{success}",
                "by seed": "{success.per_seed:.2f}",
                "steps": "{steps:1}",
                "success - the first's, paired": "{success_minus_first}",
                **UNDERSTOOD,
            },
        )
        for world in ("lake", "pendulum", "dot", "maze")
    ],
)

PAGES: Final = (MAZE_PAGE, AMBIGUITY_PAGE, BABYAI_PAGE, ONLINE_PAGE, CUSTOM_PAGE)
