"""The pages beyond the agent: the Law on synthetic data, handwriting and speech, scaling, benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from goalbridge.experiments.law.laboratory import INDEPENDENT, SHARED
from goalbridge.experiments.law.published import (
    LARGE_COLUMN,
    PUBLISHED,
    PUBLISHED_BYPASS,
    PUBLISHED_EXACT,
    SMALL_COLUMN,
    TITLES,
)
from goalbridge.experiments.report.agent_pages import SOURCE
from goalbridge.experiments.report.markdown import Page, Row, Section, rows_of

MODELS: Final = {
    SHARED: "one encoder of B",
    INDEPENDENT: "two independent models",
    "oracle": "oracle, trained on (A, C)",
}
BETTER: Final = "better 5k"


def law_rows(whole: Any) -> Iterable[Row]:
    """A row a critic and a way of sharing the encoder, with what was published of it."""
    for row in rows_of("rows.<critic>.<models>", whole):
        published = {
            name: figure for (models, name), figure in PUBLISHED[row["critic"]].items() if models == row["models"]
        }
        if row["models"] == "oracle":
            row = {**row, "direct": row["value"]}
            published = {"direct": PUBLISHED[row["critic"]]["", "oracle"]}
        names = {"critic": TITLES[row["critic"]], "models": MODELS[row["models"]]}
        yield {**row, **names, "published": published}


def _errors(whole: Any) -> Iterable[Row]:
    for row in law_rows(whole):
        yield {**row, **row["against_reference"]}


def _marginals(whole: Any) -> Iterable[Row]:
    for row in rows_of("rows.<critic>.shared.marginal.<test>", whole):
        yield {**row, "critic": TITLES[row["critic"]]}


def _law_source(whole: Any) -> str:
    return f"`{whole['command']}`, seeds {', '.join(map(str, whole['seeds']))}, commit {whole['git_commit'][:12]}."


LAW_PAGE: Final = Page(
    "docs/results/law.md",
    "The Law on synthetic data",
    "The paper's synthetic triplets, with the agent's critics and bridge. Recall@1 of 32 held-out candidates; in "
    "brackets the authors' corrected figure.",
    [
        Section(
            "law.table",
            "Critics and estimators",
            lambda whole: (
                f"{_law_source(whole)} Models are trained on 20 000 pairs for {whole['recipe']['steps']} steps of "
                f"batch {whole['recipe']['batch']} instead of 64 epochs: {whole['processor_seconds']['training']:.0f} "
                f"s of one core for all, {whole['processor_seconds']['evaluation']:.0f} s for their evaluation. "
                "*better*: the estimator chosen by recall on development seeds."
            ),
            law_rows,
            {"models": "{models}", "critic": "{critic}"}
            | {
                title: f"{{{name}}} ({{published.{name}:.3g}})"
                for name, title in (
                    ("direct", "Direct (or oracle)"),
                    (SMALL_COLUMN, "LogSumExp, M = 5k"),
                    (LARGE_COLUMN, "M = 100k"),
                )
            }
            | {"better estimator, M = 5k": f"{{{BETTER}}}", "which": "{development.estimator}"},
        ),
        Section(
            "law.table",
            "",
            "By exact densities:",
            lambda whole: [
                {**row, "published": PUBLISHED_EXACT.get(row["name"])} for row in rows_of("exact.<name>", whole)
            ],
            {"exact densities": "{name}", "recall@1 of 32": "{value}", "published": "{published}"},
        ),
        Section(
            "law.estimators",
            "Estimators of Lemma 1",
            lambda whole: (
                f"{_law_source(whole)} Errors of log E exp(f_AB + f_BC) at {whole['pairs']} true pairs, M = 5k, in "
                f"nats (bias, spread), over {whole['pools']} pools. The reference is importance sampling by "
                f"{whole['reference_draws']} goals for each pair, mean and covariance of goals taken from "
                f"{whole['reference_goals']:,}. *extrapolated* removes the bias of order 1 / M by its halves; "
                "*gaussian* is the closed form with the pool's mean and covariance, whose values for cosine and dot "
                "are useless; *better* is the table's above."
            ),
            _errors,
            {"models": "{models}", "critic": "{critic}"}
            | {
                name: f"{{{name}.bias:+.2f}}, {{{name}.spread:.2f}}"
                for name in ("monte carlo", "extrapolated", "gaussian", "better")
            }
            | {
                "monte carlo over all: bias": "{monte carlo, all.bias:+.2f}",
                "reference known to": "{reference_error:.2f}",
                "effective goals, 5k / 100k": "{effective_sample_size.5000:.1f} / {effective_sample_size.100000:.1f}",
            },
        ),
        Section(
            "law.estimators",
            "The distribution of the representations",
            "Tests of phi_B (5000 goals, one encoder, first seed); the effect is 0 where the assumption holds: of "
            "uniformity on the sphere (Lemma 2), of isotropy, and of Gaussianity after whitening (Lemma 3).",
            _marginals,
            {"critic": "{critic}", "test": "{name}", "effect": "{effect:.3f}", "p": "{p_value:.1g}"},
        ),
        Section(
            "law.rho",
            "A share of the signal bypasses B",
            lambda whole: (
                f"{_law_source(whole)} Squared distance, one encoder of B. Exact Lemma 1 is given the true "
                "densities of both pairs."
            ),
            lambda whole: [
                {**row, "published": PUBLISHED_BYPASS[str(row["share"])]} for row in rows_of("rows.<share>", whole)
            ],
            {
                "share": "{share}",
                "Bayes-optimal": "{exact.bayes-optimal}",
                "exact Lemma 1": "{exact[lemma 1, closed form]}",
                "exact, M = 100k": f"{{exact.{LARGE_COLUMN}}} ({{published:.3g}})",
                "learned, M = 100k": f"{{learned.{LARGE_COLUMN}}}",
                "learned, better, 5k": f"{{learned.{BETTER}}}",
            },
        ),
    ],
)

WAYS: Final = {"forward": "speech found by its image", "backward": "image found by its speech"}
RECALLS: Final = {f"{title}, R@{rank}": f"{{{way}.R@{rank}}}" for way, title in WAYS.items() for rank in (1, 5, 10)}


def _recalls(title: str, text: str, path: str, picture: str = "") -> Section:
    return Section("pretrained", title, text, path, {"": "{name}", **RECALLS}, picture=picture)


PRETRAINED_PAGE: Final = Page(
    "docs/results/pretrained.md",
    "Handwriting and speech that were never paired",
    "Images are two digits of scikit-learn's `load_digits` side by side, speech is espeak-ng's. Each image has a "
    "caption in one of five languages, each clip one in its own: the number word, a phrase, or something vaguer (odd "
    "or even, the tens, the last digit). Image-caption pairs and caption-speech pairs are trained apart; no image is "
    "ever seen with speech, except by the rival of the last row. Tested on voices that neither has met, and on the "
    "file's last three forms of handwriting (the file names no writers, but people filled its forms in one after the "
    "other).",
    [
        _recalls(
            "Methods",
            f"{SOURCE} {{trials}} trials of {{candidates}} candidates for each seed; split: {{split}}. *LogSumExp* is "
            "the whole sum over all texts, with either pair's own learned scale; *at scale 1* it takes bare cosines. "
            "*best text alone* is the sum's largest term. *Direct* compares images with speech as if both models had "
            "one space.",
            "methods.<name>",
            "pretrained_recall.png",
        ),
        _recalls(
            "How well each pair is learned", "A number word among 25, in the language spoken.", "own_pairs.<name>"
        ),
        Section(
            "pretrained",
            "",
            "Share of clips whose own word comes first of the 100 of its language:",
            lambda whole: [
                {**row, "share": row["value"][0] / row["value"][1]} for row in rows_of("voices.<voice>", whole)
            ],
            {"voice": "{voice}", "share": "{share:.3f}"},
        ),
        _recalls(
            "The size of the bridge (M)",
            "Texts drawn from p(text), with repeats.",
            "sizes.<name>",
            "pretrained_bridge_size.png",
        ),
        _recalls("What the bridge is made of", "The same models; only these captions in the sum.", "bridges.<name>"),
        _recalls(
            "Two text encoders",
            "Frozen MiniLM sentence embeddings, or character n-grams learned from scratch; image-text model first.",
            "text_encoders.<name>",
        ),
        Section(
            "pretrained",
            "What is taken for what",
            "Candidates: one clip of each of the 100 numbers.",
            picture="pretrained_confusion.png",
        ),
    ],
)

MEASURED: Final = "`{command}`, commit {git_commit:.12}."


def _growth(whole: Any) -> Iterable[Row]:
    of = whole["result"]["growth"]
    for goals, seconds in zip(of["goals"], of["seconds"], strict=True):
        yield {"goals": goals, "seconds": seconds, "each": seconds / goals * 1e9}


def _memory(whole: Any) -> Iterable[Row]:
    of = whole["result"]["growth"]
    for budget, extra in zip(of["budget_megabytes"], of["extra_megabytes"], strict=True):
        yield {"budget": budget, "extra": extra}


def _rates(whole: Any) -> Iterable[Row]:
    for row in rows_of("result.rates.<row>", whole):
        ours = row["ns_per_goal"]
        shares = {"files": row["ns_mapped_copy"] / ours, "memory": row["ns_copy"] / ours}
        yield {**row, **shares, "goals": 1e3 / ours, "bytes": row["bytes_per_goal"] / ours}


def shared_out(whole: Any) -> Iterable[Row]:
    """A row a number of processes and actions, and how many times as fast it is as one process."""
    rows = rows_of("result.rows.<row>", whole)
    alone = {row["actions"]: row for row in rows if row["processes"] == 1}
    for row in rows:
        one = alone[row["actions"]]
        yield {**row, "faster": one["seconds"] / row["seconds"], "off": abs(row["score"] - one["score"])}


def _proposals(whole: Any) -> Iterable[Row]:
    for part in rows_of("result.<part>", whole):
        for row in sorted(part["rows"], key=lambda row: row["goals"]):
            error = row["stated_error"] or None
            sure = {"stated_error": error, "covered": row["covered"] if error else None}
            faster = row["actions_per_second"] / part["full_actions_per_second"]
            yield {**row, **sure, "part": part["part"], "all": part["terms"], "faster": faster}


def _served(whole: Any) -> Iterable[Row]:
    for row in rows_of("result.<row>", whole):
        yield {**row, "faster": row["at_once"] / row["alone"]}


SCALING_PAGE: Final = Page(
    "docs/results/scaling.md",
    "Scaling",
    "What [SCALING.md](../SCALING.md) speaks of, measured on one thread of a machine with 2 virtual cores.",
    [
        Section(
            "scaling_bridge.streaming",
            "Reading M goals once",
            f"{MEASURED} One instruction, M = {{result.terms:,}}, 64 dimensions. *share*: bytes/s over those of a "
            "plain copy of the same bytes, from the store's mapped files, or from memory to memory.",
            _rates,
            {
                "towers": "{towers}",
                "dtype": "{dtype}",
                "actions": "{rows}",
                "ns a goal": "{ns_per_goal:.0f}",
                "million goals/s": "{goals:.1f}",
                "GB/s": "{bytes:.1f}",
                "share, files": "{files:.2f}",
                "share, memory": "{memory:.2f}",
            },
        ),
        Section(
            "scaling_bridge.streaming",
            "Growing M",
            "8 actions, one instruction.",
            _growth,
            {"M": "{goals:,}", "seconds of one thread": "{seconds:.3f}", "ns a goal": "{each:.0f}"},
            picture="scaling_bridge.png",
        ),
        Section(
            "scaling_bridge.streaming",
            "",
            "What a streamed store of {result.growth.store_megabytes:,.0f} MB adds to a process's peak memory:",
            _memory,
            {"`memory`, MB": "{budget:.0f}", "peak rises by, MB": "{extra:.0f}"},
        ),
        Section(
            "scaling_bridge.sharding",
            "Sharing the goals out",
            f"{MEASURED} M = {{result.terms:,}}, two towers, float32: wall time of `sharded_bridge_scores` under "
            "torchrun.",
            shared_out,
            {
                "processes": "{processes}",
                "actions": "{actions}",
                "seconds": "{seconds:.3f}",
                "times as fast": "{faster:.2f}",
                "score differs by": "{off:.1g}",
            },
        ),
        Section(
            "scaling_bridge.proposals",
            "Fewer goals for the same answer",
            f"{MEASURED} *same action*: as the sum over all goals; *regret*: nats by which the action is worse in "
            "that sum; *error*: mean absolute one of a score, beside the stated one; *covered*: share of scores whose "
            "stated 95 % interval holds the full sum's. *and state*: neighbours of what lies between the instruction "
            "and the state.",
            _proposals,
            {
                "goals of": "{part}, M = {all:,}",
                "goals": "{goals}",
                "way": "{way}",
                "actions/s": "{actions_per_second:.0f}",
                "times as fast": "{faster:.0f}",
                "same action": "{same_action:.2f}",
                "regret": "{regret:.3f}",
                "error": "{error:.3f}",
                "stated": "{stated_error:.3f}",
                "covered": "{covered:.2f}",
            },
            picture="scaling_proposals.png",
        ),
        Section(
            "scaling_bridge.serving",
            "A thousand instructions at once",
            f"{MEASURED} `policy.act` for 1000 distinct instructions in one call, against a call for each.",
            _served,
            {
                "policy": "{setting}",
                "instructions": "{instructions}",
                "at once, actions/s": "{at_once:.0f}",
                "each alone": "{alone:.0f}",
                "times as fast": "{faster:.1f}",
            },
        ),
        Section(
            "sweeps",
            "Launchers of sweeps",
            f"{MEASURED} {{jobs}} jobs, one core each, on {{cores}} virtual cores; one alone takes {{alone:.1f}} s.",
            lambda whole: [
                {**row, "share": row["value"] / (whole["jobs"] * whole["alone"])}
                for row in rows_of("seconds.<launcher>", whole)
            ],
            {"launcher": "{launcher}", "seconds": "{value:.1f}", "of one job after the other": "{share:.2f}"},
        ),
        Section(
            "parallel",
            "Data-parallel training",
            f"{MEASURED} Fork maze, default networks, {{steps}} steps, one thread a process, {{cores}} virtual cores.",
            "rows.<row>",
            {
                "processes": "{processes}",
                "kind": "{kind}",
                "batch": "{batch_size}",
                "samples/s": "{samples_per_second:,.0f}",
                "CPU s a step of one process": "{cpu_seconds_per_step:.4f}",
            },
        ),
    ],
)

BENCHMARK_PAGE: Final = Page(
    "docs/results/benchmarks.md",
    "Benchmarks",
    "A bound is a lower one where the name says faster or share, else an upper one.",
    [
        Section(
            "benchmarks",
            "",
            "`{command}`, {platform}, commit {git_commit:.12}.",
            "rows.<row>",
            {"benchmark": "{name}", "value": "{value:.4g} {unit}", "bound": "{bound}"},
        )
    ],
)

PAGES: Final = (LAW_PAGE, PRETRAINED_PAGE, SCALING_PAGE, BENCHMARK_PAGE)
