"""Hold what discovery finds in packages, folders and entry points, what it leaves alone, and what it reports."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorlab.device import Device
from actorlab.discovery import Found, Problem, discover
from actorlab.discovery.contents import contents
from actorlab.discovery.opt_out import Unclear, opts_out
from actorlab.errors import ConfigError
from actorlab.folders.known import file_of
from actorlab.task import Task, Workflow

TASK = "from actorlab import task\n@task\ndef {name}():\n    '''Do {name}.'''\n"
OPT_OUT = "__actorlab_discover__ = False\n"


@pytest.fixture(autouse=True)
def nothing_from_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Discover only what the test makes, and take away what it has imported."""
    monkeypatch.delenv("ACTORLAB_PATH", raising=False)
    base = tmp_path_factory.getbasetemp()
    yield
    for name in [name for name, module in sys.modules.items() if made_in(base, name, module)]:
        del sys.modules[name]


def made_in(base: Path, name: str, module: object) -> bool:
    """Tell whether a module comes from a folder that was made for a test."""
    return quote(str(base), safe="") in name or file_of(module).startswith(str(base))


class Place:
    """A folder of Python's path in which a test writes packages, and beside it other folders."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "site"
        self.path.mkdir(parents=True)
        self.log = tmp_path / "log"

    def write(self, name: str, *texts: str) -> Path:
        """Write a file that notes each of its imports."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        note = f"with open({str(self.log)!r}, 'a', encoding='utf-8') as _log:\n    _log.write({name!r} + '\\n')\n"
        file.write_text("".join(map(dedent, texts)) + note, encoding="utf-8")
        return file

    def plain(self, name: str, text: str) -> Path:
        """Write a file as it is."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
        return file

    def install(self, entry_points: str, name: str = "lab_plugin") -> None:
        """Write what an installer leaves of a distribution."""
        self.plain(f"{name}-1.2.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        self.plain(f"{name}-1.2.dist-info/entry_points.txt", entry_points)

    @property
    def imported(self) -> list[str]:
        """Return the files that were imported, in this order."""
        return self.log.read_text(encoding="utf-8").split() if self.log.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.syspath_prepend(made.path)
    return made


@pytest.fixture
def aside(tmp_path: Path) -> Place:
    """Return a place that isn't on Python's path."""
    return Place(tmp_path / "aside")


def task_named(name: str) -> str:
    return TASK.format(name=name)


def levels(found: Found) -> list[str]:
    return [problem.level for problem in found.problems]


def only_problem(found: Found) -> Problem:
    (problem,) = found.problems
    return problem


# -- sources


def test_packages_are_walked_with_all_that_is_inside(place: Place) -> None:
    place.write("lab_a/__init__.py", task_named("top"))
    place.write("lab_a/scan.py", task_named("scan"))
    place.write("lab_a/deep/__init__.py")
    place.write("lab_a/deep/deeper/__init__.py")
    place.write("lab_a/deep/deeper/cool.py", task_named("cool"))
    found = discover(packages=["lab_a"])
    assert list(found.tasks) == ["top", "cool", "scan"]
    assert found.tasks["cool"].module == "lab_a.deep.deeper.cool"
    assert found.problems == ()


def test_a_module_that_has_just_been_written_is_found(place: Place) -> None:
    assert levels(discover(packages=["just_written"])) == ["error"]
    before = place.path.stat()
    place.write("just_written.py", task_named("scan"))
    os.utime(place.path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as where clocks are coarse
    assert list(discover(packages=["just_written"]).tasks) == ["scan"]


def test_a_part_of_a_package_can_be_named_and_so_can_one_module(place: Place) -> None:
    place.write("lab_b/__init__.py", task_named("top"))
    place.write("lab_b/part/__init__.py")
    place.write("lab_b/part/scan.py", task_named("scan"))
    place.write("lab_alone.py", task_named("alone"))
    assert list(discover(packages=["lab_b.part"]).tasks) == ["scan"]
    assert list(discover(packages="lab_alone").tasks) == ["alone"]


def test_a_package_without_an_init_file_is_walked_too(place: Place) -> None:
    place.write("lab_namespace/scan.py", task_named("scan"))
    found = discover(packages=["lab_namespace"])
    assert (list(found.tasks), found.tasks["scan"].category) == (["scan"], "lab_namespace")


def test_a_folder_holds_plain_files_and_what_is_below_it_is_left(aside: Place) -> None:
    aside.write("scan.py", task_named("scan"))
    aside.write("below/cool.py", task_named("cool"))
    aside.plain("notes.txt", "no Python")
    (aside.path / "folder.py").mkdir()
    aside.plain(".hidden.py", "not Python")
    (aside.path / ".#scan.py").symlink_to("user@host.1234")
    found = discover(folders=[aside.path])
    assert list(found.tasks) == ["scan"]
    assert aside.imported == ["scan.py"]
    assert found.problems == ()


def test_two_folders_may_hold_files_of_one_name_which_import_their_own_neighbours(tmp_path: Path) -> None:
    for who in ("one", "two"):
        aside = Place(tmp_path / who)
        aside.write("helpers.py", f"WHO = {who!r}\n")
        text = f"import helpers\nfrom actorlab import task\n@task\ndef {who}():\n    import helpers as late\n"
        aside.write("scan.py", f"{text}    return helpers.WHO, late.WHO\n")
    found = discover(folders=[tmp_path / "one" / "site", tmp_path / "two" / "site"])
    assert [found.tasks[who].object() for who in ("one", "two")] == [("one", "one"), ("two", "two")]


def test_a_task_of_a_folder_can_be_pickled(aside: Place) -> None:
    aside.write("scan.py", "from actorlab import Device\n", task_named("scan"), "class Laser(Device): ...\n")
    found = discover(folders=[aside.path])
    task, laser = found.tasks["scan"].object, found.devices["Laser"].object
    assert pickle.loads(pickle.dumps((task, laser))) == (task, laser)  # noqa: S301 - our own
    program = f"import pickle; print(*pickle.loads({pickle.dumps((task, laser))!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, cwd=aside.path.parent
    )
    assert done.stdout.startswith("<task scan> <class 'actorlab.folders."), done.stderr


def test_folders_are_named_by_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("one", "two", "three"):
        Place(tmp_path / who).write("scan.py", task_named(who))
    paths = [str(tmp_path / who / "site") for who in ("one", "two")]
    monkeypatch.setenv("ACTORLAB_PATH", os.pathsep.join(["", *paths, ""]))
    monkeypatch.setenv("OTHER_PATH", str(tmp_path / "three" / "site"))
    assert list(discover().tasks) == ["one", "two"]
    assert list(discover(environment="OTHER_PATH").tasks) == ["three"]
    assert list(discover(environment=None).tasks) == []
    found = discover(folders=paths[1:])
    assert list(found.tasks) == ["two", "one"]
    assert found.tasks["one"].found_in == f"folder {paths[0]} of ACTORLAB_PATH"


def test_a_folder_may_be_written_in_the_ways_of_a_shell(aside: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    aside.write("scan.py", task_named("scan"))
    monkeypatch.setenv("HOME", str(aside.path.parent))
    monkeypatch.chdir(aside.path.parent)
    assert list(discover(folders=["~/site", "site", Path("./site")]).tasks) == ["scan"]
    assert aside.imported == ["scan.py"]


def test_entry_points_name_objects_modules_and_packages(place: Place) -> None:
    place.write("plug/__init__.py")
    place.write("plug/one.py", task_named("one"), "class Holder:\n    inner = one\n")
    place.write("plug/two.py", task_named("two"), "from actorlab import Device\nclass Laser(Device): ...\n")
    place.write("plug/more/__init__.py", task_named("three"))
    place.write("plug/more/four.py", task_named("four"))
    place.install("""
        [actorlab.tasks]
        first = plug.one:one
        held = plug.one:Holder.inner [extra]
        module = plug.two
        package = plug.more
        [actorlab.devices]
        fine_laser = plug.two:Laser
        module = plug.two
        [console_scripts]
        other = plug.nothing:main
    """)
    found = discover()
    assert list(found.tasks) == ["first", "held", "two", "three", "four"]
    assert list(found.devices) == ["fine_laser", "Laser"]
    assert found.tasks["first"].object is found.tasks["held"].object is sys.modules["plug.one"].one
    assert found.tasks["first"].found_in == "entry point first = plug.one:one in actorlab.tasks of lab_plugin 1.2"
    assert found.problems == ()


def test_entry_points_can_be_left_out(place: Place) -> None:
    place.write("plug_off.py", task_named("one"))
    place.install("[actorlab.tasks]\none = plug_off\n")
    found = discover(entry_points=False)
    assert (found.tasks, found.looked_in, place.imported) == ({}, (), [])


def test_an_entry_point_of_one_group_gives_only_what_the_group_is_for(place: Place) -> None:
    text = "from actorlab import Device\nclass Laser(Device): ...\n"
    place.write("plug_both.py", task_named("one"), text)
    place.install("[actorlab.tasks]\nboth = plug_both\n")
    assert (list(discover().tasks), list(discover().devices)) == (["one"], [])


def test_an_entry_point_may_name_a_plain_function_and_a_class_that_derives_from_nothing(place: Place) -> None:
    place.write("plug_plain.py", "def sweep(): ...\nclass Laser: ...\ndef make_oven(): ...\n")
    text = "[actorlab.tasks]\nsweep = plug_plain:sweep\n[actorlab.devices]\nlaser = plug_plain:Laser\n"
    place.install(f"{text}oven = plug_plain:make_oven\n")
    found = discover()
    assert (list(found.tasks), list(found.devices), found.problems) == (["sweep"], ["laser", "oven"], ())
    assert isinstance(found.tasks["sweep"].object, Task)
    assert found.tasks["sweep"].object is discover().tasks["sweep"].object


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[actorlab.tasks]\nx = plug_bad:Laser", "it names <class 'plug_bad.Laser'>, and not a task"),
        ("[actorlab.tasks]\nx = plug_bad:NUMBER", "it names 3, and not a task"),
        ("[actorlab.devices]\nx = plug_bad:run", "it names <task run>, and not a class of devices"),
        ("[actorlab.devices]\nx = plug_bad:Base", "and not a class of devices that can be made"),
        ("[actorlab.tasks]\nx = plug_bad:nothing", "AttributeError: module 'plug_bad' has no attribute 'nothing'"),
        (
            "[actorlab.tasks]\nx = plug_missing:it",
            "plug_missing: there is no such module, and entry point x = plug_missing:it in",
        ),
        ("[actorlab.tasks]\nx = plug_bad.inner:it", "plug_bad.inner: there is no such module"),
        ("[actorlab.tasks]\nx = what is this?", "it names no object"),
    ],
)
def test_an_entry_point_that_names_nothing_usable_is_reported(place: Place, line: str, said: str) -> None:
    place.write(
        "plug_bad.py",
        task_named("run"),
        "from actorlab import Device\nimport abc\nNUMBER = 3\nclass Laser(Device): ...\n",
        "class Base(Device, abc.ABC):\n    @abc.abstractmethod\n    def on(self): ...\n",
    )
    place.install(line)
    found = discover()
    assert (found.tasks, found.devices) == ({}, {})
    assert said in str(only_problem(found))
    assert only_problem(found).level == "error"


def test_the_order_is_that_of_the_sources_and_then_of_the_names(place: Place, aside: Place) -> None:
    for package in ("order_b", "order_a"):
        for module in ("__init__", "zeta", "alpha"):
            place.write(f"{package}/{module}.py", task_named(f"{package}_{module.strip('_')}"))
    for module in ("y", "x"):
        aside.write(f"{module}.py", task_named(f"folder_{module}2"), task_named(f"folder_{module}1"))
    place.install("[actorlab.tasks]\nlast_b = order_a\nlast_a = order_b.alpha:order_b_alpha\n")
    found = discover(folders=aside.path, packages=["order_b", "order_a"])
    assert list(found.tasks) == [
        *(f"order_{package}_{module}" for package in "ba" for module in ("init", "alpha", "zeta")),
        *("folder_x2", "folder_x1", "folder_y2", "folder_y1"),
        "last_a",
    ]


# -- nothing twice


def test_each_module_is_imported_once_over_all_sources(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("once/__init__.py")
    place.write("once/scan.py", task_named("scan"), "from once import helpers\n")
    place.write("once/helpers.py")
    (place.path / "linked").symlink_to(place.path / "once")
    place.install("[actorlab.tasks]\na = once\nb = once.scan:scan\n[actorlab.devices]\nc = once.scan\n")
    monkeypatch.setenv("ACTORLAB_PATH", str(place.path / "linked"))
    folders = [place.path / "once", place.path / "linked", place.path / "once"]
    found = [discover(packages=["once", "once.scan"], folders=folders) for _ in range(2)]
    assert sorted(place.imported) == ["once/__init__.py", "once/helpers.py", "once/scan.py"]
    assert found[0].problems == ()
    assert list(found[0].tasks) == ["scan", "b"]
    assert found[0] == found[1]


def test_a_folder_s_files_are_imported_once_whoever_names_them_first(aside: Place) -> None:
    aside.write("a.py", "import helpers\n", task_named("a"))
    aside.write("helpers.py", task_named("helps"))
    aside.write("z.py", "from helpers import helps\n", task_named("z"))
    found = [discover(folders=[aside.path]) for _ in range(2)]
    assert sorted(aside.imported) == ["a.py", "helpers.py", "z.py"]
    assert list(found[0].tasks) == list(found[1].tasks) == ["a", "helps", "z"]


def test_a_program_that_discovers_its_own_folder_isnt_run_again(aside: Place) -> None:
    program = aside.write(
        "program.py",
        task_named("scan"),
        "from actorlab.discovery import discover\n",
        "from pathlib import Path\n",
        "import neighbour\n",
        "found = discover(folders=[Path(__file__).parent])\n",
        "assert found.tasks['scan'].object is scan\n",
        "assert found.tasks['other'].object is neighbour.other\n",
    )
    aside.write("neighbour.py", task_named("other"))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert aside.imported == ["neighbour.py", "program.py"]


def test_a_module_of_a_package_that_runs_as_the_program_isnt_imported_again(place: Place) -> None:
    place.write("asprogram/__init__.py")
    text = "from actorlab.discovery import discover\nassert discover(packages='asprogram').tasks['it'].object is it\n"
    place.write("asprogram/tool.py", task_named("it"), text)
    done = subprocess.run(
        [sys.executable, "-m", "asprogram.tool"],
        cwd=place.path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert place.imported == ["asprogram/__init__.py", "asprogram/tool.py"]


def test_two_threads_that_discover_one_folder_import_it_once(aside: Place) -> None:
    for name in ("a", "b", "c"):
        aside.write(f"{name}.py", task_named(name))
    found: list[Found] = []
    begin = threading.Barrier(4)

    def search() -> None:
        begin.wait(5)
        found.append(discover(folders=[aside.path]))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert [list(one.tasks) for one in found] == [["a", "b", "c"]] * 4
    assert sorted(aside.imported) == ["a.py", "b.py", "c.py"]


def test_a_package_that_leads_back_to_itself_is_walked_once(place: Place) -> None:
    place.write("circle/__init__.py")
    place.write("circle/scan.py", task_named("scan"))
    (place.path / "circle" / "again").symlink_to(place.path / "circle")
    found = discover(packages=["circle"])
    assert (list(found.tasks), found.problems) == (["scan"], ())
    assert place.imported == ["circle/__init__.py", "circle/scan.py"]


def test_a_package_that_is_broken_isnt_tried_again_for_each_of_its_modules(place: Place) -> None:
    place.plain(
        "fails/__init__.py",
        f"with open({str(place.log)!r}, 'a') as log:\n    log.write('once ')\nraise OSError('no port')",
    )
    place.write("fails/a.py", task_named("a"))
    place.install("[actorlab.tasks]\na = fails.a:a\nb = fails.a\nc = fails\n")
    found = discover(packages=["fails", "fails.a"], folders=[place.path / "fails"])
    assert place.imported == ["once"]
    assert only_problem(found).error == "OSError: no port"


# -- what counts


def items_of(text: str) -> list[tuple[str, str]]:
    """Return what counts in a module."""
    import types  # noqa: PLC0415

    module = types.ModuleType("a_module_of_a_test")
    exec(compile(dedent(text), "a_module.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    return [(item.name, item.kind) for item in contents(module)]


BEGIN = """
import abc, functools
from actorlab import Device, DeviceConfig, task, workflow
from actorlab.simulation import Laser
from actorlab.task import Task
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("@task\ndef a(): ...\n@workflow\ndef b(): ...\nclass C(Device): ...", ["a task", "b workflow", "C device"]),
        ("@task(name='power curve')\ndef a(): ...", ["power curve task"]),
        ("def a(): ...\nclass B: ...\nc = 3", []),
        ("class A(Laser): ...", ["A device"]),
        ("__all__ = ['Laser', 'Device', 'nothing', 3]", ["Laser device"]),
        ("__all__ = 'Laser'", []),
        ("class Mixin(abc.ABC):\n    @abc.abstractmethod\n    def on(self): ...\nclass A(Device, Mixin): ...", []),
        ("class _Base(Device): ...\nclass A(_Base): ...", ["A device"]),
        ("class _Base(Device): ...\nBase = _Base", []),
        ("@task\ndef _hidden(): ...", []),
        (
            "__all__ = ['_shown', '_Base']\n@task\ndef _shown(): ...\nclass _Base(Device): ...",
            ["_shown task", "_Base device"],
        ),
        ("@task\ndef a(): ...\nb = a", ["a task"]),
        ("@task\ndef a(): ...\nb = a.options(retries=2)", ["a task"]),
        ("@task\ndef a(): ...\nb = a.options(name='careful')", ["a task", "careful task"]),
        ("class A(Device): ...\nB = A", ["A device"]),
        ("@DeviceConfig(timeout=5)\nclass A(Device): ...", ["A device"]),
        ("class A(Device): ...\nFast = DeviceConfig(direct=True)(A)", ["A device", "Fast device"]),
        ("Fast = DeviceConfig(direct=True)(Laser)", []),
        ("__all__ = ['Fast']\nFast = DeviceConfig(timeout=3)(DeviceConfig(direct=True)(Laser))", ["Fast device"]),
        ("class A:\n    __class__ = Task\na = A()", []),
        ("def __getattr__(name): return Laser\n__all__ = ['Lazy']", ["Laser device"]),
    ],
)
def test_what_a_module_defines_or_lists_counts(text: str, expected: list[str]) -> None:
    assert [f"{name} {kind}" for name, kind in items_of(BEGIN + text)] == expected


