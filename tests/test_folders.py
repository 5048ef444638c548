"""Hold how the files of a folder are imported: once, under names of their own, with their neighbours within reach."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.folders import folder_of, module_name, name_at, ordinary_name
from actorlab.folders.known import file_of
from actorlab.folders.neighbours import compiled, source_of


@pytest.fixture(autouse=True)
def modules_are_forgotten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take away what a test has imported."""
    base = tmp_path_factory.getbasetemp()
    yield
    for name in [name for name, module in sys.modules.items() if made_in(base, name, module)]:
        del sys.modules[name]


def made_in(base: Path, name: str, module: object) -> bool:
    """Tell whether a module comes from a folder that was made for a test."""
    return quote(str(base), safe="") in name or file_of(module).startswith(str(base))


def write(place: Path, text: str = "") -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(dedent(text), encoding="utf-8")
    return place


def load(file: Path) -> Any:
    return importlib.import_module(module_name(file))


# Names


def test_two_folders_may_hold_files_of_one_name(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one" / "scan.py", "A = 1"), write(tmp_path / "two" / "scan.py", "A = 2")
    assert (load(one).A, load(two).A) == (1, 2)
    assert load(one) is load(one)


def test_the_ways_to_write_a_folder_make_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "tasks" / "scan.py")
    (tmp_path / "link").symlink_to(tmp_path / "tasks")
    monkeypatch.chdir(tmp_path)
    names = {module_name(path) for path in (file, tmp_path / "link" / "scan.py", Path("tasks/../tasks/scan.py"))}
    assert len(names) == 1


@pytest.mark.parametrize("odd", ["with.dot", "with space", "häuser", "100%", "%2F", "a_b-c~d", "'q'"])
def test_a_folder_may_have_any_name(tmp_path: Path, odd: str) -> None:
    assert load(write(tmp_path / odd / "scan.py", "A = 1")).A == 1


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1))
def test_a_folder_is_read_from_its_part_of_the_name(text: str) -> None:
    folder = Path(os.path.realpath(f"/no such folder {os.getpid()}/{text}"))
    quoted, stem = module_name(folder / "scan.py").removeprefix("actorlab.folders.").split(".")
    assert stem == "scan"
    assert folder_of(quoted) is None  # it isn't there
    assert os.fsdecode(importlib.import_module("urllib.parse").unquote_to_bytes(quoted)) == str(folder)


def test_what_isnt_there_isnt_imported(tmp_path: Path) -> None:
    for name in (module_name(tmp_path / "scan.py"), module_name(tmp_path / "no" / "scan.py"), "actorlab.folders.tasks"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


# Pickles


def test_what_a_file_defines_is_pickled_and_found_again_in_this_process(tmp_path: Path) -> None:
    module = load(write(tmp_path / "scan.py", "class Point:\n    pass\n\ndef scan():\n    return 1\n"))
    assert pickle.loads(pickle.dumps(module.scan)) is module.scan  # noqa: S301 - our own
    assert type(pickle.loads(pickle.dumps(module.Point()))) is module.Point  # noqa: S301 - our own


def test_a_new_process_finds_it_by_its_name_alone(tmp_path: Path) -> None:
    write(tmp_path / "my.tasks" / "helpers.py", "FACTOR = 2")
    file = write(
        tmp_path / "my.tasks" / "scan.py", "def scan(number):\n    import helpers\n    return helpers.FACTOR * number"
    )
    packed = pickle.dumps((load(file).scan, 21))
    program = f"import pickle\nfunction, number = pickle.loads({packed!r})\nprint(function(number))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("42\n", "")


# Neighbours


@pytest.mark.parametrize(
    ("statement", "expression"),
    [
        ("import helpers", "helpers.WHO"),
        ("import helpers as h", "h.WHO"),
        ("import os, helpers", "(os.sep, helpers.WHO)[1]"),
        ("from helpers import WHO", "WHO"),
        ("from helpers import WHO as w", "w"),
        ("from helpers import *", "WHO"),
        ("from . import helpers", "helpers.WHO"),
        ("from .helpers import WHO", "WHO"),
        ("import parts", "parts.WHO"),
        ("import parts.inner", "parts.inner.WHO"),
        ("import parts.inner.deep", "parts.inner.deep.WHO"),
        ("import parts.inner.deep as d", "d.WHO"),
        ("from parts.inner import deep", "deep.WHO"),
        ("from parts import inner", "inner.WHO"),
    ],
)
def test_a_file_imports_its_neighbours_in_every_way(tmp_path: Path, statement: str, expression: str) -> None:
    for who in ("one", "two"):
        folder = tmp_path / who
        for name in ("helpers.py", "parts/__init__.py", "parts/inner/__init__.py", "parts/inner/deep.py"):
            write(folder / name, f"WHO = {who!r}")
        write(folder / "early.py", f"{statement}\ndef who():\n    return {expression}")
        late = statement if "*" not in statement else "from helpers import WHO"
        write(folder / "late.py", f"def who():\n    {late}\n    return {expression}")
    loaded = [(load(tmp_path / who / f"{when}.py"), who) for when in ("early", "late") for who in ("one", "two")]
    assert [module.who() for module, _ in loaded] == [who for _, who in loaded]
    assert not {"helpers", "parts"} & set(sys.modules)


def test_a_neighbour_imports_its_neighbours_too_also_from_within_a_package(tmp_path: Path) -> None:
    write(tmp_path / "values.py", "ONE = 1")
    write(tmp_path / "middle.py", "from values import ONE")
    write(tmp_path / "parts" / "__init__.py", "import values\nfrom parts.inner import deep")
    write(tmp_path / "parts" / "inner" / "__init__.py", "import middle")
    write(tmp_path / "parts" / "inner" / "deep.py", "import values, middle, parts")
    scan = load(write(tmp_path / "scan.py", "import parts, middle"))
    assert (
        scan.parts.inner.deep.values
        is scan.parts.values
        is importlib.import_module(module_name(tmp_path / "values.py"))
    )
    assert scan.parts.inner.deep.middle is scan.parts.inner.middle is scan.middle
    assert scan.parts.inner.deep.parts is scan.parts


def test_a_neighbour_goes_before_a_module_of_the_same_name_as_it_does_in_a_program(tmp_path: Path) -> None:
    write(tmp_path / "statistics.py", "MINE = True")
    assert load(write(tmp_path / "scan.py", "import statistics")).statistics.MINE
    assert not hasattr(importlib.import_module("statistics"), "MINE")
    assert load(write(tmp_path / "other" / "scan.py", "import statistics")).statistics.mean([1, 3]) == 2


def test_files_may_import_each_other_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path / "b.py", "import a\ndef two():\n    return a.one() + 1")
    a = load(write(tmp_path / "a.py", "import b\ndef one():\n    return 1"))
    assert a.b.two() == 2
    assert a.b.a is a


