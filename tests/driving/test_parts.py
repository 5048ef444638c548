"""Hold parts of a device to their design: reaching one evaluates nothing, needs no lease, and asks at most once."""

from __future__ import annotations

import copy
import functools
import rlcompleter
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import pytest

from actorlab import (
    Device,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    DeviceUnavailable,
    Lab,
    NotLeased,
    RestartPolicy,
    Shared,
    ask,
    perform,
)

if TYPE_CHECKING:
    from tests.driving.conftest import Gate


class Channel:
    """A channel, which writes down what is done with it."""

    limit = 7.0

    def __init__(self, number: int, log: list[str]) -> None:
        self.number = number
        self.volts = 0.0
        self.log = log
        self.trigger = Trigger(log)

    @property
    def voltage(self) -> float:
        self.log.append(f"{self.number} read")
        return self.volts

    @voltage.setter
    def voltage(self, volts: float) -> None:
        self.log.append(f"{self.number} = {volts}")
        self.volts = volts

    def measure(self) -> float:
        self.log.append(f"{self.number} measured")
        return 2 * self.volts


class Trigger:
    """A part of a part."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.edge = "rising"

    def fire(self) -> Trigger:
        self.log.append("fired")
        return self


class Level:
    """A parameter that is read and set by calling it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.value = 0.0
        self.unit = "V"
        self.get = self.set = functools.partial(type(self).__call__, self)

    def __call__(self, *args: float) -> float | None:
        self.log.append(f"level{args}")
        if args:
            self.value = args[0]
            return None
        return self.value


