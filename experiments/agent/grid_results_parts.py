"""BabyAI's results beside those of its levels: rivals, ablations, words, captions, own play."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from goalbridge.experiments.agent.grid_figures import CAPTIONS_PNG, WORDS_PNG
from goalbridge.experiments.agent.markdown import cell, table

Result = Mapping[str, Any]

OWN_PLAY_MARGIN: Final = 0.02  # by which success in GoToLocal may fall where the agent collects its data itself
WORDS_FLOOR: Final = 0.90  # success on the test list, in GoToLocal, asked of the largest lexicon
ABOUT_PARTIAL: Final = (
    "The same agents, not trained anew, with a map of what the 7 x 7 view has shown so far and the true pose; while "
    "nothing seen fits the mission, they go and look. The levels' optimum still knows the whole map."
)


def rivals(result: Result) -> list[str]:
    """Other estimators of the same agents, and rivals trained on the same data: a table a level."""
    recipes = "; ".join(f"*{name}*: `{' '.join(changes)}`" for name, changes in result["recipes"].items())
    found = [
        "*planned* is the default. *planned, all poses* assumes nothing of where one can stand; *logsumexp* and *max* "
        "cross the bridge once; *sample* heads for one goal drawn from the posterior, *planned_sample* plans towards "
        "one drawn likewise; both draw anew when it is ruled out. Trained for the purpose, on the "
        f"same data and captions: {recipes}. Differences are paired by episode.",
        _against_sample(result["levels"]),
    ]
    header = ["estimator", "success", "steps", "planned's success - this", "on ambiguous missions"]
    header += ["steps - planned's", "on ambiguous missions"]
    for level, by_name in result["levels"].items():
        rows = [
            [
                name,
                cell(of["success"]),
                cell(of["steps"], 1),
                _maybe(of, "planned_minus_this"),
                _maybe(of, "planned_minus_this_ambiguous"),
                _maybe(of, "steps_more_than_planned", 1),
                _maybe(of, "steps_more_than_planned_ambiguous", 1),
            ]
            for name, of in by_name.items()
        ]
        found += [f"{level}, {by_name['planned']['episodes']} episodes a seed:", table(header, rows)]
    return found


def _maybe(of: Result, name: str, digits: int = 3) -> str:
    return cell(of[name], digits) if name in of else "-"


def _against_sample(levels: Result) -> str:
    """In which levels one sampled goal is worse on ambiguous missions, beyond doubt."""
    said = []
    for name, ours in (("planned_sample", "planned"), ("sample", "planned"), ("sample", "logsumexp")):
        for figure, what in ((f"{ours}_minus_this", "succeeds more often"), (f"steps_more_than_{ours}", "is quicker")):
            estimates = {level: by[name].get(f"{figure}_ambiguous") for level, by in levels.items() if name in by}
            unclear = {level: estimate for level, estimate in estimates.items() if estimate}
            sure = [level for level, estimate in unclear.items() if estimate["low"] > 0]
            if not unclear:
                continue
            said.append(f"*{ours}* {what} than *{name}* in {len(sure)} of {len(unclear)} levels{_listed(sure)}")
    return f"On ambiguous missions, with intervals that exclude 0: {'; '.join(said)}."


def _listed(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def ablations(result: Result) -> list[str]:
    """One change of the recipe at a time."""
    levels = [name for name in next(iter(result["rows"].values())) if name != "changes"]
    rows = []
    for change, row in result["rows"].items():
        shown = f"{change} (`{' '.join(row['changes'])}`)" if row["changes"] else change
        rows.append([shown, *(f"{cell(row[name]['success'])} / {cell(row[name]['steps'], 1)}" for name in levels)])
    episodes = next(iter(result["rows"].values()))[levels[0]]["episodes"]
    head = (
        f"All with `{result['steps']}`, {episodes} episodes a seed; success / steps. At that commit, goals still told "
        "open doors from closed ones: compare rows with each other only."
    )
    return [head, table(["one change to the recipe", *levels], rows)]


def words(result: Result) -> list[str]:
    """Success over the size of the lexicon that captions draw colour words from."""
    largest, rows, short = max(result["lexicon"], key=int), [], []
    for size, by_kind in result["lexicon"].items():
        for kind, of in by_kind.items():
            asked = size == largest and kind.startswith("test")
            below = of["success"]["mean"] < WORDS_FLOOR
            short += [f"{kind} ({of['success']['mean']:.4f})"] if asked and below else []
            verdict = ("**no**" if below else "yes") if asked else "-"
            rows.append([size, kind, cell(of["success"]), cell(of["first_guess"]), cell(of["steps"], 1), verdict])
    verdict = f"**not met: {', '.join(short)}**" if short else "met"
    lists = [
        f"{title}: " + ", ".join(f"{name} ({', '.join(said)})" for name, said in listed.items())
        for title, listed in result["words"].items()
    ]
    return [
        f"Missions of {result['level']} with their colours, types or both said in words that no training text holds. "
        "*first guess*: at most two steps more than the optimum; an agent that guessed wrong goes on, and may yet "
        f"arrive. Asked of the test list, with {largest} words a colour: success ≥ {WORDS_FLOOR:g}; {verdict}.",
        table(["colour words learnt", "words", "success", "first guess", "steps", f"≥ {WORDS_FLOOR:g}"], rows),
        f"![Success over the size of the lexicon]({WORDS_PNG})",
        f"The lists, fixed beforehand. {'. '.join(lists)}.",
    ]


def captions(result: Result) -> list[str]:
    """Success over the number of captioned goals."""
    titles = list(next(iter(result["captions"].values())))
    rows = [
        [
            count,
            *(f"{cell(by_title[title]['success'])} / {cell(by_title[title]['steps'], 1)}" for title in titles),
        ]
        for count, by_title in result["captions"].items()
    ]
    return [
        f"{result['level']}, success / steps; both are trained on the same captions and as many steps.",
        table(["captioned goals", *titles], rows),
        f"![Success over the number of captioned goals]({CAPTIONS_PNG})",
    ]


def online(result: Result) -> list[str]:
    """Own play beside data collected beforehand."""
    rows = []
    for level, by_name in result["levels"].items():
        own, before = by_name["own play"], by_name["collected"]
        figures = [text for of in (own, before) for text in (cell(of["success"]), cell(of["against_optimum"]))]
        rows.append([level, *figures, cell(own["collected_minus_this"]), cell(own["steps_more_than_collected"], 1)])
    gap = result["levels"]["GoToLocal"]["own play"]["collected_minus_this"]["mean"]
    verdict = "met" if gap <= OWN_PLAY_MARGIN else "**not met**"
    header = [f"{who}: {figure}" for who in ("own play", "collected") for figure in ("success", "steps / optimum")]
    return [
        f"The default agent learns from random play collected beforehand. With `{' '.join(result['recipe'])}` it takes "
        "as many steps in as many layouts itself, half of them at random, half towards poses that it commands itself "
        "in the same layout. Differences are paired by episode. Asked: in GoToLocal at most "
        f"{100 * OWN_PLAY_MARGIN:g} points below; {verdict} ({100 * gap:+.2f} points).",
        table(["level", *header, "collected's success - own play's", "own play's steps - collected's"], rows),
    ]


PARTS: Final[Mapping[str, tuple[str, Callable[[Result], list[str]]]]] = {
    "rivals": ("estimators and rivals", rivals),
    "ablations": ("what each part is worth", ablations),
    "words": ("words never trained on", words),
    "captions": ("how many captions it takes", captions),
    "online": ("its own play", online),
}
