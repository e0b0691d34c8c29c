"""Estimators: how scores of actions come from an instruction, one file each.

Every one scores A candidate actions of B states, each with its own instruction, from the same three encoders:

    logsumexp       log E_g exp(f_AB(s, a, g) + f_BC(g, instruction))     Lemma 1 (Che & Eysenbach, ICLR 2025)
    max             the best single goal instead of the expectation
    tempered        logsumexp with f_BC over `PolicyConfig.language_temperature`
    resampled       logsumexp over `PolicyConfig.proposals` goals, drawn in proportion to p(g | instruction)
    likeliest       the single goal with the highest p(g | instruction), then f_AB(s, a, g)
    sample          one goal drawn from p(g | instruction), kept until it was tried, then f_AB(s, a, g)
    planned         the bridge crossed as often as it takes (`agents.planning`)
    planned_sample  a goal drawn likewise, and planned towards
    shortest        shortest paths over the bridge (`agents.shortest_paths`)
    direct          f_AB's own similarity of phi_A(s, a) and phi_C(instruction); no goals (Lemmas 2, 3)
"""

from goalbridge.agents.estimators._base import Estimator, ScoringBatch
from goalbridge.configs.registries import estimators

register = estimators.register

__all__ = ["Estimator", "ScoringBatch", "register"]