def test_what_a_module_only_imports_counts_where_it_is_defined(place: Place) -> None:
    place.write("imports/__init__.py", "from imports.b import *\n")
    place.write("imports/a.py", "from imports.b import scan, Laser\n")
    place.write("imports/b.py", task_named("scan"), "from actorlab import Device\nclass Laser(Device): ...\n")
    found = discover(packages=["imports"])
    assert [found.tasks["scan"].module, found.devices["Laser"].module] == ["imports.b", "imports.b"]
    assert found.problems == ()


def test_workflows_have_a_place_of_their_own(aside: Place) -> None:
    aside.write("scan.py", "from actorlab import workflow\n@workflow\ndef whole(): ...\n", task_named("part"))
    found = discover(folders=aside.path)
    assert (list(found.tasks), list(found.workflows)) == (["part"], ["whole"])
    assert isinstance(found.workflows["whole"].object, Workflow)


def test_a_module_that_makes_its_names_by_code_which_fails_is_reported(aside: Place) -> None:
    aside.write("scan.py", "__all__ = ['x']\ndef __getattr__(name):\n    raise OSError('no port')\n", task_named("a"))
    aside.write("z.py", task_named("z"))
    found = discover(folders=[aside.path])
    assert list(found.tasks) == ["z"]
    assert only_problem(found).error == "OSError: no port"


