"""Tasks and workflows: with no lab they are plain functions; their options, their devices and their names hold."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.arguments import DeviceRef, StandIn, complete, device_name, find_devices, needs, replace
from actorlab.core.restart import RestartPolicy
from actorlab.errors import ConfigError, WorkflowError
from actorlab.scope import Scope, current
from actorlab.shared import Shared
from actorlab.task import Options, Task, Workflow, as_task, cleanup, task, workflow

if TYPE_CHECKING:
    from pathlib import PurePath as OnlyForTypeCheckers  # noqa: F401  # pyright: ignore[reportUnusedImport]  hints name it


class Device(DeviceRef):
    """Be a device of a lab, as far as arguments are concerned."""

    def __init__(self, name: str) -> None:
        self._actorlab_name = name


OVEN, STAGE, LAMP = Device("oven"), Device("stage"), Device("lamp")


@task(retries=2)
def double(number: float) -> float:
    """Double a number."""
    return 2 * number


def plain(number: float) -> float:
    return number


# Without a lab


def test_a_task_without_a_lab_is_its_function() -> None:
    assert double(4) == 8
    assert double.__doc__ == "Double a number."
    assert double.name == getattr(double, "__name__", None) == "double"
    assert list(double.signature.parameters) == list(inspect.signature(double).parameters) == ["number"]


def test_a_plain_workflow_cleans_up_at_its_end_last_registered_first() -> None:
    done: list[str] = []

    @workflow
    def measure() -> int:
        cleanup(done.append, "lamp off")
        cleanup(task(done.append), "shutter closed")
        done.append("measured")
        return 7

    assert measure() == 7
    assert done == ["measured", "shutter closed", "lamp off"]


def test_a_plain_workflow_cleans_up_after_a_failure_too() -> None:
    done: list[str] = []

    @workflow
    def measure() -> None:
        cleanup(done.append, "lamp off")
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        measure()
    assert done == ["lamp off"]


def test_a_clean_up_that_fails_keeps_no_other_from_being_called_and_is_heard_of() -> None:
    done: list[str] = []

    @workflow
    def measure() -> None:
        cleanup(done.append, "lamp off")
        cleanup(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        measure()
    assert done == ["lamp off"]


def test_a_nested_plain_workflow_cleans_up_at_its_own_end() -> None:
    done: list[str] = []

    @workflow
    def inner() -> None:
        cleanup(done.append, "inner")

    @workflow
    def outer() -> None:
        cleanup(done.append, "outer")
        inner()
        done.append("between")

    outer()
    assert done == ["inner", "between", "outer"]


def test_a_clean_up_outside_of_a_workflow_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(WorkflowError, match=r"cleanup\(plain, …\).*@workflow"):
        cleanup(plain, 3)


def test_the_scope_of_a_lab_answers_the_calls_of_tasks_and_takes_the_clean_ups() -> None:
    calls: list[tuple[str, tuple[Any, ...]]] = []

    class Answering(Scope):
        def step(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
            calls.append((task.name, (*args, kwargs)))
            return (None,)

        def cleanup(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
            calls.append((task.__name__, (*args, kwargs)))
            return True

    @workflow
    def measure() -> int:
        token = current.set(Answering())  # such as a lab sets while it draws
        cleanup(plain, number=1)
        current.reset(token)
        return 3

    token = current.set(Answering())
    answers: tuple[object, object] = (double(number=4), measure())
    current.reset(token)
    assert answers == (None, None), "whatever the scope says is the value, also None"
    assert measure() == 3
    assert calls == [("double", ({"number": 4},)), ("measure", ({},)), ("plain", ({"number": 1},))]


def test_a_workflow_that_could_not_be_drawn_is_refused_at_once() -> None:
    async def later() -> None: ...

    with pytest.raises(WorkflowError, match=r"later is a coroutine.*plain `def`"):
        workflow(later)


# Options


def test_options_make_another_task_of_the_same_function() -> None:
    other = double.options(priority=5, name="twice", after=None)
    assert (other.name, other.options_.priority, other.options_.retries) == ("twice", 5, 2)
    assert (double.name, double.options_.priority) == ("double", 0)
    assert other.function is double.function
    assert type(workflow(plain).options(keep_going=True)) is Workflow


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"retries": -1}, r"option retries=-1: it takes a whole number, 0 or more"),
        ({"retries": True}, r"option retries=True"),
        ({"restart": 3}, r"option restart=3: it takes a RestartPolicy"),
        ({"timeout": 0}, r"option timeout=0: it takes seconds, more than 0, or None"),
        ({"lease_timeout": "soon"}, r"option lease_timeout='soon'"),
        ({"within": float("nan")}, r"option within=nan"),
        ({"priority": float("inf")}, r"option priority=inf: it takes a finite number"),
        ({"lease": "always"}, r"option lease='always': it takes \"run\", \"step\", or the names of the devices"),
        ({"tags": "night"}, r"option tags='night': it takes a tuple of texts"),
        ({"key": ""}, r"option key='': it takes some text, or None"),
        ({"exclusive": 1}, r"option exclusive=1: it takes True or False"),
        ({"retires": 1}, r"a task has no option 'retires'; did you mean 'retries'\?"),
        ({"xyz": 1}, r"a task has no option 'xyz'; there are retries, restart, timeout"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_it_takes(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(**wrong)
    with pytest.raises(ConfigError, match=message):
        double.options(**wrong)


def test_what_is_not_a_function_is_no_task() -> None:
    with pytest.raises(ConfigError, match="3 can't be a task"):
        task(cast("Callable[[], None]", 3))


# Names and identities


def test_a_task_is_pickled_by_its_name_and_keeps_its_options() -> None:
    found: Task[[float], float] = pickle.loads(pickle.dumps(double))  # noqa: S301  our own bytes
    assert found is double
    changed: Task[[float], float] = pickle.loads(pickle.dumps(double.options(timeout=3)))  # noqa: S301  our own bytes
    assert (changed.function, changed.options_) == (double.function, double.options_.changed({"timeout": 3}))


def test_a_plain_function_made_a_task_is_found_by_the_functions_name() -> None:
    assert pickle.loads(pickle.dumps(as_task(plain))) is as_task(plain)  # noqa: S301  our own bytes


def test_a_task_without_a_name_in_a_module_says_why_it_cannot_be_pickled() -> None:
    with pytest.raises(pickle.PicklingError, match="has no name in a module; define it at the top level"):
        pickle.dumps(task(lambda: None))


def test_a_function_remembers_the_task_made_of_it_and_a_wrapper_does_not_take_that_over() -> None:
    def inner(number: int) -> int:
        return number

    assert as_task(inner) is as_task(inner)
    assert as_task(double) is double

    @functools.wraps(inner)
    def outer(number: int) -> int:
        return inner(number) + 1

    assert as_task(outer)(1) == 2


def test_bound_methods_and_functions_in_c_can_be_tasks() -> None:
    assert as_task([3, 1].index)(1) == 1
    assert needs(as_task(max), (1, 2), {}) == {}
    assert needs(as_task(functools.partial(plain, 3)), (), {}) == {}


# Which devices a task needs, and how


@dataclass
class Bench:
    oven: Any
    notes: str = ""
    later: Any = field(init=False)


@dataclass(frozen=True, slots=True)
class Frozen:
    device: Any


def uses(stage: Shared[Device], oven: Device, *more: Shared[Device], spare: list[Shared[Device]] | None = None) -> None:
    del stage, oven, more, spare


def test_devices_are_used_as_their_parameters_say_wherever_they_are_passed() -> None:
    assert needs(as_task(uses), (STAGE, OVEN), {}) == {"oven": "exclusive", "stage": "shared"}
    assert needs(as_task(uses), (), {"oven": OVEN, "stage": STAGE}) == {"oven": "exclusive", "stage": "shared"}
    assert needs(as_task(uses), (1, 2, LAMP), {"spare": [STAGE]}) == {"lamp": "shared", "stage": "shared"}


def test_a_device_passed_both_ways_is_taken_and_not_only_shared() -> None:
    assert needs(as_task(uses), (OVEN, OVEN), {}) == {"oven": "exclusive"}
    assert needs(as_task(uses), (1, OVEN, OVEN), {"spare": [OVEN]}) == {"oven": "exclusive"}


@pytest.mark.parametrize(
    ("hint", "use"),
    [
        (Shared[Device], "shared"),
        ("Shared[Device]", "shared"),
        (list["Shared[Device]"], "shared"),
        ("dict[str, Shared[Device]]", "shared"),
        ("Shared[Device] | None", "shared"),
        ("Shared[list[Device]]", "shared"),
        ("tuple[Shared[Device], ...]", "shared"),
        ("tuple[Shared[Device], Device]", "exclusive"),
        ("Shared[Device] | Device", "exclusive"),
        ("list[Device]", "exclusive"),
        ("Shared[OnlyForTypeCheckers]", "shared"),
        ("OnlyForTypeCheckers", "exclusive"),
        ("list[OnlyForTypeCheckers.part]", "exclusive"),
        ("not a hint", "exclusive"),
        (inspect.Parameter.empty, "exclusive"),
    ],
)
def test_what_a_hint_says_about_its_devices(hint: object, use: str) -> None:
    def function(device: object) -> None:
        del device

    function.__annotations__["device"] = hint
    if hint is inspect.Parameter.empty:
        del function.__annotations__["device"]
    assert needs(as_task(function), ([OVEN],), {}) == {"oven": use}


def test_a_hint_about_sharing_that_cannot_be_read_is_an_error_only_where_a_device_is_passed() -> None:
    def function(number: int, stage: object) -> None:
        del number, stage

    function.__annotations__["stage"] = "Shared[Sta ge]"
    assert needs(as_task(function), (1, 2), {}) == {}
    with pytest.raises(
        WorkflowError, match=r"'Shared\[Sta ge\]' of parameter 'stage' of .*function can't be evaluated"
    ):
        needs(as_task(function), (1, STAGE), {})


def test_a_device_may_be_a_default() -> None:
    def heat(kelvin: float, oven: Device = OVEN, *, rest: tuple[Device, ...] = (LAMP,)) -> None:
        del kelvin, oven, rest

    assert needs(as_task(heat), (300,), {}) == {"lamp": "exclusive", "oven": "exclusive"}
    assert needs(as_task(heat), (300, STAGE), {"rest": ()}) == {"stage": "exclusive"}
    assert complete(as_task(heat), (300,), {}) == ((300, OVEN), {"rest": (LAMP,)})


# Finding and replacing, at any depth


class Two(NamedTuple):
    a: Any
    b: Any


class Opaque:
    def __init__(self, content: object) -> None:
        self.content = content

    def __iter__(self) -> None:
        pytest.fail("it was entered")

    def __eq__(self, other: object) -> bool:
        pytest.fail("it was compared")

    __hash__ = None  # type: ignore[assignment]  # nor hashed


def test_devices_are_found_in_every_container_and_nowhere_else() -> None:
    for holder in (
        [OVEN],
        (OVEN,),
        {OVEN},
        frozenset({OVEN}),
        {"a": OVEN},
        {OVEN: 1},
        Bench(OVEN),
        Frozen([[OVEN]]),
        Two(1, OVEN),
    ):
        assert find_devices((1, "x", [holder]), {}) == [OVEN]
        assert find_devices((), {"held": holder}) == [OVEN]
    for unsearched in (Opaque(OVEN), "oven", b"oven", Bench, Opaque([OVEN])):
        assert find_devices((unsearched,), {}) == []


def test_a_device_in_several_places_is_found_once() -> None:
    assert find_devices((OVEN, [OVEN, STAGE]), {"again": STAGE}) == [OVEN, STAGE]


def test_containers_that_hold_themselves_are_searched_and_copied() -> None:
    loop: list[Any] = [OVEN]
    loop.append({"loop": loop})
    assert find_devices((loop,), {}) == [OVEN]
    (copied,), _ = replace((loop,), {}, lambda _: "handle")
    assert copied[0] == "handle"
    assert copied[1]["loop"] is copied
    assert loop[0] is OVEN


def test_only_containers_with_a_device_are_copied() -> None:
    data: list[Any] = [[1.0], {"a": (2, 3)}]
    loop: list[Any] = []
    loop.append(loop)
    bench = Bench([OVEN, data])
    (copied, same, same_loop), kwargs = replace((bench, data, loop), {"x": Frozen(OVEN)}, device_of)
    assert copied.oven == ["OVEN", data]
    assert copied.oven[1] is same is data
    assert same_loop is loop
    assert bench.oven[0] is OVEN
    assert kwargs == {"x": Frozen("OVEN")}


def device_of(item: StandIn) -> str:
    return device_name(cast("Device", item)).upper()


def test_containers_keep_their_kind_when_they_are_copied() -> None:
    for holder, copied in (
        (Two(1, OVEN), Two(1, "OVEN")),
        (OrderedDict(a=OVEN), OrderedDict(a="OVEN")),
        (frozenset({OVEN}), frozenset({"OVEN"})),
        ({OVEN: 1}, {"OVEN": 1}),
    ):
        (made,), _ = replace((holder,), {}, device_of)
        assert (made, type(made)) == (copied, type(holder))


Tree = st.recursive(
    st.integers() | st.text(max_size=2) | st.sampled_from([OVEN, STAGE, LAMP]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | inner.map(Bench)
        | inner.map(Frozen)
    ),
    max_leaves=12,
)


def substituted(value: Any) -> Any:
    """Do what `replace` does in the plainest way, for trees."""
    if isinstance(value, (list, tuple)):
        return type(value)(substituted(item) for item in cast("Iterable[Any]", value))
    if isinstance(value, dict):
        return {key: substituted(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, Bench):
        return Bench(substituted(value.oven))
    if isinstance(value, Frozen):
        return Frozen(substituted(value.device))
    return device_of(value) if isinstance(value, Device) else value


def plainly(value: Any) -> Any:
    """Turn a tree into tuples, so that trees with a field that isn't set can be compared."""
    if isinstance(value, Bench):
        return "Bench", plainly(value.oven)
    if isinstance(value, Frozen):
        return "Frozen", plainly(value.device)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plainly(item) for item in cast("Iterable[Any]", value)]
    if isinstance(value, dict):
        return {key: plainly(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


@given(st.lists(Tree, max_size=3), st.dictionaries(st.sampled_from("abc"), Tree, max_size=2))
def test_replacing_gives_the_same_trees_with_something_else_for_each_device(args: list[Any], kwargs: Any) -> None:
    before = plainly([args, kwargs])
    new_args, new_kwargs = replace(tuple(args), kwargs, device_of)
    assert plainly([list(new_args), new_kwargs]) == plainly(substituted([args, kwargs]))
    assert plainly([args, kwargs]) == before, "what the caller passed stays as it is"
    assert find_devices(new_args, new_kwargs) == []
    for old, new in zip(args, new_args, strict=True):
        assert (old is new) == (not find_devices((old,), {})), "only what holds a device is copied"


def test_a_task_can_be_copied_like_any_value() -> None:
    assert copy.copy(double) is double
    assert Options(restart=RestartPolicy()) == Options(restart=RestartPolicy())
