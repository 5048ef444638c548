"""Hand functions to the loop or thread where they have to run: asyncio, Qt, GTK, or any callable that does the like."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from actorlab.errors import ConfigError

if TYPE_CHECKING:
    import asyncio

__all__ = ["Dispatcher", "asyncio_loop", "glib", "qt"]

Dispatcher: TypeAlias = Callable[[Callable[[], object]], object]
"""Takes a function without arguments, has it run soon elsewhere, and returns at once; from any thread."""

BINDINGS: Final = ("PySide6", "PyQt6", "PySide2", "PyQt5")
RECEIVER: Final = "actorlab receiver"


def asyncio_loop(loop: asyncio.AbstractEventLoop | None = None) -> Dispatcher:
    """Return a dispatcher that runs functions on an event loop, or on the one that runs here now.

    Raises:
        ConfigError: none is given, and none runs here.

    """
    if loop is None:
        import asyncio  # noqa: PLC0415 - it brings TLS along, and not all who import this have a loop

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            text = "dispatch.asyncio_loop(): no event loop runs in this thread; call it in a coroutine or pass one"
            raise ConfigError(text) from error
    return loop.call_soon_threadsafe


def qt(thing: Any) -> Dispatcher:
    """Return a dispatcher that runs functions in the thread of a Qt object: the application, or a window.

    Call this in that thread; the dispatcher may be called from any. It works as long as the object exists. PySide and
    PyQt will do: it uses the one that the object is of.

    Raises:
        ConfigError: it is no object of Qt, or lives in another thread.

    """
    core = qt_core(thing)
    if thing.thread() != core.QThread.currentThread():
        text = f"dispatch.qt({type(thing).__name__} object): call it in the thread where that object lives"
        raise ConfigError(text)
    receiver = thing.findChild(core.QObject, RECEIVER) or receiver_in(thing, core)

    def dispatch(function: Callable[[], object]) -> None:
        receiver.functions.append(function)
        core.QMetaObject.invokeMethod(receiver, "call", core.Qt.ConnectionType.QueuedConnection)

    return dispatch


def receiver_in(parent: Any, core: Any) -> Any:
    """Make the object which calls what it is sent, as a child of another: it lives as long, and in the same thread."""
    slot = core.Slot if hasattr(core, "Slot") else core.pyqtSlot

    class Receiver(core.QObject):  # type: ignore[misc]  # a class of a package that may not be there
        @slot()  # type: ignore[untyped-decorator]  # like the class
        def call(self) -> None:
            self.functions.popleft()()

    receiver = Receiver(parent)
    receiver.setObjectName(RECEIVER)
    # The functions don't travel as a signal's argument: emit() of PySide6 6.12 takes a reference from True each time,
    # which ends Python 3.11 after some hundred of them.
    receiver.functions = deque()
    return receiver


def qt_core(thing: Any) -> Any:
    """Return the QtCore module of the package which an object's class derives from.

    Raises:
        ConfigError: it derives from none.

    """
    for base in type(thing).__mro__:
        package = base.__module__.partition(".")[0]
        if package in BINDINGS:
            return importlib.import_module(f"{package}.QtCore")
    text = (
        f"dispatch.qt({type(thing).__name__} object): it is no object of Qt; pass the QApplication or a window, of "
        f"{', '.join(BINDINGS)}"
    )
    raise ConfigError(text)


def glib() -> Dispatcher:
    """Return a dispatcher that runs functions on GLib's main loop, which is GTK's.

    Raises:
        ConfigError: PyGObject isn't installed.

    """
    try:
        library: Any = importlib.import_module("gi.repository.GLib")
    except ImportError as error:
        text = "dispatch.glib() needs PyGObject, and it isn't installed here: pip install PyGObject"
        raise ConfigError(text) from error

    def once(function: Callable[[], object]) -> bool:
        function()
        return False  # GLib would call it again and again

    return lambda function: library.idle_add(once, function)