def test_anything_may_stand_in_for_a_module(aside: Place) -> None:
    aside.plain("odd.py", "import sys\nsys.modules[__name__] = 3")
    aside.plain("slots.py", "import sys\nclass A:\n    __slots__ = ()\nsys.modules[__name__] = A()")
    found = discover(folders=[aside.path])
    assert (found.tasks, found.problems) == ({}, ())


# -- opting out, and the ignore list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("__actorlab_discover__ = False", True),
        ("__actorlab_discover__: bool = False", True),
        ("__actorlab_discover__ = True", False),
        ("__actorlab_discover__ = False\n__actorlab_discover__ = True", False),
        ("'''__actorlab_discover__ = False'''", False),
        ("print(__actorlab_discover__)", False),
        ("x = 1\n__actorlab_discover__ = not x", Unclear(2)),
        ("__actorlab_discover__ = 0", Unclear(1)),
        ("if True:\n    __actorlab_discover__ = False", Unclear(2)),
        ("a, __actorlab_discover__ = 1, False", Unclear(1)),
        ("a = __actorlab_discover__ = False", Unclear(1)),
        ("__actorlab_discover__ = False\n(", False),
    ],
)
def test_opting_out_is_read_in_the_source(text: str, expected: object) -> None:
    assert opts_out(text) == opts_out(text.encode()) == expected