def test_python_s_cache_is_neither_used_nor_written(tmp_path: Path) -> None:
    write(tmp_path / "helpers.py", "WHO = 'neighbour'")
    file = write(tmp_path / "scan.py", "import helpers")
    program = "import sys; sys.dont_write_bytecode = False; import scan; print(scan.__name__)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, timeout=60)
        cached = {path: path.read_bytes() for path in tmp_path.glob("__pycache__/*.pyc")}
        assert len(cached) == 2
        assert load(file).helpers.WHO == "neighbour"
        assert {path: path.read_bytes() for path in tmp_path.glob("__pycache__/*.pyc")} == cached


def test_a_source_is_compiled_as_it_stands_with_its_own_lines_and_future(tmp_path: Path) -> None:
    text = '''
    # -*- coding: latin-1 -*-
    """Documented."""
    def fine(number: int) -> float:
        return {"é": number}["é"]
    def fails():
        import os, sys; 1 / 0
    '''
    file = tmp_path / "scan.py"
    file.write_bytes(dedent(text).lstrip().encode("latin-1"))
    module = load(file)
    assert module.__doc__ == "Documented."
    assert module.fine.__annotations__ == {"number": int, "return": float}  # hints are only texts by this file's future
    assert module.fine(2) == 2
    with pytest.raises(ZeroDivisionError) as caught:
        module.fails()
    assert caught.traceback[-1].lineno + 1 == 6
    assert str(caught.traceback[-1].path) == str(file)


NAMES = st.sampled_from(["os", "json", "a", "b", "pack", "other"])
DOTTED = st.one_of(NAMES, st.tuples(NAMES, NAMES).map(".".join))
ALIAS = st.tuples(DOTTED, st.none() | NAMES).map(lambda it: it[0] if it[1] is None else f"{it[0]} as {it[1]}")
IMPORTS = st.one_of(
    st.lists(ALIAS, min_size=1, max_size=3).map(lambda names: f"import {', '.join(names)}"),
    st.tuples(st.sampled_from(["", ".", ".."]), DOTTED, NAMES).map(lambda it: f"from {it[0]}{it[1]} import {it[2]}"),
)


