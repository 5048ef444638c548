"""`each` and `choose` are drawn inline where the value is known, else as one step that is drawn later."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actorlab import ConfigError, NotLeased, Shared, WorkflowError, choose, cleanup, each, sleep, task, workflow
from actorlab.arguments import DeviceRef
from actorlab.drawing import Drawing, draw
from actorlab.drawing_svg import graph_svg


class Device(DeviceRef):
    """Be a device of a lab, as far as drawing is concerned."""

    def __init__(self, name: str) -> None:
        self._actorlab_name = name


OVEN, STAGE, LAMP = Device("oven"), Device("stage"), Device("lamp")


@task
def curve(stage: Shared[Device], oven: Device, kelvin: float) -> Any:
    return stage, oven, kelvin


@task
def light(lamp: Device, level: Any = 1) -> Any:
    return lamp, level


@task
def kelvins(*_: Any) -> list[float]:
    return [300, 320]


@task
def fine(*_: Any) -> bool:
    return True


@task
def use(*_: Any) -> float:
    return 1.0


def drawn(function: Callable[..., Any], *args: Any) -> Drawing:
    return draw(workflow(function), args)


# With no lab


def test_with_no_lab_each_is_a_comprehension_and_choose_a_conditional() -> None:
    assert each(lambda kelvin: kelvin + 1, (300, 320), width=1) == [301, 321]
    assert each(str, range(3)) == ["0", "1", "2"]
    assert each(lambda key: key, {"a": 1}) == ["a"]
    assert choose(True, lambda: "fine", lambda: "coarse") == "fine"
    assert choose(bool([]), lambda: "fine", lambda: "coarse") == "coarse"


def test_with_no_lab_a_clean_up_inside_comes_at_the_end_of_each_or_choose() -> None:
    log: list[str] = []

    def item(number: int) -> None:
        cleanup(log.append, f"clean {number}")
        log.append(f"do {number}")

    @workflow
    def plain() -> None:
        cleanup(log.append, "clean all")
        each(item, [1, 2])
        choose(True, lambda: item(3), lambda: item(4))
        log.append("last")

    plain()
    assert log == ["do 1", "do 2", "clean 2", "clean 1", "do 3", "clean 3", "last", "clean all"]


@pytest.mark.parametrize("width", [0, -1, 1.5, True, "2"])
def test_a_width_that_is_none_is_refused(width: Any) -> None:
    with pytest.raises(ConfigError, match="it takes a whole number, 1 or more, or None"):
        each(str, [1], width=width)


def test_what_is_no_function_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        WorkflowError, match=r"choose\(…\) is given float 3.0, where it takes a function: write `lambda"
    ):
        choose(True, lambda: 3.0, 3.0)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(WorkflowError, match=r"choose\(…\) is given <unknown: use .*write `lambda"):
        drawn(lambda: choose(fine(), use(), use()))  # type: ignore[arg-type]  # the mistake


# Known while drawing


def test_items_that_are_known_are_drawn_in_place() -> None:
    def known(stage: Device, oven: Device) -> Any:
        return each(lambda kelvin: curve(stage, oven, kelvin), [300, 320])[1]

    drawing = drawn(known, STAGE, OVEN)
    assert [(step.name, step.args[2]) for step in drawing.steps] == [("curve", 300), ("curve", 320)]
    assert dict(drawing.steps[0].needs) == {"oven": "exclusive", "stage": "shared"}


def test_unknown_values_may_be_among_known_items() -> None:
    def known() -> Any:
        return each(use, [kelvins(), 2, fine()])

    drawing = drawn(known)
    assert [(step.name, step.values) for step in drawing.steps[2:]] == [("use", (0,)), ("use", ()), ("use", (1,))]


def test_a_condition_that_is_known_draws_what_is_chosen_and_nothing_else() -> None:
    for condition, name in ((True, "kelvins"), (False, "fine")):
        assert [step.name for step in drawn(lambda known: choose(known, kelvins, fine), condition).steps] == [name]


def test_each_step_inside_knows_its_own_line() -> None:
    def known() -> Any:
        return each(lambda item: use(item), [1])  # noqa: PLW0108  - the lambda's line is the point

    line = known.__code__.co_firstlineno + 1
    assert drawn(known).steps[0].where == f"{__file__}:{line}"


def test_the_width_lets_an_item_begin_when_the_one_before_in_its_place_has_ended() -> None:
    def known() -> Any:
        return each(lambda item: use(use(item)), range(4), width=2)

    drawing = drawn(known)
    assert drawing.graph.edges("order") == [(1, 4), (3, 6)]
    plan = drawing.graph.plan()
    assert plan.parents == ((), (0,), (), (2,), (1,), (4,), (3,), (6,))
    assert plan.loose[4] == (1,), "how it ended doesn't matter"


def test_an_item_without_steps_takes_no_place() -> None:
    def known() -> Any:
        return each(lambda item: use(item) if item % 2 else item, range(6), width=1)

    drawing = drawn(known)
    assert drawing.graph.edges("order") == [(0, 1), (1, 2)]
    assert len(drawing.steps) == 3


def test_items_of_many_steps_are_joined_so_that_there_are_few_edges() -> None:
    def known() -> Any:
        return each(lambda row: each(lambda column: use(row, column), range(100)), range(20), width=1)

    drawing = drawn(known)
    assert [step.name for step in drawing.steps].count("all of an item") == 19
    assert len(drawing.graph.edges("order")) == 19 * 200


def test_a_clean_up_inside_is_refused_where_the_value_is_known_and_fits_in_a_workflow_that_is_called_there() -> None:
    @workflow
    def inner(lamp: Device) -> None:
        cleanup(light, lamp)
        light(lamp)

    def wrong(lamp: Device) -> None:
        each(lambda level: cleanup(light, lamp, level), [1])

    with pytest.raises(WorkflowError, match=r"cleanup\(light, …\) .* stands inside each\(…\) or choose\(…\)"):
        drawn(wrong, LAMP)
    assert [step.name for step in drawn(lambda lamp: each(lambda _: inner(lamp), [1, 2]), LAMP).steps] == ["inner"] * 2


# Unknown while drawing


def late_each(stage: Device, oven: Device) -> Any:
    curves = each(lambda kelvin: curve(stage, oven, kelvin), kelvins())
    return use(curves), curves[0]


def test_items_that_are_unknown_make_one_step_that_holds_what_the_function_mentions() -> None:
    drawing = drawn(late_each, STAGE, OVEN)
    assert [(step.name, step.values) for step in drawing.steps] == [
        ("kelvins", ()),
        ("each of kelvins", (0,)),
        ("use", (1,)),
    ]
    assert dict(drawing.steps[1].needs) == {"oven": "exclusive", "stage": "exclusive"}
    assert drawing.steps[1].nested is None


def test_the_picture_of_the_graph_has_it_as_a_step() -> None:
    graph = drawn(late_each, STAGE, OVEN).graph
    assert 's1["each of kelvins"]' in graph.mermaid()
    assert "each of kelvins" in graph_svg(graph)


def test_drawn_late_it_has_a_step_for_each_item() -> None:
    late = drawn(late_each, STAGE, OVEN).steps[1].late
    assert late is not None
    drawing = late.draw([300, 320])
    assert [(step.name, step.args[2]) for step in drawing.steps] == [("curve", 300), ("curve", 320)]
    assert drawing.path == (1,)
    assert dict(drawing.steps[0].needs) == {"oven": "exclusive", "stage": "shared"}


def test_drawing_again_gives_the_same() -> None:
    first, second = (drawn(late_each, STAGE, OVEN).signature() for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


def test_values_that_the_function_mentions_are_edges() -> None:
    def late(lamp: Device) -> Any:
        level, other = use(), [use(), 3]

        def helper(item: Any) -> Any:
            return light(lamp, [item, other])

        return choose(fine(), lambda: light(lamp, level), partial(helper, use()))

    step = drawn(late, LAMP).steps[-1]
    assert step.values == (0, 1, 2, 3)
    assert dict(step.needs) == {"lamp": "exclusive"}


def test_devices_are_found_in_defaults_partials_methods_and_containers() -> None:
    class Bound:
        def item(self, item: Any, lamp: Device = LAMP) -> Any:
            return light(lamp, item)

    inside = [{"lamp": (LAMP,)}]
    for function in (
        lambda item, lamp=LAMP: light(lamp, item),
        partial(light, LAMP),
        partial(light, lamp=LAMP),
        Bound().item,
        lambda item: light(inside[0]["lamp"][0], item),
        partial(partial(lambda item, lamp: light(lamp, item)), lamp=LAMP),
    ):
        step = drawn(lambda _, each_of: each(each_of, kelvins()), LAMP, function).steps[1]
        assert dict(step.needs) == {"lamp": "exclusive"}


def test_a_device_is_shared_if_each_use_that_is_seen_is_shared() -> None:
    def late(stage: Device, oven: Device) -> Any:
        return each(partial(curve, stage, oven), kelvins())

    assert dict(drawn(late, STAGE, OVEN).steps[1].needs) == {"oven": "exclusive", "stage": "shared"}

    def both(stage: Device, oven: Device) -> Any:
        return choose(fine(), partial(curve, stage, oven, 300), lambda: light(stage))

    assert dict(drawn(both, STAGE, OVEN).steps[1].needs) == {"oven": "exclusive", "stage": "exclusive"}


def test_a_device_that_the_workflow_only_relies_on_is_shared_inside() -> None:
    def late(stage: Shared[Device], oven: Device) -> Any:
        return each(lambda kelvin: curve(stage, oven, kelvin), kelvins())

    drawing = drawn(late, STAGE, OVEN)
    assert dict(drawing.steps[1].needs) == {"oven": "exclusive", "stage": "shared"}
    assert drawing.steps[1].late is not None
    assert len(drawing.steps[1].late.draw([1]).steps) == 1


def test_a_device_that_is_not_among_the_workflows_arguments_is_refused_at_once() -> None:
    other = OVEN
    with pytest.raises(NotLeased, match=r"each of kelvins \(.*\) uses 'oven', which is not among the arguments"):
        drawn(lambda lamp: each(lambda _: (light(lamp), light(other)), kelvins()), LAMP)


def test_a_device_that_was_not_found_is_refused_when_it_is_drawn_late() -> None:
    late = drawn(lambda lamp: each(lambda _: light(LAMP), kelvins()) if lamp else 0, LAMP).steps[1].late
    assert late is not None
    with pytest.raises(
        WorkflowError, match=r"light \(.*\) uses 'lamp', which was not found in the function that each "
    ):
        late.draw([1])


HIDDEN: dict[str, Any] = {}


def test_a_value_that_was_not_found_is_refused_when_it_is_drawn_late() -> None:
    def hiding() -> Any:
        HIDDEN["value"] = use()
        return each(lambda _: use(HIDDEN["value"]), kelvins())

    late = drawn(hiding).steps[2].late
    assert late is not None
    with pytest.raises(WorkflowError, match=r"use \(.*\) uses what use \(step 0 of hiding, .*so it didn't wait for it"):
        late.draw([1])


def test_an_unknown_value_in_an_object_that_is_not_searched_is_refused_at_once() -> None:
    class Thing:
        def __init__(self, value: Any) -> None:
            self.value = value

    def hiding() -> Any:
        thing = Thing(use())
        return each(lambda _: use(thing), kelvins())

    with pytest.raises(WorkflowError, match=r"is given a Thing with something unknown in it \(attribute 'value'\)"):
        drawn(hiding)


def test_what_a_lambda_may_not_do_is_refused_when_it_is_drawn() -> None:
    late = drawn(lambda: choose(fine(), lambda: sleep(1), lambda: None)).steps[1].late
    assert late is not None
    with pytest.raises(WorkflowError, match="put it in a task"):
        late.draw(True)
    assert late.draw(False).steps == ()


def test_a_function_that_cannot_be_drawn_is_refused() -> None:
    def trying(item: Any) -> Any:
        try:
            return use(item)
        finally:
            use()

    async def waiting(item: Any) -> Any:
        return item

    for items in ([1], None):
        with pytest.raises(WorkflowError, match="has a `try`"):
            drawn(lambda known: each(trying, known or kelvins()), items)
        with pytest.raises(WorkflowError, match="is given a coroutine: it only calls tasks"):
            drawn(lambda known: each(waiting, known or kelvins()), items)


def test_a_choice_within_a_choice_is_drawn_when_its_own_value_is_known() -> None:
    def nested(lamp: Device) -> Any:
        return each(lambda item: choose(fine(item), lambda: light(lamp, item), use), kelvins())

    late = drawn(nested, LAMP).steps[1].late
    assert late is not None
    drawing = late.draw([1, 2])
    assert [(step.name, step.values) for step in drawing.steps] == [
        ("fine", ()),
        ("choose", (0,)),
        ("fine", ()),
        ("choose", (2,)),
    ]
    inner = drawing.steps[3].late
    assert inner is not None
    assert inner.draw(True).path == (1, 3)
    assert inner.draw(True).steps[0].args == (LAMP, 2)


def test_ten_thousand_items_are_drawn() -> None:
    def many(lamp: Device) -> Any:
        return each(lambda item: light(lamp, use(item)), range(10_000), width=3)

    assert len(drawn(many, LAMP).steps) == 20_000


# Called later, it means what it would have meant at once


def test_the_variables_of_a_loop_are_kept_as_they_were() -> None:
    def looping(lamp: Device) -> None:
        for level in (1, 2, 3):

            def deep(item: Any, extra: int = 0) -> Any:
                return light(lamp, [level, item, extra])  # noqa: B023  - that is the point

            @workflow
            def inner(lamp: Device) -> Any:
                return light(lamp, level)  # noqa: B023  - that is the point

            choose(fine(), lambda: (deep(0), inner(lamp)), partial(partial(deep, extra=7), 9))

    for number, step in enumerate(drawn(looping, LAMP).steps[1::2], 1):
        assert step.late is not None
        first, second = step.late.draw(True).steps
        assert first.args == (LAMP, [number, 0, 0])
        assert second.nested is not None
        assert second.nested.steps[0].args == (LAMP, number)
        assert step.late.draw(False).steps[0].args == (LAMP, [number, 9, 7])


def test_a_function_may_mention_itself_and_what_is_not_set_yet() -> None:
    def recursive(lamp: Device) -> Any:
        def again(times: int) -> Any:
            return light(lamp, [again(times - 1), never]) if times else use()

        result = choose(fine(), lambda: again(0), lambda: again(1))
        never = 3
        return result

    late = drawn(recursive, LAMP).steps[1].late
    assert late is not None
    assert [step.name for step in late.draw(True).steps] == ["use"]
    with pytest.raises(NameError):
        late.draw(False)


def test_a_list_that_has_grown_since_is_an_error_that_names_it() -> None:
    def growing() -> Any:
        values = [use()]
        report = choose(fine(), lambda: use(values), use)
        values.append(use())
        return report

    with pytest.raises(WorkflowError, match=r"the function that choose \(.*\) is given uses the variable 'values', to"):
        drawn(growing)


def test_a_function_that_changes_a_variable_or_a_list_outside_is_an_error_that_names_it() -> None:
    def collects() -> Any:
        found: list[Any] = []
        each(lambda item: found.append(use(item)), kelvins())
        return found

    def sets() -> Any:
        last: Any = None

        def item(value: Any) -> None:
            nonlocal last
            last = use(value)

        each(item, kelvins())
        return last

    for wrong, name in ((collects, "found"), (sets, "last")):
        late = drawn(wrong).steps[1].late
        assert late is not None
        with pytest.raises(
            WorkflowError, match=rf"writes to the variable '{name}', and is called .*: let it return what"
        ):
            late.draw([1])