@given(st.text())
def test_any_text_can_be_looked_at_for_opting_out(text: str) -> None:
    assert opts_out(f"{text}\n__actorlab_discover__") in (False, True)


def test_a_module_of_a_package_that_opts_out_is_never_imported(place: Place) -> None:
    place.write("outs/__init__.py", task_named("top"))
    place.write("outs/scan.py", OPT_OUT, task_named("scan"))
    found = discover(packages=["outs", "outs.scan"])
    assert list(found.tasks) == ["top"]
    assert place.imported == ["outs/__init__.py"]
    assert [str(item) for item in found.left_out] == [
        f"{place.path}/outs/scan.py opts out by __actorlab_discover__ = False"
    ]


def test_a_file_of_a_folder_that_opts_out_is_never_imported(aside: Place) -> None:
    aside.write("scan.py", OPT_OUT, task_named("scan"))
    found = discover(folders=[aside.path])
    assert (found.tasks, found.problems, aside.imported) == ({}, (), [])
    assert [item.file for item in found.left_out] == [aside.path / "scan.py"]


def test_a_module_of_an_entry_point_that_opts_out_is_never_imported(place: Place) -> None:
    place.write("plug_outs/__init__.py")
    place.write("plug_outs/scan.py", OPT_OUT, task_named("scan"))
    place.install("[actorlab.tasks]\na = plug_outs.scan:scan\nb = plug_outs.scan\nc = plug_outs\n")
    found = discover()
    assert (found.tasks, found.problems, place.imported) == ({}, (), ["plug_outs/__init__.py"])
    assert len(found.left_out) == 1


def test_a_package_that_opts_out_takes_along_all_that_is_inside_whoever_names_it(place: Place) -> None:
    place.write("allout/__init__.py", OPT_OUT)
    place.write("allout/deep/__init__.py")
    place.write("allout/deep/scan.py", task_named("scan"))
    place.install("[actorlab.tasks]\na = allout.deep.scan:scan\nb = allout.deep\n")
    found = discover(packages=["allout", "allout.deep", "allout.deep.scan"], folders=[place.path / "allout" / "deep"])
    assert (found.tasks, found.problems, place.imported) == ({}, (), [])