class SourceMeter:
    """A driver of another package, with all kinds of parts."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.gain = 1
        self.channels = {1: Channel(1, log), "A": Channel(2, log), "count": 2}
        self.outputs = [Channel(10, log), Channel(11, log), Channel(12, log)]
        self.pair = (Channel(20, log), 5)
        self.ch_1 = Channel(30, log)
        self.level = Level(log)
        self.callback: Any = None

    @property
    def sense(self) -> Channel:
        self.log.append("sense read")
        return self.ch_1

    @property
    def fresh(self) -> Channel:
        self.log.append("fresh made")
        return Channel(99, self.log)

    @functools.cached_property
    def late(self) -> float:
        self.log.append("late read")
        return 1.0

    def make(self) -> Channel:
        return Channel(98, self.log)

    def itself(self) -> SourceMeter:
        return self

    def grow(self) -> None:
        self.outputs.append(Channel(13, self.log))
        self.channels[4] = Channel(4, self.log)

    def block(self, gate: Gate) -> None:
        gate.stop()

    def break_down(self) -> None:
        raise ConnectionResetError

    def __enter__(self) -> Self:
        self.log.append("entered")
        return self

    def __exit__(self, *error: object) -> None:
        self.log.append("left")


def calls(lab: Lab, name: str = "smu") -> list[str]:
    """Return the last calls of a device, without their times."""
    return [record.call for record in lab.status(name).recent]


@pytest.fixture
def log() -> list[str]:
    """Make the log that the driver writes."""
    return []


@pytest.fixture
def smu(lab: Lab, log: list[str]) -> Any:
    """Add the driver to the lab."""
    return lab.add("smu", SourceMeter, log)


# -- reaching parts


def test_a_part_is_reached_without_asking_the_device(lab: Lab, smu: Any, log: list[str]) -> None:
    assert repr(smu.ch_1) == "<smu.ch_1: Channel>"
    assert repr(smu.channels) == "<smu.channels: dict>"
    assert isinstance(smu.level, Level)
    assert calls(lab) == []
    assert smu.ch_1.measure() == 0.0
    smu.level(3.0)
    assert smu.level() == 3.0
    assert calls(lab) == ["ch_1.measure()", "level(3.0)", "level()"]
    assert log == ["30 measured", "level(3.0,)", "level()"]


def test_the_shape_of_a_part_is_asked_for_once_and_evaluates_nothing(lab: Lab, smu: Any, log: list[str]) -> None:
    for _ in range(3):
        assert repr(smu.channels[1].trigger) == "<smu.channels[1].trigger: Trigger>"
        assert dir(smu.channels["A"])
        assert hasattr(smu.channels["A"], "trigger")
        assert not hasattr(smu.channels["A"], "nothing")
    assert calls(lab) == ["channels.look()", "channels[1].look()", "channels['A'].look()"]
    assert log == []
    smu.channels[1].trigger.fire()
    assert calls(lab)[3:] == ["channels[1].trigger.fire()"]


def test_parts_are_the_same_proxy_and_equal_by_device_and_way(lab: Lab, smu: Any) -> None:
    assert smu.channels[1] is smu.channels[1]
    assert smu.channels[1] == lab.device("smu").channels[1]
    assert smu.channels[1] != smu.channels["A"]
    assert smu == lab.device("smu")
    assert smu != smu.channels
    assert len({smu.channels[1], lab.device("smu").channels[1], smu.ch_1}) == 2
    assert lab.run(lambda handle: handle.ch_1 == smu.ch_1, smu)
    assert smu != "smu"
    assert copy.deepcopy([smu.ch_1]) == [smu.ch_1]


def test_reaching_and_looking_needs_no_lease_and_using_does(lab: Lab, smu: Any, gate: Gate) -> None:
    run = lab.start(lambda _: gate.stop(), smu)
    gate.reached()
    part = smu.channels[1].trigger
    assert "fire" in dir(part)
    assert "edge" in dir(part)
    with pytest.raises(DeviceBusy, match=rf"smu\.channels\[1\]\.trigger\.fire is a command.*{run.id}"):
        part.fire()
    with pytest.raises(DeviceBusy, match=r"smu\.level is a command"):
        smu.level()
    with pytest.raises(DeviceBusy):
        smu.channels[1].volts = 3
    with pytest.raises(DeviceBusy):
        smu.level.unit  # noqa: B018 - reading is the subject
    gate.open()
    run.result(5)


def test_a_shared_holder_reaches_parts_and_may_not_command_them(lab: Lab, smu: Any) -> None:
    def body(smu: Shared[Any]) -> int:
        with pytest.raises(NotLeased, match="holds smu only shared"):
            smu.channels[1].measure()
        return len(dir(smu.channels[1]))

    assert lab.run(body, smu) > 3


def test_what_a_body_reaches_belongs_to_its_hold(lab: Lab, smu: Any) -> None:
    kept: list[Any] = []

    def body(smu: Any) -> float:
        kept.append(smu.channels[1])
        smu.channels[1].voltage = 2.0
        return smu.channels[1].measure()  # type: ignore[no-any-return]  # Channel.measure

    assert lab.run(body, smu) == 4.0
    with pytest.raises(NotLeased):
        kept[0].measure()
    assert smu.channels[1].measure() == 4.0


def test_dir_of_a_part_answers_from_the_class_when_the_device_is_away(lab: Lab, smu: Any) -> None:
    part = smu.channels[1]
    lab.remove("smu")
    assert "measure" in dir(part)
    assert "volts" not in dir(part)
    with pytest.raises(DeviceUnavailable):
        part.volts  # noqa: B018 - reading is the subject


def test_an_optional_device_that_is_absent_does_not_say_that_it_lacks_attributes(lab: Lab) -> None:
    def absent() -> SourceMeter:
        raise ConnectionRefusedError

    config = DeviceConfig(optional=True, restart=RestartPolicy(delay=10))
    smu: Any = lab.add("smu", config(absent))
    with pytest.raises(DeviceUnavailable, match="ConnectionRefusedError"):
        smu.ch_1  # noqa: B018 - reading is the subject


# -- values


def test_values_properties_and_class_attributes_are_read_and_set_through_parts(
    lab: Lab, smu: Any, log: list[str]
) -> None:
    channel = smu.channels["A"]
    channel.voltage = 1.5
    assert channel.voltage == 1.5
    assert log == ["2 = 1.5", "2 read"]
    channel.volts += 1
    assert (channel.volts, channel.limit) == (2.5, 7.0)
    channel.limit = 8.0
    assert channel.limit == 8.0
    assert smu.channels[1].limit == 7.0
    assert calls(lab)[-1] == "channels[1].limit()"


def test_what_the_driver_does_not_have_is_an_attribute_error_that_says_where(smu: Any) -> None:
    with pytest.raises(AttributeError, match=r"smu\.channels\[1\] \(Channel\) has no attribute 'current'"):
        smu.channels[1].current  # noqa: B018 - reading is the subject
    with pytest.raises(AttributeError, match=r"smu\.channels\[1\] \(Channel\) has no attribute 'current' to be set"):
        smu.channels[1].current = 1
    with pytest.raises(AttributeError, match="_log is private to the driver"):
        smu.channels[1]._log  # noqa: B018 - reading is the subject


def test_a_part_can_not_be_replaced_by_mistake(smu: Any) -> None:
    with pytest.raises(AttributeError, match=r"smu\.level is a part.*\(Level\).*call it, smu\.level\(…\), or set"):
        smu.level = 5
    with pytest.raises(AttributeError, match=r"smu\.ch_1 is a part of the device \(Channel\).*: set what is in it"):
        smu.ch_1 = 5
    smu.callback = 5
    assert smu.callback == 5


# -- containers


def test_mappings_of_parts_work_as_on_the_object(lab: Lab, smu: Any) -> None:
    channels = smu.channels
    assert len(channels) == 3
    assert list(channels) == [1, "A", "count"]
    assert channels.keys() == {1, "A", "count"}
    assert 1 in channels
    assert 9 not in channels
    assert channels["count"] == 2
    assert list(channels.values())[:2] == [channels[1], channels["A"]]
    assert dict(channels.items())["count"] == 2
    assert channels.get("A") == channels["A"]
    assert channels.get("B", 5) == 5
    assert list(reversed(channels)) == ["count", "A", 1]
    assert isinstance(channels, dict)
    with pytest.raises(KeyError):
        channels["B"]
    assert not [call for call in calls(lab) if "look" not in call and "count" not in call and "'B'" not in call]


def test_sequences_of_parts_work_as_on_the_object(smu: Any) -> None:
    outputs = smu.outputs
    assert len(outputs) == 3
    assert [output.number for output in outputs] == [10, 11, 12]
    assert outputs[-1] == outputs[2]
    assert outputs[0] in outputs
    assert smu.ch_1 not in outputs
    assert outputs[1:] == [outputs[1], outputs[2]]
    assert type(outputs[:2]) is list
    assert outputs.index(outputs[1]) == 1
    assert outputs.count(outputs[1]) == 1
    assert [output.number for output in reversed(outputs)] == [12, 11, 10]
    assert smu.pair[1] == 5
    assert smu.pair[:1] == (smu.pair[0],)
    assert smu.pair[0].number == 20
    with pytest.raises(IndexError):
        outputs[3].measure()
    for output in outputs:
        output.voltage = 3.0
    assert [output.measure() for output in outputs] == [6.0, 6.0, 6.0]


def test_a_container_that_has_grown_is_seen_as_it_is_now(smu: Any) -> None:
    assert (len(smu.outputs), len(smu.channels)) == (3, 3)
    smu.grow()
    assert (len(smu.outputs), len(smu.channels)) == (4, 4)
    assert smu.outputs[-1].number == 13
    assert smu.channels[4].number == 4
    assert 4 in smu.channels


def test_containers_can_be_changed_by_commands(smu: Any) -> None:
    smu.channels["count"] = 3
    assert smu.channels["count"] == 3
    del smu.channels["count"]
    assert "count" not in smu.channels
    smu.outputs.pop()
    assert len(smu.outputs) == 2


# -- what the driver's code returns


def test_what_a_property_has_returned_is_that_object_and_is_not_read_again(smu: Any, log: list[str]) -> None:
    fresh = smu.fresh
    fresh.voltage = 2.0
    assert fresh.measure() == 4.0
    assert repr(fresh) == "<smu.fresh: Channel>"
    assert log == ["fresh made", "99 = 2.0", "99 measured"]
    assert smu.fresh.measure() == 0.0
    assert fresh != smu.fresh


def test_what_was_read_is_found_again_after_a_restart_and_what_was_returned_is_not(
    lab: Lab, log: list[str], came_back: Callable[[str], None]
) -> None:
    smu: Any = lab.add("smu", DeviceConfig(restart=RestartPolicy(delay=0.01))(SourceMeter), log)
    by_name, by_key, by_property, by_call = smu.ch_1, smu.channels[1], smu.sense.trigger, smu.make()
    for part in (by_name, by_key, by_call):
        part.voltage = 1.0
    with pytest.raises(DeviceFault):
        smu.break_down()
    came_back("smu")
    assert (by_name.measure(), by_key.measure()) == (0.0, 0.0)
    assert by_property.fire() is not None
    assert dir(by_property)
    with pytest.raises(DeviceFault, match="Channel belongs to the device before it restarted: get it from the device"):
        by_call.measure()


def test_a_method_that_returns_the_object_itself_gives_the_device(smu: Any, log: list[str]) -> None:
    assert smu.itself() == smu
    assert repr(smu.itself()) == "<smu: SourceMeter>"
    with smu as entered:
        assert entered == smu
    assert log == ["entered", "left"]


# -- queries by configuration


def held(lab: Lab, smu: Any, gate: Gate) -> Any:
    """Start a run that holds the device until the gate opens."""
    run = lab.start(lambda _: gate.stop(), smu)
    gate.reached()
    return run


@pytest.fixture
def named(lab: Lab, log: list[str]) -> Any:
    """Add the driver with some queries."""
    queries = ("level", "channels[*].voltage", "ch_*.measure", "outputs[0].trigger.edge", "sense.volts", "late")
    return lab.add("smu", DeviceConfig(queries=queries)(SourceMeter), log)


def test_members_that_are_named_are_answered_while_another_holds_the_device(
    lab: Lab, named: Any, gate: Gate, log: list[str]
) -> None:
    run = held(lab, named, gate)
    assert named.channels[1].voltage == 0.0
    assert named.channels["A"].voltage == 0.0
    assert named.ch_1.measure() == 0.0
    assert named.outputs[0].trigger.edge == "rising"
    assert named.sense.volts == 0.0, "what leads to a query is one"
    assert named.late == 1.0
    assert log == ["1 read", "2 read", "30 measured", "sense read", "late read"]
    gate.open()
    run.result(5)


def test_a_parameter_that_is_named_is_read_by_queries_and_set_by_commands(
    lab: Lab, named: Any, gate: Gate, log: list[str]
) -> None:
    run = held(lab, named, gate)
    assert named.level() == 0.0
    assert named.level.get() == 0.0
    assert ask(named.level).result(5) == 0.0
    assert ask(named.level.get).result(5) == 0.0
    for command in (
        lambda: named.level(5.0),
        lambda: ask(named.level, 5.0),
        lambda: named.level.set(5.0),
        lambda: named.level.get(5.0),
        lambda: named.level.unit,
    ):
        with pytest.raises(DeviceBusy):
            command()
    assert log == ["level()"] * 4
    gate.open()
    run.result(5)
    named.level(2.0)
    ask(named.level, 3.0).result(5)
    assert named.level() == 3.0


def test_what_is_not_named_and_what_is_set_stays_a_command(lab: Lab, named: Any, gate: Gate) -> None:
    run = held(lab, named, gate)
    for command in (
        named.channels[1].measure,
        lambda: named.channels[1].volts,
        lambda: setattr(named.channels[1], "voltage", 5),
        lambda: named.ch_1.voltage,
        lambda: named.outputs[1].trigger.edge,
        named.sense.measure,
        lambda: named.fresh,
        lambda: named.gain,
        named.make,
    ):
        with pytest.raises(DeviceBusy):
            command()
    gate.open()
    run.result(5)


def test_to_name_everything_makes_no_query_of_what_sets(lab: Lab, log: list[str], gate: Gate) -> None:
    smu: Any = lab.add("smu", DeviceConfig(queries=("**", "level.*", "channels.*"))(SourceMeter), log)
    run = held(lab, smu, gate)
    assert smu.ch_1.trigger.edge == "rising"
    assert smu.level.unit == "V"
    assert smu.level() == 0.0
    assert smu.channels["count"] == 2
    for command in (
        lambda: smu.level(5.0),
        lambda: smu.level.set(5.0),
        lambda: setattr(smu.ch_1, "voltage", 5.0),
        lambda: smu.channels.__setitem__("count", 3),
        lambda: smu.channels.__delitem__("count"),
        smu.__enter__,
    ):
        with pytest.raises(DeviceBusy):
            command()
    gate.open()
    run.result(5)


def test_a_shared_holder_may_read_a_parameter_that_is_named(lab: Lab, named: Any) -> None:
    def body(smu: Shared[Any]) -> float:
        with pytest.raises(NotLeased):
            smu.level(5.0)
        return smu.level()  # type: ignore[no-any-return]  # Level.__call__

    assert lab.run(body, named) == 0.0


# -- classes that answer any name


class Delegating(Device):
    """A driver whose `__getattr__` knows more than its class and its dictionary."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.known = Channel(1, log)

    def __getattr__(self, name: str) -> Any:
        self.log.append(f"asked for {name} in {threading.current_thread().name}")
        if name == "other":
            return Channel(2, self.log)
        raise AttributeError(name)


