"""A workflow is drawn by calling it once: its steps are kept, and whatever isn't a step is an error with a way out."""

from __future__ import annotations

import asyncio
import collections
import copy
import functools
import json
import math
import operator
import os
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.arguments import DeviceRef, StandIn, replace
from actorlab.core.plan import Countdown
from actorlab.drawing import Drawing, draw
from actorlab.drawing_svg import graph_svg
from actorlab.errors import NotLeased, WorkflowError
from actorlab.scope import PLAIN, current
from actorlab.shared import Shared
from actorlab.task import as_task, cleanup, task, workflow
from actorlab.unknown import Unknown, origin_of, value_of


class Device(DeviceRef):
    """Be a device of a lab, as far as drawing is concerned."""

    def __init__(self, name: str) -> None:
        self._actorlab_name = name


OVEN, STAGE, LAMP = Device("oven"), Device("stage"), Device("lamp")


@task
def spectrum(lamp: Device) -> Any:
    return lamp


@task(retries=2)
def curve(stage: Shared[Device], oven: Device, kelvin: float) -> Any:
    return stage, oven, kelvin


@task
def report(*parts: Any) -> Any:
    return parts


@task
def give() -> Any:
    return 1


def off(device: Device) -> None:
    del device


@dataclass
class Pair:
    first: Any
    second: Any


# What a drawing has


@workflow
def characterise(stage: Device, oven: Device, lamp: Device) -> Any:
    cleanup(off, oven)
    reference = spectrum(lamp)
    curves = [curve(stage, oven, kelvin=kelvin) for kelvin in (300, 320)]
    return report(reference, curves)


def test_a_workflow_is_drawn_as_its_steps_in_written_order() -> None:
    drawing = draw(characterise, (STAGE, OVEN, LAMP))
    assert [step.name for step in drawing.steps] == ["spectrum", "curve", "curve", "report"]
    assert [step.values for step in drawing.steps] == [(), (), (), (0, 1, 2)]
    assert [dict(step.needs) for step in drawing.steps[:2]] == [
        {"lamp": "exclusive"},
        {"oven": "exclusive", "stage": "shared"},
    ]
    assert drawing.steps[1].args == (STAGE, OVEN)
    assert drawing.steps[1].kwargs == {"kelvin": 300}
    assert drawing.steps[1].task is curve
    assert [(step.task, step.args) for step in drawing.cleanups] == [(as_task(off), (OVEN,))]
    assert drawing.graph.edges("device") == [(1, 2)]
    assert list(drawing.graph.may_overlap()) == [(0, 1), (0, 2)]


def test_each_step_knows_the_line_that_calls_it() -> None:
    first = characterise.function.__code__.co_firstlineno
    drawing = draw(characterise, (STAGE, OVEN, LAMP))
    assert [step.where for step in drawing.steps] == [f"{__file__}:{first + line}" for line in (3, 4, 4, 5)]
    assert drawing.cleanups[0].where == f"{__file__}:{first + 2}"


def test_drawing_again_gives_the_same_and_another_workflow_something_else() -> None:
    again = [draw(characterise, (STAGE, OVEN, LAMP)).signature() for _ in range(2)]
    assert again[0] == again[1]
    assert hash(again[0]) == hash(again[1])
    other = draw(characterise, (STAGE, OVEN, OVEN)).signature()
    assert other != again[0]


def test_unknown_values_travel_in_containers_and_by_their_items() -> None:
    @workflow
    def measure() -> Any:
        first, second = give(), give()
        report({"a": [first]}, Pair(second["x"][1], 2))
        return {"all": (first, second["y"][1:3])}

    drawing = draw(measure)
    assert drawing.steps[2].values == (0, 1)
    results = {(): [{"n": 7}, {"x": [5, 6], "y": "text"}]}
    assert known(drawing.steps[2].args, results) == ({"a": [{"n": 7}]}, Pair(6, 2))
    assert known((drawing.result,), results) == ({"all": ({"n": 7}, "ex")},)


def known(args: tuple[Any, ...], results: Any) -> tuple[Any, ...]:
    return replace(args, {}, lambda item: value_of(cast("Unknown", item), results))[0]