def test_a_file_inside_a_package_that_opts_out_is_left_alone_also_where_python_doesnt_find_it(aside: Place) -> None:
    aside.plain("pack/__init__.py", OPT_OUT)
    aside.plain("pack/inner/__init__.py", "")
    aside.write("pack/inner/scan.py", task_named("scan"))
    found = discover(folders=[aside.path / "pack" / "inner"])
    assert (found.tasks, aside.imported) == ({}, [])
    assert str(found.left_out[0]).startswith(f"{aside.path}/pack/__init__.py opts out")


def test_a_module_that_opts_out_is_left_alone_also_when_it_is_imported_already(place: Place) -> None:
    place.write("already.py", OPT_OUT, task_named("scan"))
    place.write("uses.py", "import already\n")
    assert discover(packages=["uses", "already"]).tasks == {}
    assert place.imported == ["already.py", "uses.py"]


def test_a_module_without_its_source_can_opt_out_as_it_runs(place: Place) -> None:
    place.write("compiled_only.py", OPT_OUT, task_named("scan"))
    program = "import compileall, sys; compileall.compile_file(sys.argv[1], legacy=True, quiet=1)"
    subprocess.run([sys.executable, "-c", program, place.path / "compiled_only.py"], check=True, timeout=60)
    (place.path / "compiled_only.py").unlink()
    found = discover(packages=["compiled_only"])
    assert (found.tasks, found.problems, len(found.left_out)) == ({}, (), 1)


def test_a_module_that_may_opt_out_or_not_is_reported_and_skipped(aside: Place) -> None:
    aside.write("scan.py", "import os\n__actorlab_discover__ = 'X' in os.environ\n", task_named("scan"))
    found = discover(folders=[aside.path])
    assert (found.tasks, aside.imported) == ({}, [])
    assert "scan.py:2: __actorlab_discover__ isn't plainly True or False, so the module is skipped; write" in str(
        only_problem(found)
    )


def test_what_is_to_be_ignored_isnt_imported(place: Place, aside: Place) -> None:
    for name in ("__init__", "_private", "test_it", "conftest", "scan"):
        place.write(f"ignores/{name}.py", task_named(f"p_{name}"))
        aside.write(f"{name}.py", task_named(f"f_{name}"))
    place.write("ignores/_inner/__init__.py")
    place.write("ignores/_inner/scan.py")
    found = discover(packages=["ignores"], folders=[aside.path])
    assert (place.imported, aside.imported) == (["ignores/__init__.py", "ignores/scan.py"], ["scan.py"])
    whys = {(item.module, item.why) for item in found.left_out if item.file is None}
    assert whys == {
        ("ignores._private", "is ignored by '_*'"),
        ("ignores._inner", "is ignored by '_*'"),
        ("ignores.test_it", "is ignored by 'test_*'"),
        ("ignores.conftest", "is ignored by 'conftest'"),
    }
    assert {item.file for item in found.left_out if item.file is not None} == {
        aside.path / f"{name}.py" for name in ("_private", "test_it", "conftest")
    }


@pytest.mark.parametrize("pattern", ["old_*", "old_scan", "old_scan.py", "*.py"])
def test_files_are_ignored_by_their_names_with_or_without_the_ending(aside: Place, pattern: str) -> None:
    aside.write("old_scan.py", task_named("scan"))
    assert discover(folders=[aside.path], ignore=[pattern]).tasks == {}
    assert aside.imported == []


def test_modules_are_ignored_by_their_full_names_too(place: Place) -> None:
    place.write("full/__init__.py")
    place.write("full/a/__init__.py")
    place.write("full/a/scan.py", task_named("scan"))
    place.write("full/b.py", task_named("b"))
    assert list(discover(packages=["full"], ignore=["full.a*"]).tasks) == ["b"]
    assert place.imported == ["full/__init__.py", "full/b.py"]


def test_what_is_named_outright_is_ignored_only_by_its_full_name(place: Place) -> None:
    place.write("_named/__init__.py")
    place.write("_named/_impl.py", task_named("scan"))
    place.write("outright/__init__.py")
    place.write("outright/_impl.py", task_named("scan"))
    place.install("[actorlab.tasks]\nscan = outright._impl:scan\n")
    assert list(discover(packages=["outright._impl"], entry_points=False).tasks) == ["scan"]
    assert list(discover().tasks) == ["scan"]
    assert discover(ignore=["outright.*"]).tasks == {}
    assert discover(packages=["_named"], entry_points=False).tasks == {}  # this is its full name


@pytest.mark.parametrize("ignore", [(), ("_*",)])
def test_programs_of_packages_are_never_run(place: Place, aside: Place, ignore: tuple[str, ...]) -> None:
    for where, name in ((place, "runs/"), (aside, "")):
        where.write(f"{name}__init__.py")
        where.write(f"{name}__main__.py", "raise SystemExit('it ran')\n")
        where.write(f"{name}scan.py", task_named("scan"))
    found = discover(packages=["runs"], folders=[aside.path], ignore=ignore)
    assert levels(found) == ["warning"]  # of the same name twice
    assert (place.imported, aside.imported) == (["runs/__init__.py", "runs/scan.py"], ["scan.py"])


# -- categories


