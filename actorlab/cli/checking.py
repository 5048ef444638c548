"""Look whether everything that a lab needs is there and well: Python, VISA, the lab's file, the journal, the disk."""

from __future__ import annotations

import importlib.metadata as meta
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from rich.console import Console
from rich.text import Text

from actorlab.cli.kept import moment_in_words
from actorlab.cli.places import journal_there
from actorlab.cli.program import lab_file_for
from actorlab.cli.telling import FAILED
from actorlab.config import read_lab_file
from actorlab.errors import ActorLabError
from actorlab.journal import JournalReader

__all__ = ["Finding", "check_all"]

State: TypeAlias = Literal["ok", "note", "wrong"]
LOOKS: Final[dict[State, tuple[str, str]]] = {"ok": ("✔", "green"), "note": ("!", "yellow"), "wrong": ("✘", "bold red")}
PATIENCE: Final = 15.0
"""So many seconds a VISA library has to list its resources."""
LITTLE, NONE_LEFT = 2e9, 1e8  # bytes
NOT_FOR_USERS: Final = ("dev", "bench")
VISA: Final = """
import json, sys
import pyvisa
backend = sys.argv[1]
print(json.dumps(list(pyvisa.ResourceManager(backend).list_resources())))
"""


class Finding(NamedTuple):
    """What was found: of what, whether it is well, and what there is to be said."""

    what: str
    state: State
    text: str


def check_all(journal: str | None, lab: Path | None, *, as_json: bool, seconds: float = PATIENCE) -> int:
    """Print what is found; return 1 if something is wrong, else 0."""
    console = Console(soft_wrap=True, highlight=False)
    wrong = False
    for finding in (*python(), *visa(seconds), *lab_file(lab), *journals(journal, lab), *extras()):
        wrong = wrong or finding.state == "wrong"
        if as_json:
            print(json.dumps(finding._asdict()), flush=True)  # noqa: T201 - a command line prints
        else:
            sign, style = LOOKS[finding.state]
            console.print(Text.assemble((f"{sign} ", style), (f"{finding.what:<10}", "bold"), finding.text))
    return FAILED if wrong else 0


def python() -> Iterator[Finding]:
    """Look at Python and actorlab."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}, {platform.platform()}")
    try:
        yield Finding("actorlab", "ok", f"{meta.version('actorlab')} in {Path(__file__).parents[1]}")
    except meta.PackageNotFoundError:
        yield Finding("actorlab", "note", f"run from its sources in {Path(__file__).parents[1]}, not installed")


# -- VISA


def visa(seconds: float) -> Iterator[Finding]:
    """Ask each VISA library what it finds, in processes that are ended if they take too long."""
    for title, backend in (("pyvisa-py", "@py"), ("NI-VISA", "@ivi")):
        yield resources(title, backend, seconds)


def resources(title: str, backend: str, seconds: float) -> Finding:
    """List what one library finds."""
    command = [sys.executable, "-W", "ignore", "-c", VISA, backend]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        return Finding("visa", "note", f"{title}: it didn't list its resources within {seconds:g} s")
    except OSError as error:
        return Finding("visa", "wrong", f"{title}: no process can be started: {error}")
    if done.returncode:
        if backend != "@py":
            return Finding("visa", "note", f"{title}: not found; only what pyvisa-py can't reach needs it")
        said = [line for line in done.stderr.splitlines() if "Error" in line] or ["it failed"]
        return Finding("visa", "wrong", f"{title}: {said[-1]}")
    found: list[str] = json.loads(done.stdout.strip().splitlines()[-1])
    return Finding("visa", "ok", f"{title}: {', '.join(found) or 'no instrument found by itself'}")


# -- what is here


def lab_file(given: Path | None) -> Iterator[Finding]:
    """Read the lab's file."""
    file = lab_file_for(None, given)
    if file is None:
        yield Finding("lab", "note", "there is no lab.yaml here: `actorlab init` begins one, --lab names another")
        return
    try:
        config = read_lab_file(file)
    except ActorLabError as error:
        yield Finding("lab", "wrong", str(error))
        return
    yield Finding("lab", "ok", f"{file}: {', '.join(config.devices) or 'no devices'}; `actorlab devices` connects them")


def journals(given: str | None, lab: Path | None) -> Iterator[Finding]:
    """Open the journal for reading, and look at the disk on which it is."""
    try:
        place = journal_there(given, lab)
    except ActorLabError as error:
        yield Finding("journal", "note", str(error))
        yield disk(Path.cwd())
        return
    path = None if "://" in place else Path(place).expanduser().absolute()
    if path is not None and not path.exists():
        yield Finding("journal", "note", f"there is none yet: {place}")
    else:
        yield from journal(place, path)
    if path is not None:
        yield disk(path.parent)


def journal(place: str, path: Path | None) -> Iterator[Finding]:
    """Open a journal."""
    try:
        with JournalReader.open(place) as reader:
            owner, openings = reader.owner(), reader.openings()
            ended = reader.runs(state="interrupted", roots=True, limit=5, brief=True)
            left = [run.id for run in ended if run.kind != "lease"]  # nobody goes on with a lease
            going = (
                [run.id for run in reader.unfinished() if run.parent is None and run.kind != "lease"][:5]
                if owner is None
                else []
            )
    except ActorLabError as error:
        yield Finding("journal", "wrong", str(error))
        return
    size = "" if path is None else f", {in_bytes(path.stat().st_size)}"
    yield Finding("journal", "ok", f"{place}: schema {reader.version}{size}, opened {len(openings)} times")
    if owner is not None:
        yield Finding("journal", "ok", f"it is written by {owner}")
    elif openings and not openings[-1].clean:
        last = openings[-1]
        text = f"the lab that began {moment_in_words(last.started)} (process {last.pid}) didn't end in order"
        yield Finding("journal", "note", f"{text}: its devices are made safe as the next lab connects them")
    if left or going:
        yield Finding("journal", "note", f"interrupted: {', '.join([*going, *left])}; `actorlab resume RUN` goes on")


def disk(folder: Path) -> Finding:
    """Look how much room is left."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free > LITTLE else "note" if free > NONE_LEFT else "wrong"
    return Finding("disk", state, f"{in_bytes(free)} free at {folder}")


def in_bytes(size: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - of each in the next
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


# -- extras


def extras() -> Iterator[Finding]:
    """Look which of the packages are installed that an extra brings."""
    wanted: dict[str, list[str]] = {}
    for line in requirements():
        if told := re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line):
            wanted.setdefault(told[1], []).append(re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0])
    for extra, packages in wanted.items():
        missing = [name for name in packages if name != "actorlab" and not installed(name)]
        if extra in NOT_FOR_USERS:
            continue
        if missing:
            text = f'{extra}: {", ".join(missing)} is missing; pip install "actorlab[{extra}]"'
            yield Finding("extra", "note", text)
        else:
            yield Finding("extra", "ok", f"{extra}: {', '.join(packages)}")


def requirements() -> list[Any]:
    """Return what actorlab's own metadata requires."""
    try:
        return list(meta.requires("actorlab") or ())
    except meta.PackageNotFoundError:
        return []


def installed(package: str) -> bool:
    """Tell whether a package is there; it isn't imported."""
    try:
        meta.version(package)
    except meta.PackageNotFoundError:
        return False
    return True