def test_a_step_may_come_after_others_without_their_values() -> None:
    @workflow
    def measure() -> None:
        soaked = [give(), give()]
        give.options(after=soaked[0], within=600)()
        give.options(after=(soaked, soaked[1][0]))()

    steps = draw(measure).steps
    assert [(step.after, step.within, step.values) for step in steps[2:]] == [((0,), 600, ()), ((0, 1), None, ())]
    assert draw(measure).graph.edges("order") == [(0, 2), (0, 3), (1, 3)]


def test_afterwards_the_scope_is_what_it_was_also_if_the_workflow_fails() -> None:
    @workflow
    def measure() -> None:
        give()
        raise KeyError

    with pytest.raises(KeyError):
        draw(measure)
    assert current.get() is PLAIN


def test_a_call_that_does_not_fit_its_task_is_an_error_while_drawing() -> None:
    @workflow
    def measure() -> None:
        cast("Any", curve)(1, 2, 3, 4)

    with pytest.raises(TypeError, match=r"curve\(\) too many positional arguments"):
        draw(measure)
    with pytest.raises(TypeError, match=r"characterise\(\) missing a required argument: 'lamp'"):
        draw(characterise, (STAGE, OVEN))


# Devices


def test_a_step_can_only_use_devices_among_the_workflows_arguments() -> None:
    @workflow
    def measure(lamp: Device) -> None:
        spectrum(lamp)
        spectrum(OVEN)

    with pytest.raises(
        NotLeased, match=r"spectrum \(.*:\d+\) uses 'oven', which is not among the arguments of workflow me"
    ):
        draw(measure, (LAMP,))


def test_a_workflow_that_only_relies_on_a_device_has_no_step_that_takes_it() -> None:
    @workflow
    def measure(lamp: Shared[Device]) -> None:
        spectrum(lamp)

    with pytest.raises(WorkflowError, match=r"takes 'lamp' for itself, but workflow measure only relies on it"):
        draw(measure, (LAMP,))


def test_a_device_may_be_a_default_of_a_step_and_is_among_its_arguments_then() -> None:
    @task
    def heat(kelvin: float, oven: Device = OVEN) -> None: ...

    @workflow
    def measure(_: Device) -> None:
        heat(300)

    (step,) = draw(measure, (OVEN,)).steps
    assert (step.args, dict(step.needs)) == ((300, OVEN), {"oven": "exclusive"})


# Workflows within workflows


def test_a_nested_workflow_is_one_step_with_its_own_drawing() -> None:
    @workflow
    def inner(oven: Device, start: Any) -> Any:
        cleanup(off, oven)
        return report(start, curve(STAGE, oven, 300))

    inner_with_stage = workflow(lambda stage, oven, start: [curve(stage, oven, start)][0])

    @workflow
    def outer(stage: Device, oven: Device) -> Any:
        start = give()
        return report(inner_with_stage(stage, oven, start))

    drawing = draw(outer, (STAGE, OVEN))
    unit = drawing.steps[1]
    assert [step.values for step in drawing.steps] == [(), (0,), (1,)]
    assert dict(unit.needs) == {"oven": "exclusive", "stage": "exclusive"}
    assert unit.nested is not None
    assert (unit.nested.path, [step.name for step in unit.nested.steps]) == ((1,), ["curve"])
    assert unit.nested.steps[0].values == (), "what comes from outside is no step of the nested drawing"
    assert known(unit.nested.steps[0].args[2:], {(): [77]}) == (77,)
    with pytest.raises(NotLeased, match="'stage', which is not among the arguments of workflow inner"):
        draw(inner, (OVEN, 1))


def test_an_unknown_value_that_a_nested_workflow_finds_around_itself_is_an_input_of_the_unit() -> None:
    @workflow
    def outermost() -> Any:
        start = give()

        @workflow
        def middle() -> Any:
            other = give()

            @workflow
            def innermost() -> Any:
                return report(start, other)

            return innermost()

        return middle()

    drawing = draw(outermost)
    middle = drawing.steps[1].nested
    assert drawing.steps[1].values == (0,)
    assert middle is not None
    assert middle.steps[1].values == (0,)
    assert [origin_of(item)[1:] for item in middle.inputs] == [(0, ())]
    assert origin_of(middle.inputs[0]).drawing.path == ()
    innermost = middle.steps[1].nested
    assert innermost is not None
    assert known(innermost.steps[0].args, {(): [1], (1,): [2]}) == (1, 2)