def test_an_unknown_name_is_asked_of_the_driver_in_its_thread(lab: Lab, log: list[str]) -> None:
    device: Any = lab.add("device", Delegating, log)
    assert device.known.number == 1
    assert log == []
    other = device.other
    other.voltage = 1.0
    assert other.measure() == 2.0
    assert repr(other) == "<device.other: Channel>"
    assert log == ["asked for other in device", "2 = 1.0", "2 measured"]
    with pytest.raises(AttributeError, match="nothing"):
        device.nothing  # noqa: B018 - reading is the subject
    assert log[3:] == ["asked for nothing in device"]
    with pytest.raises(AttributeError, match="'new' to be set"):
        device.new = 1
    with pytest.raises(AttributeError, match="private"):
        device._hidden  # noqa: B018 - reading is the subject
    assert len(log) == 4


# -- looking around


def completions(completer: rlcompleter.Completer, text: str) -> list[str]:
    """Return what a shell offers."""
    found: list[str] = []
    while (word := completer.complete(text, len(found))) is not None:
        found.append(word)
    return found


def test_looking_around_in_a_shell_reads_nothing(lab: Lab, smu: Any, log: list[str], gate: Gate) -> None:
    shell = rlcompleter.Completer({"smu": smu})
    assert {"smu.late", "smu.sense", "smu.gain", "smu.channels", "smu.make("} <= set(completions(shell, "smu."))
    assert {"smu.ch_1.voltage", "smu.ch_1.volts", "smu.ch_1.trigger"} <= set(completions(shell, "smu.ch_1."))
    assert calls(lab) == ["ch_1.look()"]
    blocked = ask(smu.block, gate)
    gate.reached()
    assert completions(shell, "smu.")
    assert completions(shell, "smu.ch_1.")
    assert repr([smu, smu.ch_1])
    gate.open()
    blocked.result(5)
    assert log == []


