"""Retrieval across modalities that were never paired: what the pretrained-model experiments of the Law are run by.

    python -m experiments.pretrained digits                              # handwriting, text and speech; trains
    python -m experiments.pretrained show                                # a page that plays and shows what is retrieved
    python -m experiments.pretrained manifest clips.csv CLIP CLAP        # your media, pretrained models
    python -m experiments.pretrained figures                             # draws docs/pretrained_*.png

CLIP and CLAP are folders, or names on the model hub, of a CLIPModel or SiglipModel and of a ClapModel. clips.csv has
columns audio, image, text. Settings follow as key=value; see experiments/pretrained/settings.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from goalbridge.agents.storage import write_json
from goalbridge.configs.checks import ConfigError, UserError
from goalbridge.experiments.pretrained.settings import DigitsSettings, ManifestSettings, check_output, read_settings


def digits(arguments: Sequence[str]) -> None:
    """Measures the digits experiment."""
    settings = read_settings(DigitsSettings, arguments)
    check_output("out", Path(settings.out))
    from goalbridge.experiments.pretrained.digits import OURS, measure

    for result in measure(settings):
        write_json(Path(settings.out), result)
        best = result["methods"][OURS]["forward"]["R@1"]["mean"]
        print(f"seeds {result['seeds']}: speech found by its image, {OURS}, recall@1 {best:.3f}", flush=True)
    print(f"wrote {settings.out}; to hear and see it: python -m experiments.pretrained show")


def show(arguments: Sequence[str]) -> None:
    """Lets a person hear and see what the first seed's models retrieve."""
    settings = read_settings(DigitsSettings, arguments)
    from goalbridge.experiments.pretrained.showing import show as write_page

    print(f"wrote {write_page(settings)}; speech and images are in TensorBoard, too: tensorboard --logdir runs")


def manifest(arguments: Sequence[str]) -> None:
    """Measures retrieval on the user's own media."""
    settings = read_settings(ManifestSettings, arguments, ("manifest", "image_model", "audio_model"))
    check_output("out", Path(settings.out))
    from goalbridge.experiments.pretrained.own_media import measure, table

    result = measure(settings)
    write_json(Path(settings.out), result)
    from rich.console import Console

    Console().print(table(result))
    print(f"wrote {settings.out}")


def figures(arguments: Sequence[str]) -> None:
    """Draws what has been measured."""
    if arguments:
        raise ConfigError(f"{arguments[0]}: figures takes no settings")
    from goalbridge.experiments.pretrained.figures import draw

    draw()


COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "digits": digits,
    "show": show,
    "manifest": manifest,
    "figures": figures,
}


def main(arguments: Sequence[str]) -> None:
    """Runs one command; what the user can mend ends in one line and exit code 2."""
    torch.set_flush_denormal(True)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return
    try:
        if arguments[0] not in COMMANDS:
            raise ConfigError(f"{arguments[0]}: is no command; {', '.join(COMMANDS)} would do")
        COMMANDS[arguments[0]](arguments[1:])
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted; what was trained or embedded is kept", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main(sys.argv[1:])