def test_clean_ups_belong_to_the_workflow_that_registers_them() -> None:
    @workflow
    def inner(lamp: Device) -> None:
        cleanup(off, lamp)

    @workflow
    def outer(oven: Device, lamp: Device) -> None:
        cleanup(off, oven)
        inner(lamp)
        cleanup(inner, lamp)

    drawing = draw(outer, (OVEN, LAMP))
    unit, last = drawing.steps[0].nested, drawing.cleanups[1].nested
    assert unit is not None
    assert last is not None
    assert [step.args for step in drawing.cleanups] == [(OVEN,), (LAMP,)]
    assert [step.args for step in unit.cleanups] == [(LAMP,)]
    assert (unit.path, last.path) == ((0,), (-2,)), "the two are told apart"


def test_an_unknown_value_that_leaks_out_of_a_nested_workflow_is_an_error() -> None:
    leaked: list[Any] = []

    @workflow
    def inner() -> None:
        leaked.append(give())

    @workflow
    def outer() -> None:
        inner()
        report(leaked[0])

    with pytest.raises(
        WorkflowError, match=r"report \(.*\) uses what give \(step 0 of inner, .*another workflow: let that one r"
    ):
        draw(outer)
    with pytest.raises(WorkflowError, match="another workflow"):
        draw(workflow(lambda: leaked))


def test_a_workflow_that_calls_itself_without_end_is_an_error() -> None:
    @workflow
    def again() -> None:
        again()

    with pytest.raises(WorkflowError, match="again is drawn 50 levels deep: does it call itself"):
        draw(again)


# Looks at what isn't known


def matched(value: object) -> bool:
    match value:
        case float():
            return True
        case _:
            return False


def increased(value: Any) -> None:
    value += 1


def entered(value: Any) -> None:
    with value:
        pass


async def awaited(value: Any) -> None:
    await value


LOOKS: dict[str, Callable[[Any], object]] = {
    "==": lambda value: value == 3,
    "!=": lambda value: value != 3,
    "3 ==": lambda value: 3 == value,  # noqa: SIM300  the other way round
    "<": lambda value: value < 3,
    "3 <": lambda value: 3 < value,  # noqa: SIM300  see above
    "max": lambda value: max(value, 3),
    "sorted": lambda value: sorted([1, value]),
    "in a list": lambda value: 3 in [value, 4],
    "hash": hash,
    "in a set": lambda value: {value},
    "as a key": lambda value: {value: 1},
    "bool": bool,
    "not": operator.not_,
    "str": str,
    "format": lambda value: f"{value:.2f}",
    "f-string": lambda value: f"{value}",
    "%": lambda value: "%s" % value,  # noqa: UP031  the old way
    "print": print,
    "len": len,
    "iter": list,
    "unpack": lambda value: operator.add(*value),
    "dict": lambda value: {**value},
    "next": next,
    "reversed": reversed,
    "in": lambda value: 3 in value,
    "+": lambda value: value + 1,
    "1 -": lambda value: 1 - value,
    "+=": increased,
    "-": operator.neg,
    "**": lambda value: value**2,
    "@": lambda value: value @ value,
    "|": lambda value: value | {},
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "sum": lambda value: sum([value]),
    "sqrt": math.sqrt,
    "int": int,
    "float": float,
    "complex": complex,
    "index": lambda value: [1, 2][value],
    "range": range,
    "bytes": bytes,
    "path": os.fspath,
    "attribute": lambda value: value.peak,
    "private attribute": lambda value: value._peak,
    "hasattr": lambda value: hasattr(value, "peak"),
    "set attribute": lambda value: setattr(value, "peak", 1),
    "delete attribute": lambda value: delattr(value, "peak"),
    "set item": lambda value: operator.setitem(value, 0, 1),
    "delete item": lambda value: operator.delitem(value, 0),
    "call": lambda value: value(),
    "isinstance": lambda value: isinstance(value, float),
    "isinstance of a protocol": lambda value: isinstance(value, Mapping),
    "match": matched,
    "array": np.asarray,
    "array of several": lambda value: np.array([value, 1.0]),
    "ufunc": np.sin,
    "array +": lambda value: np.arange(3) + value,
    "number *": lambda value: np.float64(2) * value,
    "mean": np.mean,
    "json": json.dumps,
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "with": entered,
    "await": lambda value: asyncio.run(awaited(value)),
    "index by unknown": lambda value: value[value],
    "index by device": lambda value: value[OVEN],
    "getattr with default": lambda value: getattr(value, "peak", None),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_any_look_at_an_unknown_value_is_an_error_that_names_step_and_way_out(look: Callable[[Any], object]) -> None:
    @workflow
    def measure() -> None:
        look(give())

    with pytest.raises(
        WorkflowError, match=r"what give \(step 0 of measure, .*:\d+\) returns isn't known .*Pass it on to a task"
    ):
        draw(measure)


def test_unpacking_says_how_to_index_instead() -> None:
    @workflow
    def measure() -> None:
        _first, _second = give()

    with pytest.raises(WorkflowError, match=re.escape("`both = step(); first, second = both[0], both[1]`")):
        draw(measure)


def test_a_debugger_may_show_an_unknown_value() -> None:
    shown: list[str] = []

    @workflow
    def measure() -> None:
        shown.append(repr(give()["x"][2]))

    draw(measure)
    assert re.fullmatch(r"<unknown: give \(step 0 of measure, .*:\d+\)\['x'\]\[2\]>", shown[0])


class Holder:
    def __init__(self, content: object) -> None:
        self.content = content


def with_attribute(value: object) -> object:
    def function() -> None: ...

    function.__dict__["content"] = value
    return function


HIDING: dict[str, Callable[[Any], object]] = {
    "an attribute": Holder,
    "a list in an attribute": lambda value: Holder([value]),
    "a closure": lambda value: lambda: value,
    "a deque": lambda value: collections.deque([value]),
    "a partial": lambda value: functools.partial(print, value),
    "a function's attribute": with_attribute,
}


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING.keys())
def test_an_unknown_value_where_it_would_not_be_found_is_an_error(hide: Callable[[Any], object]) -> None:
    @workflow
    def passes() -> None:
        report([hide(give())])

    @workflow
    def returns() -> object:
        return hide(give())

    for refused in (passes, returns):
        with pytest.raises(WorkflowError, match=r"with something unknown in it .* pass it as an argument of its own"):
            draw(refused)


