"""Estimators by name: a bridge until each is a file of its own."""

from goalbridge.configs.registries import estimators


class Named:
    """What evaluation asks of an estimator."""

    def __init__(self, needs_goals: bool) -> None:
        self.needs_goals = needs_goals


for _name in (
    *("logsumexp", "planned", "max", "sample", "planned_sample", "shortest", "likeliest", "tempered", "resampled"),
    "direct",
):
    estimators.register(_name)(Named(_name != "direct"))