def test_a_category_is_the_name_of_the_package_or_folder(place: Place, aside: Place) -> None:
    place.write("cats/__init__.py", task_named("top"))
    place.write("cats/scan.py", task_named("scan"), "from actorlab import Device\nclass Laser(Device): ...\n")
    place.write("cats/optics/__init__.py", task_named("shine"))
    place.write("cats/optics/focus.py", task_named("focus"))
    place.write("lone.py", task_named("lone"))
    aside.write("cool.py", task_named("cool"), "from actorlab import Device\nclass Oven(Device): ...\n")
    place.install("[actorlab.tasks]\nagain = cats.optics.focus:focus\nlone = lone:lone\n")
    found = discover(packages="cats", folders=aside.path)
    categories = {name: entry.category for name, entry in {**found.tasks, **found.devices}.items()}
    assert categories == {
        "top": "cats",
        "scan": "cats",
        "Laser": "cats",
        "shine": "optics",
        "focus": "optics",
        "again": "optics",
        "lone": "lone",
        "cool": "site",
        "Oven": "site",
    }
    assert {name: [entry.name for entry in entries] for name, entries in found.by_category().items()} == {
        "cats": ["top", "scan", "Laser"],
        "optics": ["shine", "focus", "again"],
        "site": ["cool", "Oven"],
        "lone": ["lone"],
    }


def test_a_task_may_say_its_category_itself(aside: Place) -> None:
    aside.write(
        "scan.py",
        task_named("scan"),
        "class WithCategory:\n    category = 'community'\n    def __getattr__(self, name): return getattr(o, name)\n",
        "o = scan.options_\nscan.options_ = WithCategory()\n",
    )
    assert discover(folders=[aside.path]).tasks["scan"].category == "community"


# -- names


def test_of_two_with_one_name_the_first_is_kept_and_both_places_are_reported(place: Place, aside: Place) -> None:
    first = place.write(
        "dups.py", "# one\n", task_named("scan"), "from actorlab import Device\nclass Laser(Device): ...\n"
    )
    second = aside.write("scan.py", task_named("scan"), "from actorlab import Device\nclass Laser(Device): ...\n")
    found = discover(packages=["dups"], folders=[aside.path])
    assert (found.tasks["scan"].module, found.devices["Laser"].module) == ("dups", "dups")
    assert "\n".join(map(str, found.problems)) == (
        f"{second}:2: the task 'scan' is left out, as {first}:3 has that name already; "
        "rename one of them, or put 'scan' into `override`, so that the last one counts\n"
        f"{second}:6: the device 'Laser' is left out, as {first}:7 has that name already; "
        "rename one of them, or put 'Laser' into `override`, so that the last one counts"
    )
    assert levels(found) == ["warning", "warning"]


def test_a_name_to_be_overridden_goes_to_the_last_and_that_is_told(tmp_path: Path) -> None:
    places = [Place(tmp_path / who) for who in ("one", "two", "three")]
    files = [place.write("x.py", task_named("scan"), task_named("cool")) for place in places]
    found = discover(folders=[file.parent for file in files], override=["scan"])
    assert (found.tasks["scan"].file, found.tasks["cool"].file) == (files[2], files[0])
    assert [problem.message for problem in found.problems if problem.level == "info"] == [
        f"the task 'scan' is used in place of that at {files[0]}:2",
        f"the task 'scan' is used in place of that at {files[1]}:2",
    ]
    assert levels(found) == ["info", "warning", "info", "warning"]


def test_a_task_and_a_workflow_cant_have_one_name_but_a_device_may_have_it_too(aside: Place) -> None:
    aside.write(
        "a.py", task_named("same"), "from actorlab import Device\nclass same(Device): ...\n__all__ = ['one']\none = 1\n"
    )
    aside.write(
        "b.py", "from actorlab import task, workflow\n@workflow\ndef same(): ...\n@task(name='it')\ndef a(): ...\n"
    )
    aside.write("c.py", "from actorlab import Device\nclass it(Device): ...\n")
    found = discover(folders=[aside.path])
    assert (list(found.tasks), list(found.workflows), list(found.devices)) == (["it"], ["same"], ["same", "it"])
    assert found.problems == ()


def test_a_task_keeps_its_name_before_a_workflow(aside: Place) -> None:
    aside.write("a.py", task_named("same"))
    aside.write("b.py", "from actorlab import workflow\n@workflow\ndef same(): ...\n")
    found = discover(folders=[aside.path])
    assert (list(found.tasks), list(found.workflows), levels(found)) == (["same"], [], ["warning"])
    found = discover(folders=[aside.path], override="same")
    assert (list(found.tasks), list(found.workflows), levels(found)) == ([], ["same"], ["info"])


def test_names_have_to_follow_a_rule(aside: Place) -> None:
    aside.write(
        "scan.py",
        "from actorlab import task\n",
        "lamp = task(lambda: 1)\n",
        "@task(name='a/b')\ndef c(): ...\n",
        "@task(name='power curve 2.1')\ndef d(): ...\n",
    )
    found = discover(folders=[aside.path])
    assert list(found.tasks) == ["power curve 2.1"]
    assert [problem.message.partition(":")[0] for problem in found.problems] == [
        "the task can't be known as '<lambda>'",
        "the task can't be known as 'a/b'",
    ]
    assert levels(found) == ["error", "error"]


def test_a_lab_may_have_a_rule_of_its_own(aside: Place) -> None:
    aside.write("scan.py", task_named("scan_task"), task_named("cool"))
    assert list(discover(folders=[aside.path], names="[a-z_]+_task").tasks) == ["scan_task"]
    with pytest.raises(ConfigError, match=r"names='\(' is no regular expression"):
        discover(names="(")


# -- what goes wrong