def test_documentation_is_that_of_the_driver(smu: Any) -> None:
    assert type(smu).__doc__ == "A driver of another package, with all kinds of parts."
    assert smu.ch_1.__doc__ == "A channel, which writes down what is done with it."
    assert "What the proxy" not in str(type(smu).late.__doc__)


def test_perform_runs_on_a_part(smu: Any) -> None:
    assert perform(smu.channels[1], lambda channel: type(channel).__name__) == "Channel"
    assert perform(smu, lambda driver: driver.channels[1].number) == 1


# -- an object that failed to be made


class Port:
    """A port that one may hold at a time, until it is closed or collected."""

    taken = 0

    def __init__(self) -> None:
        if Port.taken:
            text = "the port is taken"
            raise ConnectionRefusedError(text)
        Port.taken += 1

    def __del__(self) -> None:
        Port.taken -= 1 if self.__dict__.get("opened") else 0


class Opening:
    """A driver that opens its port when it is made, and may fail after that."""

    tries = 0

    def __init__(self) -> None:
        self.port = Port()
        self.port.__dict__["opened"] = True
        Opening.tries += 1
        if Opening.tries < 3:
            text = "no answer"
            raise TimeoutError(text)


def test_what_a_driver_had_opened_that_failed_to_be_made_is_free_for_its_next_try(
    lab: Lab, came_back: Callable[[str], None]
) -> None:
    Opening.tries = Port.taken = 0
    config = DeviceConfig(optional=True, restart=RestartPolicy(delay=0.01))
    lab.add("opening", config(Opening))
    came_back("opening")
    assert (Opening.tries, Port.taken) == (3, 1)
