"""See that the sources pass every linter and type checker, and that the import contracts catch what they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT_IMPORTS = ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-logo")

# What a checker may take depends on what else the machine does; it is no property of the sources.
pytestmark = [pytest.mark.static, pytest.mark.timeout(900)]


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # The interpreter that runs the tests runs the checkers, so they see the packages that the tests see.
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "checker",
    [
        pytest.param(("-m", "ruff", "check"), id="ruff check"),
        pytest.param(("-m", "ruff", "format", "--check"), id="ruff format"),
        pytest.param(("-m", "mypy"), id="mypy"),
        pytest.param(("-m", "pyright", "--warnings", "--pythonpath", sys.executable), id="pyright"),
        pytest.param(LINT_IMPORTS, id="import-linter"),
    ],
)
def test_the_sources_pass(checker: tuple[str, ...]) -> None:
    done = python(*checker)
    if done.returncode:
        pytest.fail(f"python {' '.join(checker)}\n{done.stdout}{done.stderr}", pytrace=False)


PURE = "core is pure: no threads, clocks, randomness or I/O"
DOWN = "imports point down"
KERNEL = "only the kernel touches pykka"
BASE = "the base install needs no plotting, server, cluster or bridge package"


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        *(
            ("core/planted.py", f"import {name}", PURE)
            for name in ("threading", "queue", "time", "asyncio", "concurrent.futures", "random", "pyvisa", "structlog")
        ),
        ("core/planted.py", "def later() -> None:\n    from time import monotonic", PURE),
        ("errors.py", "import threading", PURE),
        ("core/planted.py", "from actorlab import scope", DOWN),
        ("kernel/planted.py", "import actorlab.runtime", DOWN),
        ("device.py", "from actorlab.runtime import planted", DOWN),
        ("planted.py", "", DOWN),
        ("core/planted.py", "import pykka", KERNEL),
        ("runtime/planted.py", "from pykka import Actor", KERNEL),
        ("cli/planted.py", "import matplotlib.pyplot", BASE),
    ],
)
def test_a_planted_import_breaks_its_contract(tmp_path: Path, module: str, source: str, broken: str) -> None:
    shutil.copytree(ROOT / "actorlab", tmp_path / "actorlab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "actorlab" / module).open("a") as file:
        file.write(f"\n{source}\n")
    # Without an __init__.py Python would take this copy and the original for two parts of one package.
    for other in ("__init__.py", "runtime/planted.py"):
        (tmp_path / "actorlab" / other).touch()
    done = python(*LINT_IMPORTS, "--no-cache", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{broken} BROKEN" in " ".join(done.stdout.split())