@pytest.mark.parametrize(
    ("text", "line", "error", "advice"),
    [
        ("x = 1\ndef (", 2, "SyntaxError: invalid syntax", "mend that line, or set __actorlab_discover__ = False"),
        ("\nimport no_such_thing", 2, "ModuleNotFoundError: No module named 'no_such_thing'", "install what provides"),
        ("from os import nothing", 1, "ImportError: cannot import name 'nothing'", "mend it"),
        ("x = 1\n\nraise ValueError('three\\nlines\\nof it')", 3, "ValueError: three\nlines\nof it", "mend it"),
        ("def f():\n    1 / 0\n\nf()", 2, "ZeroDivisionError: division by zero", "mend it"),
        ("import json\njson.loads('{')", 2, "json.decoder.JSONDecodeError: Expecting", "mend it"),
        ("import sys\nsys.exit('usage: …')", 2, "SystemExit: usage: …", "put what it does as a program under"),
        ("def f(): f()\nf()", 1, "RecursionError: maximum recursion depth exceeded", "mend it"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", 3, "<exception str() failed>", "mend it"),
        (
            "from actorlab import task\n@task(retires=2)\ndef a(): ...",
            2,
            "ConfigError: a task has no option",
            "mend it",
        ),
        ("x = '\udcff'", None, "SyntaxError: (unicode error)", "mend that line"),
        ("x = 1\0", None, "null bytes", "mend"),
    ],
)
def test_a_broken_module_is_reported_and_skipped(
    aside: Place, text: str, line: int | None, error: str, advice: str
) -> None:
    file = aside.path / "broken.py"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    aside.write("fine.py", task_named("fine"))
    found = discover(folders=[aside.path])
    assert list(found.tasks) == ["fine"]
    problem = only_problem(found)
    assert (problem.level, problem.file, problem.message) == (
        "error",
        str(file),
        "it can't be imported, and is skipped",
    )
    assert line in (None, problem.line)
    assert error in problem.error
    assert problem.advice.startswith(advice)
    assert error.partition("\n")[0] in problem.traceback
    assert "importlib" not in problem.traceback
    assert str(problem).startswith(f"{file}:" if problem.line is None else f"{file}:{problem.line}: ")


@pytest.mark.parametrize("where", ["package", "entry point", "folder"])
def test_a_broken_module_is_reported_alike_from_every_source(place: Place, where: str) -> None:
    place.write("brk/__init__.py")
    file = place.plain("brk/bad.py", "x = 1\nraise RuntimeError('no instrument')")
    place.write("brk/good.py", task_named("good"))
    place.install("[actorlab.tasks]\nx = brk\n")
    found = discover(
        packages=["brk"] if where == "package" else [],
        folders=[place.path / "brk"] if where == "folder" else [],
        entry_points=where == "entry point",
    )
    assert list(found.tasks) == ["good"]
    problem = only_problem(found)
    assert (problem.file, problem.line, problem.error) == (str(file), 2, "RuntimeError: no instrument")
    assert problem.traceback.startswith(f'Traceback (most recent call last):\n  File "{file}", line 2, in <module>')


def test_an_error_in_a_neighbour_is_told_with_the_line_that_imports_it(aside: Place) -> None:
    aside.plain("bad.py", "def (")
    aside.write("scan.py", "import sys\nimport bad\n")
    found = discover(folders=[aside.path])
    assert [(Path(problem.file).name, problem.line) for problem in found.problems] == [("bad.py", 1), ("scan.py", 2)]
    assert "def (" in found.problems[1].traceback


def test_whoever_interrupts_the_program_ends_the_search(aside: Place) -> None:
    aside.plain("scan.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover(folders=[aside.path])


def test_a_warning_stays_one(aside: Place) -> None:
    aside.write("scan.py", "import warnings\nwarnings.warn('old', DeprecationWarning)\nx = '\\d'\n", task_named("scan"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = discover(folders=[aside.path])
    assert (list(found.tasks), found.problems) == (["scan"], ())
    assert sorted(str(item.message) for item in caught) == ["invalid escape sequence '\\d'", "old"]


def test_sources_that_arent_there_are_reported(tmp_path: Path) -> None:
    (tmp_path / "file.py").touch()
    folders: list[str | Path] = [tmp_path / "nowhere", tmp_path / "file.py", "~no_such_user_here/x"]
    found = discover(packages=["no_such_package", "os.path.inner", "json.no_such"], folders=folders)
    assert levels(found) == ["error"] * 6
    text = "\n".join(map(str, found.problems))
    assert "no_such_package: there is no such module, and package no_such_package leads there; install it" in text
    assert "json.no_such: there is no such module" in text
    assert (
        f"{tmp_path}/nowhere: this folder can't be read: No such file or directory; correct its name, or make it"
        in text
    )
    assert f"{tmp_path}/file.py: this folder can't be read: Not a directory" in text


def test_a_file_that_cant_be_read_is_reported(aside: Place) -> None:
    file = aside.write("scan.py", task_named("scan"))
    file.unlink()
    file.symlink_to("/proc/self/mem")  # no reading at its beginning, for nobody
    found = discover(folders=[aside.path])
    assert found.tasks == {}
    assert (found.problems == ()) == (not file.is_file())


def test_a_file_with_a_dot_in_its_name_is_reported_and_one_with_other_signs_is_found(aside: Place) -> None:
    aside.write("scan.v2.py", task_named("dotted"))
    aside.write("2024-scan copy.py", task_named("dated"))
    found = discover(folders=[aside.path])
    assert list(found.tasks) == ["dated"]
    assert str(only_problem(found)) == f"{aside.path}/scan.v2.py: a file with a dot in its name is no module; rename it"
    task = found.tasks["dated"].object
    assert pickle.loads(pickle.dumps(task)) is task  # noqa: S301 - our own


# -- what is required


def refused(**sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        discover(**sources)
    return str(caught.value)


def test_what_is_required_may_be_a_task_a_workflow_or_a_device(aside: Place) -> None:
    text = "from actorlab import Device, workflow\nclass Laser(Device): ...\n@workflow\ndef whole(): ...\n"
    aside.write("scan.py", task_named("scan"), text)
    assert discover(folders=[aside.path], required=["scan", "Laser", "whole"]).problems == ()
    assert discover(folders=[aside.path], required="scan").problems == ()


def test_what_is_required_and_missing_stops_the_start_and_says_where_it_was_looked_for(place: Place) -> None:
    place.write("req.py", task_named("power_curve"), task_named("cool"))
    said = refused(packages=["req"], folders=[place.path / "no"], required=["power_curv", "cool", "zz"])
    first, *rest = said.splitlines()
    assert first == (
        f"required, but not found: power_curv, zz; looked in package req, folder {place.path}/no, "
        "entry points actorlab.tasks, entry points actorlab.devices"
    )
    assert rest[0] == "power_curv: did you mean 'power_curve'?"
    assert rest[1].startswith(f"power_curv: {place.path}/no: this folder can't be read")
    assert rest[2].startswith(f"zz: {place.path}/no: this folder can't be read")
    assert len(rest) == 3


@pytest.mark.parametrize(
    "text",
    ["def scan():\n    pass\nimport nothing_here\n", "def scan(:", "import nothing_here\nscan = 3", "class scan: 1 / 0",
     "import nothing_here\n@task(name='scan')\ndef it(): ...", "import nothing_here\nasync def scan(): ..."],
)  # fmt: skip
def test_the_broken_module_that_defines_what_is_missing_is_named(aside: Place, text: str) -> None:
    aside.plain("bad.py", text)
    aside.plain("other.py", "raise OSError('something else')")
    lines = refused(folders=[aside.path], required=["scan"]).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"scan: {aside.path}/bad.py:")


def test_what_is_missing_because_it_was_left_out_is_told_so(aside: Place) -> None:
    aside.write("test_scan.py", task_named("scan"))
    aside.write("old.py", OPT_OUT, task_named("scan"))
    lines = refused(folders=[aside.path], required=["scan"]).splitlines()
    assert lines[1:] == [
        f"scan: it stands in what {aside.path}/old.py opts out by __actorlab_discover__ = False",
        f"scan: it stands in what {aside.path}/test_scan.py is ignored by 'test_*'",
    ]


def test_the_entry_point_that_would_have_given_what_is_missing_is_named(place: Place) -> None:
    place.write("plug_req.py")
    place.plain("plug_req2.py", "1 / 0")
    place.install("[actorlab.tasks]\nscan = plug_req:scan\nother = plug_req2\n")
    lines = refused(required=["scan"]).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("scan: entry point scan = plug_req:scan in actorlab.tasks of lab_plugin 1.2: ")


# -- what an entry tells


def test_an_entry_tells_where_it_is_defined_and_what_it_says_of_itself(aside: Place) -> None:
    file = aside.plain(
        "scan.py",
        '''
        from actorlab import Device, DeviceConfig, task

        @task(retries=2)
        def scan(points: int = 3):
            """Scan it all.

            Slowly.
            """

        @task
        def quiet(): ...

        @DeviceConfig(timeout=5)
        class Laser(Device):
            """Shine."""
            def __init__(self, address: str): ...

        class Plain(Device):
            pass
        ''',
    )
    found = discover(folders=[aside.path])
    scan, quiet, laser, plain = *found.tasks.values(), *found.devices.values()
    assert (scan.name, scan.kind, scan.doc, scan.file) == ("scan", "task", "Scan it all.", file)
    assert [entry.place for entry in (scan, quiet, laser, plain)] == [f"{file}:{line}" for line in (4, 11, 14, 19)]
    assert [entry.doc for entry in (quiet, laser, plain)] == ["", "Shine.", ""]
    assert scan.parameters()["properties"] == {"points": {"type": "integer", "default": 3}}
    assert laser.parameters()["required"] == ["address"]
    assert plain.parameters()["properties"] == {}
    assert scan.found_in == f"folder {aside.path}"


def test_an_entry_without_a_source_tells_its_module(place: Place) -> None:
    place.write(
        "bare.py",
        "from actorlab import Device, task\nit = task(divmod)\nexec('class Made(Device): ...')\n__all__ = ['it']\n",
    )
    found = discover(packages=["bare"])
    assert found.tasks["divmod"].place == str(place.path / "bare.py")
    assert found.tasks["divmod"].line is None
    assert found.tasks["divmod"].parameters()["type"] == "object"
    assert found.devices["Made"].place == str(place.path / "bare.py")


def test_discovery_keeps_nothing(aside: Place) -> None:
    aside.write("scan.py", task_named("scan"))
    path = list(sys.path)
    first = discover(folders=[aside.path])
    assert discover().tasks == {}
    assert sys.path == path
    assert first.tasks["scan"].object is discover(folders=[aside.path]).tasks["scan"].object


def test_nothing_to_look_at_is_fine() -> None:
    found = discover(entry_points=False)
    assert found == Found({}, {}, {}, (), (), ())


DEFINITIONS: dict[str, Callable[[str], str]] = {
    "task": task_named,
    "device": lambda name: f"from actorlab import Device\nclass {name}(Device): ...\n",
    "workflow": lambda name: f"from actorlab import workflow\n@workflow\ndef {name}(): ...\n",
    "other": lambda name: f"def {name}(): ...\n",
}


@settings(max_examples=50)
@given(
    files=st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from(sorted(DEFINITIONS)), max_size=3), max_size=3
    ),
    override=st.sets(st.sampled_from("abcd")),
)
def test_each_name_goes_to_the_first_or_to_the_last_that_asks_for_it_and_all_others_are_reported(
    tmp_path_factory: pytest.TempPathFactory, files: list[dict[str, str]], override: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    model: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    for number, names in enumerate(files):
        (folder / f"m{number}.py").write_text("".join(DEFINITIONS[kind](name) for name, kind in names.items()))
        for name, kind in names.items():
            if kind != "other":
                model.setdefault((kind == "device", name), []).append((kind, f"m{number}.py"))
    found = discover(folders=[folder], override=override, entry_points=False)
    got = {
        (kind == "device", name): (kind, entry.file.name)
        for kind, entries in (("task", found.tasks), ("workflow", found.workflows), ("device", found.devices))
        for name, entry in entries.items()
        if entry.file is not None
    }
    assert got == {key: asking[-1 if key[1] in override else 0] for key, asking in model.items()}
    assert len(found.problems) == sum(len(asking) - 1 for asking in model.values())
    assert {problem.level for problem in found.problems} <= {"info", "warning"}
    assert Device not in [entry.object for entry in found.devices.values()]