def test_objects_without_anything_unknown_may_be_passed() -> None:
    @workflow
    def measure() -> None:
        report(
            Holder([1]), np.arange(3), give, LOOKS, collections.deque([1]), functools.partial(print, 1), lambda: OVEN
        )

    assert len(draw(measure).steps) == 1


def test_after_that_is_not_a_step_is_an_error() -> None:
    for changes in ({"after": 3}, {"after": "give"}, {"after": [give]}, {"within": 5.0}):
        with pytest.raises(
            WorkflowError, match=r"the option after= of give .*: give it what earlier steps of this workflow r"
        ):
            draw(workflow(lambda changes=changes: give.options(**changes)()))


# Only tasks may act

ACTS: dict[str, Callable[[], object]] = {
    "sleep(3)": lambda: current.get().sleep(3),
    "checkpoint()": lambda: current.get().checkpoint(),
    "progress() or track()": lambda: current.get().progress(1, 2, ""),
    "shield(3)": lambda: current.get().shield(3),
    "exchange()": lambda: current.get().exchange(),
    "spawn(off, …)": lambda: current.get().spawn(off, (), {}),
    "laser.power()": lambda: current.get().forbid("laser.power()"),
}


@pytest.mark.parametrize("what", ACTS)
def test_what_is_not_a_task_may_not_act(what: str) -> None:
    @workflow
    def measure() -> None:
        ACTS[what]()

    message = f"{what} in workflow measure ({__file__}:"
    with pytest.raises(WorkflowError, match=re.escape(message) + r"\d+\): .*only tasks may act; put it in a task"):
        draw(measure)


# What the source may not contain


def with_try() -> None:
    try:
        give()
    finally:
        pass


def with_with() -> None:
    with open("x"):  # noqa: PTH123  never opened
        give()


async def with_async() -> None:
    give()


def with_yield() -> Any:
    yield give()


def with_inner_try() -> None:
    def inner() -> None:
        try:
            give()
        finally:
            pass

    inner()