@given(st.lists(IMPORTS, min_size=1, max_size=4))
def test_only_the_imports_of_neighbours_change_and_they_bind_the_same_names(
    tmp_path_factory: pytest.TempPathFactory, statements: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "neighbours of this test"
    if not folder.exists():
        for name in ("a.py", "b.py", "pack/__init__.py"):
            write(folder / name)
    source = "\n".join(statements)
    code = compiled(source.encode(), "x.py", folder, 1)
    assert set(code.co_names) >= bound(source)
    if not {"a", "b", "pack"} & {part.strip(" ,.") for part in source.replace(".", " ").split()}:
        assert code.co_code == compile(source, "x.py", "exec", dont_inherit=True).co_code


def bound(source: str) -> set[str]:
    aliases = [alias for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names]
    return {alias.asname or alias.name.partition(".")[0] for alias in aliases}


def test_a_package_goes_before_a_module_as_in_any_import(tmp_path: Path) -> None:
    write(tmp_path / "a.py")
    package = write(tmp_path / "a" / "__init__.py")
    assert source_of(tmp_path, ["a"]) == package
    assert source_of(tmp_path, ["b"]) is None


# Files that are known already


def by_hand(name: str, file: Path) -> ModuleType:
    """Import a file under some name, as test runners and plug-in systems do."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_a_file_that_is_imported_already_is_that_module(tmp_path: Path) -> None:
    helpers = by_hand("some_helpers_of_this_test", write(tmp_path / "helpers.py"))
    assert name_at(tmp_path / "helpers.py") == "some_helpers_of_this_test"
    assert load(tmp_path / "helpers.py") is helpers
    assert load(write(tmp_path / "scan.py", "import helpers")).helpers is helpers
    assert helpers.__spec__ is not None
    assert helpers.__spec__.name == "some_helpers_of_this_test"


def test_links_are_followed_to_what_is_imported_already(tmp_path: Path) -> None:
    real = by_hand("linked_of_this_test", write(tmp_path / "real" / "scan.py"))
    (tmp_path / "there").symlink_to(tmp_path / "real")
    (tmp_path / "other.py").symlink_to(tmp_path / "real" / "scan.py")
    for file in (tmp_path / "there" / "scan.py", tmp_path / "other.py"):
        assert name_at(file) == "linked_of_this_test"
        assert load(file) is real


def test_a_module_that_was_imported_through_a_link_of_another_name_is_known(tmp_path: Path) -> None:
    file = write(tmp_path / "scan.py")
    (tmp_path / "measure.py").symlink_to(file)
    module = by_hand("through_a_link_of_this_test", tmp_path / "measure.py")
    assert load(file) is module


def test_what_a_plain_import_finds_has_its_plain_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    helpers = write(tmp_path / "plain_helpers.py")
    inner = write(tmp_path / "plain_package" / "inner.py")
    package = write(tmp_path / "plain_package" / "__init__.py")
    odd = write(tmp_path / "not-plain.py")
    importlib.invalidate_caches()
    names = [ordinary_name(file) for file in (helpers, inner, package, odd)]
    assert names == ["plain_helpers", "plain_package.inner", "plain_package", None]
    scan = load(write(tmp_path / "tasks" / "scan.py", "import plain_helpers, plain_package.inner"))
    assert scan.plain_helpers is load(helpers) is importlib.import_module("plain_helpers")
    assert load(inner) is importlib.import_module("plain_package.inner")


def test_a_neighbour_that_a_plain_import_finds_is_not_imported_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "helpers_beside_json.py")
    write(tmp_path / "inside_plainly" / "__init__.py")
    mine = load(write(tmp_path / "json.py", "import helpers_beside_json, inside_plainly"))  # `json` is Python's own
    assert mine.helpers_beside_json is importlib.import_module("helpers_beside_json")
    assert mine.inside_plainly is importlib.import_module("inside_plainly")


def test_a_file_behind_another_module_of_its_name_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules["by_hand_of_this_test"] = ModuleType("by_hand_of_this_test")  # it has no __spec__
    for name in ("json", "sys", "by_hand_of_this_test"):
        assert ordinary_name(write(tmp_path / f"{name}.py")) is None
    assert ordinary_name(write(tmp_path / "elsewhere" / "scan.py")) is None


def test_looking_for_a_file_wakes_no_lazy_module(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "lazy_of_this_test", write(tmp_path / "lazy.py", "raise RuntimeError")
    )
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lazy_of_this_test"] = module
    spec.loader.exec_module(module)
    assert name_at(tmp_path / "lazy.py") == "lazy_of_this_test"
    assert name_at(tmp_path / "other.py") is None


def test_anything_may_stand_among_the_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"none_of_this_test": None, "object_of_this_test": object()}.items():
        monkeypatch.setitem(sys.modules, name, value)
    assert name_at(tmp_path / "scan.py") is None


def test_a_file_that_has_changed_can_be_loaded_again(tmp_path: Path) -> None:
    write(tmp_path / "helpers.py", "WHO = 'neighbour'")
    module = load(write(tmp_path / "scan.py", "A = 1"))
    write(tmp_path / "scan.py", "import helpers\nA = 22")
    assert importlib.reload(module) is module
    assert (module.A, module.helpers.WHO) == (22, "neighbour")
