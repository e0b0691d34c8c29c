"""A world of another package: its settings work on the command line, in sweeps and in --help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

WORLD = '''
    from dataclasses import dataclass, field
    from goalbridge.worlds import World, WorldEvaluation, WorldSettings

    @dataclass(frozen=True)
    class ToySettings(WorldSettings):
        """A toy.

        size: how large it is.
        label: what it is called.
        world: its name.
        """

        size: int = 3
        label: str = ""
        world: str = field(default="toy", kw_only=True)

    @dataclass(frozen=True)
    class ToyEvaluation(WorldEvaluation):
        """How it is judged.

        strict: whether nothing is forgiven.
        """

        strict: bool = False

    class ToyWorld(World):
        Settings = ToySettings
        EvaluationSettings = ToyEvaluation
'''
BROKEN = "raise OSError('no such library')"
USES = """
    import json, sys
    from dataclasses import asdict
    from pathlib import Path
    from goalbridge.configs.checks import ConfigError
    from goalbridge.configs.compose import settings
    from goalbridge.configs.evaluation import EvaluateConfig
    from goalbridge.configs.command import help_text
    from goalbridge.configs.run_folder import read_run_config
    from goalbridge.configs.schema import RunConfig
    from goalbridge.configs.sweep import plan

    run = settings(RunConfig, ["env=toy", "env.size=5", "env.label=a, b", "run_dir=run"])
    assert (run.env.world, run.env.size, run.env.label) == ("toy", 5, "a, b")
    assert [job.config.env.size for job in plan(["env=toy", "env.size=1,2"]).jobs] == [1, 2]
    assert "env.size=3" in help_text(RunConfig, "", ["env=toy"])
    Path("run").mkdir()
    Path("run/config.json").write_text(json.dumps(asdict(run)))
    assert read_run_config(Path("run")) == run
    found = settings(EvaluateConfig, ["run_dir=run", "strict=true"])
    assert found.of_world("toy").strict
    for kind, given, says in (
        (RunConfig, ["env=toy", "env.sise=4"], "env.sise=4: no such setting; did you mean env.size?"),
        (RunConfig, ["env=broken"], "env.world=broken: the plug-in their_broken:World cannot be imported (OSError"),
        (EvaluateConfig, ["run_dir=run", "levels=[GoTo]"], "no such setting for agents of toy, only of babyai"),
    ):
        try:
            settings(kind, given)
        except ConfigError as error:
            assert says in str(error), error
        else:
            raise AssertionError(given)
    assert "their_broken" not in sys.modules
"""


def test_a_plug_ins_settings_are_known_by_its_name(tmp_path: Path, script_environment: dict[str, str]) -> None:
    about = tmp_path / "site" / "theirs-1.0.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "their_world.py").write_text(dedent(WORLD))
    (tmp_path / "site" / "their_broken.py").write_text(BROKEN)
    (about / "entry_points.txt").write_text(
        "[goalbridge.worlds]\ntoy = their_world:ToyWorld\nbroken = their_broken:World\n"
    )
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    path = ":".join([str(tmp_path / "site"), *filter(None, [script_environment.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", dedent(USES)],
        env={**script_environment, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