def with_inner_await() -> None:
    async def inner() -> None:
        await asyncio.sleep(0)

    give()
    del inner


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (with_try, "`try` in line {}"),
        (with_with, "`with` in line {}"),
        (with_async, "`async def`"),
        (with_yield, "`yield` in line {}"),
        (with_inner_try, "`try` in line"),
        (with_inner_await, "`async def` in line {}"),
    ],
)
def test_a_body_that_cannot_be_drawn_is_refused_from_its_source(body: Callable[[], Any], what: str) -> None:
    message = what.format(body.__code__.co_firstlineno + 1)
    with pytest.raises(WorkflowError, match=rf"workflow {body.__name__} (has a|is an) {message}"):
        draw(body)


def test_a_task_defined_in_a_workflow_may_contain_anything() -> None:
    @workflow
    def measure() -> None:
        @task(retries=1)
        def careful() -> None:
            try:
                give()
            finally:
                pass

        careful()

    assert [step.name for step in draw(measure).steps] == ["careful"]


def test_a_body_whose_source_cannot_be_read_is_drawn_all_the_same() -> None:
    namespace: dict[str, Any] = {"give": give}
    exec("def measure():\n    try:\n        return give()\n    finally:\n        pass", namespace)  # noqa: S102  no source
    assert len(draw(namespace["measure"]).steps) == 1


# What a drawing is good for


@st.composite
def programs(draw_from: st.DrawFn) -> list[tuple[list[int], list[int]]]:
    """Make a program: for each step the earlier ones whose values it uses, and the devices that it changes."""
    program: list[tuple[list[int], list[int]]] = []
    for index in range(draw_from(st.integers(1, 8))):
        values = draw_from(st.lists(st.sampled_from(range(index)), max_size=2)) if index else []
        program.append((values, draw_from(st.lists(st.integers(0, 2), max_size=2, unique=True))))
    return program


class Counter(Device):
    """Be a device that remembers what was done with it, so that order shows in results."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.history: tuple[Any, ...] = ()


@task
def act(index: int, values: list[Any], devices: list[Counter]) -> Any:
    for device in devices:
        device.history = (*device.history, index)
    return index, tuple(values), tuple(device.history for device in devices)


@given(programs(), st.data())
def test_any_execution_of_a_drawing_gives_what_the_plain_function_gives(
    program: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    @workflow
    def measure(devices: list[Counter]) -> list[Any]:
        results: list[Any] = []
        for index, (values, uses) in enumerate(program):
            results.append(act(index, [results[value] for value in values], [devices[use] for use in uses]))
        return results

    expected = measure([Counter(name) for name in "abc"])
    drawing = draw(measure, ([Counter(name) for name in "abc"],))
    assert executed(drawing, data) == expected


def executed(drawing: Drawing, data: st.DataObject) -> Any:
    """Run the steps one by one, in any order that the plan allows."""
    results: dict[int, Any] = {}

    def substitute(item: StandIn) -> Any:
        return value_of(item, {(): results}) if type(item) is Unknown else item

    countdown = Countdown(drawing.graph.plan())
    ready = countdown.ready()
    while ready:
        step = drawing.steps[data.draw(st.sampled_from(ready))]
        ready.remove(step.index)
        args, kwargs = replace(step.args, step.kwargs, substitute)
        results[step.index] = step.task.function(*args, **kwargs)
        ready += countdown.ended(step.index)
    return replace((drawing.result,), {}, substitute)[0][0]


def test_a_long_workflow_is_drawn_without_trouble() -> None:
    @workflow
    def long() -> Any:
        value = give()
        for _ in range(5_000):
            value = report(value)
        return value

    drawing = draw(long)
    assert len(drawing.graph.edges("value")) == 5_000


def test_the_picture_shows_each_step_and_device_and_escapes_their_names() -> None:
    @workflow
    def measure(oven: Device, stage: Device) -> Any:
        first = report.options(name="<first>")(oven)
        curve(stage, oven, 300)
        return give.options(after=first)()

    picture = graph_svg(draw(measure, (OVEN, STAGE)).graph)
    assert picture.startswith("<svg")
    assert "&lt;first&gt;" in picture
    assert "<first>" not in picture
    for text in (
        ">curve<",
        ">give<",
        ">oven<",
        ">stage<",
        "stroke-dasharray",
        "curve (step 1): takes oven, relies on stage",
    ):
        assert text in picture
    assert graph_svg(draw(workflow(lambda: None)).graph).startswith("<svg")
