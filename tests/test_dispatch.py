"""Dispatchers run functions on other loops: asyncio's for real, Qt's and GLib's by stand-ins if they aren't there."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from actorlab import ConfigError, dispatch

# -- asyncio


def test_functions_run_on_an_event_loop_from_any_thread_and_in_order() -> None:
    async def collect() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        done = asyncio.Event()
        dispatcher = dispatch.asyncio_loop()

        def send() -> None:
            for number in range(10):
                dispatcher(lambda number=number: found.append((number, threading.get_ident())))  # type: ignore[misc]
            dispatcher(done.set)

        thread = threading.Thread(target=send)
        thread.start()
        await asyncio.wait_for(done.wait(), 5)
        thread.join(5)
        return found

    assert asyncio.run(collect()) == [(number, threading.get_ident()) for number in range(10)]


def test_without_an_event_loop_it_says_what_to_pass() -> None:
    with pytest.raises(ConfigError, match="call it in a coroutine or pass one"):
        dispatch.asyncio_loop()


# -- Qt: a stand-in with the names that PySide and PyQt share, whose event loop is run by hand


POSTED: deque[Any] = deque()


class QObject:
    """Qt's base class, as far as it is used."""

    def __init__(self, parent: QObject | None = None) -> None:
        self._children: list[QObject] = []
        self._thread = threading.current_thread()
        self.name = ""
        if parent is not None:
            parent._children.append(self)

    def thread(self) -> threading.Thread:
        return self._thread

    def setObjectName(self, name: str) -> None:  # noqa: N802 - Qt's name
        self.name = name

    def findChild(self, kind: type, name: str) -> QObject | None:  # noqa: N802 - Qt's name
        return next((it for it in self._children if isinstance(it, kind) and it.name == name), None)


def invoke(receiver: Any, name: str, connection: str) -> bool:
    assert connection == "queued"
    assert getattr(type(receiver), name).is_slot, "Qt finds slots only"
    POSTED.append(getattr(receiver, name))
    return True


def slot(*types: type) -> Any:
    assert not types

    def mark(function: Any) -> Any:
        function.is_slot = True
        return function

    return mark


@pytest.fixture(params=["PySide6", "PyQt6"])
def application(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> QObject:
    """Make an application of a package that stands for Qt."""
    core: Any = ModuleType(f"{request.param}.QtCore")
    core.QObject = QObject
    core.QThread = SimpleNamespace(currentThread=threading.current_thread)
    core.QMetaObject = SimpleNamespace(invokeMethod=invoke)
    core.Qt = SimpleNamespace(ConnectionType=SimpleNamespace(QueuedConnection="queued"))
    setattr(core, "Slot" if request.param == "PySide6" else "pyqtSlot", slot)
    monkeypatch.setitem(sys.modules, request.param, ModuleType(request.param))
    monkeypatch.setitem(sys.modules, f"{request.param}.QtCore", core)
    POSTED.clear()

    class Application(QObject):
        __module__ = f"{request.param}.QtWidgets"

    class OurApplication(Application):
        """As programs derive it."""

    return OurApplication()


def test_functions_run_in_the_thread_of_a_qt_object_later_and_in_order(application: QObject) -> None:
    found: list[int] = []
    dispatcher = dispatch.qt(application)
    for number in range(5):
        dispatcher(lambda number=number: found.append(number))  # type: ignore[misc]  # a default may be left out
    assert not found
    while POSTED:
        POSTED.popleft()()
    assert found == list(range(5))


def test_a_qt_object_gets_one_receiver_however_often_it_is_asked(application: QObject) -> None:
    first, second = dispatch.qt(application), dispatch.qt(application)
    first(int)
    second(int)
    assert len(application._children) == 1


def test_qt_is_asked_in_the_thread_of_the_object(application: QObject) -> None:
    application._thread = threading.Thread()
    with pytest.raises(ConfigError, match="call it in the thread where that object lives"):
        dispatch.qt(application)


def test_what_is_no_object_of_qt_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"dispatch.qt\(dict object\): it is no object of Qt"):
        dispatch.qt({})


@pytest.mark.parametrize("binding", ["PySide6", "PyQt6"])
def test_with_qt_itself_functions_run_in_its_loop(binding: str) -> None:
    core: Any = pytest.importorskip(f"{binding}.QtCore")
    application: Any = core.QCoreApplication.instance() or core.QCoreApplication([])
    found: list[int] = []
    dispatcher = dispatch.qt(application)

    def send() -> None:
        for _ in range(2000):
            dispatcher(lambda: found.append(threading.get_ident()))
        dispatcher(application.quit)

    thread = threading.Thread(target=send)
    core.QTimer.singleShot(0, lambda: thread.start())  # noqa: PLW0108 - PySide can't call a thread's own method
    core.QTimer.singleShot(5000, application.quit)
    application.exec()
    thread.join(5)
    assert found == [threading.get_ident()] * 2000


# -- GLib


def test_functions_run_once_on_glibs_main_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    idle: list[Any] = []
    library: Any = ModuleType("gi.repository.GLib")
    library.idle_add = lambda function, *args: idle.append((function, args))
    for name in ("gi", "gi.repository"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "gi.repository.GLib", library)
    found: list[int] = []
    dispatch.glib()(lambda: found.append(1))
    ((function, args),) = idle
    assert not found
    assert function(*args) is False, "or it would be called for ever"
    assert found == [1]


def test_without_pygobject_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    monkeypatch.setitem(sys.modules, "gi.repository", None)
    monkeypatch.setitem(sys.modules, "gi.repository.GLib", None)
    with pytest.raises(ConfigError, match="pip install PyGObject"):
        dispatch.glib()


def test_with_glib_itself_functions_run_in_its_loop() -> None:
    library: Any = pytest.importorskip("gi.repository.GLib")
    loop = library.MainLoop()
    found: list[int] = []
    dispatcher = dispatch.glib()

    def send() -> None:
        dispatcher(lambda: found.append(threading.get_ident()))
        dispatcher(loop.quit)

    thread = threading.Thread(target=send)
    thread.start()
    library.timeout_add_seconds(5, loop.quit)
    loop.run()
    thread.join(5)
    assert found == [threading.get_ident()]
