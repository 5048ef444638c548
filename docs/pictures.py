"""Make the pictures of the documentation from a real run: `python docs/pictures.py`."""  # noqa: INP001 - a program

from __future__ import annotations

import re
import shutil
import sys
import time
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from actorlab.cli.live import live_tree
from actorlab.cli.ordering import order
from actorlab.cli.picturing import picture
from actorlab.cli.rehearsing import rehearsed, write_picture
from actorlab.config import ConfiguredLab
from actorlab.runtime.run import Run

DOCS = Path(__file__).resolve().parent
PROGRAM = "workflows/characterise.py"


def worth_seeing(run: Run[Any]) -> bool:
    """Tell whether one branch is in its loop while the other heats."""
    averaging, curve = (next(step for step in run.steps if step.values == values) for values in ((40,), (320.0,)))
    heats = curve.began is not None and time.monotonic() > curve.began + 1
    return heats and averaging.progress is not None and bool(averaging.progress.total)


def picture_of(run: Run[Any], began: float) -> str:
    """Draw the tree as it stands on the terminal; the font is the reader's."""
    console = Console(record=True, width=132, file=StringIO(), force_terminal=True)
    console.print(live_tree(run, began, time.monotonic()))
    drawn = console.export_svg(title=f"actorlab run {PROGRAM}")
    return re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


def main() -> None:
    """Run the experiment, and keep the picture of a moment in which much goes on; simulate it before that."""
    with TemporaryDirectory() as folder:
        simulated = rehearsed(f"{DOCS.parent / PROGRAM}", None, [f"folder={folder}"], simulate=True)
    write_picture(simulated, DOCS / "characterise_rehearsed.svg")
    ordered = order(f"{DOCS.parent / PROGRAM}", None, [])
    began = time.monotonic()
    with ConfiguredLab(ordered.config) as lab:
        for name in ordered.binding.devices:
            lab.add_configured(name)
        args, kwargs = ordered.binding.resolved(lab.device)
        run = lab.start(ordered.task, *args, **kwargs)
        while not worth_seeing(run) and not run.done():
            time.sleep(0.02)
        (DOCS / "live_tree.svg").write_text(picture_of(run, began), encoding="utf-8")
        shutil.copy(run.result().plot, DOCS / "characterise.png")
        write_picture(lab.rehearse.timeline(run), DOCS / "characterise_timeline.svg")
    sys.stdout.write(picture(f"{DOCS.parent / PROGRAM}", None, [], DOCS / "characterise_graph.svg") + "\n")


if __name__ == "__main__":
    main()
