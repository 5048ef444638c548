"""See that a driver in its own process is used as if it were here: values, parts, errors, sleeps."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from actorlab.device import DeviceConfig
from actorlab.driving.member import Member, advance, performed, read, write
from actorlab.driving.travel import Stays
from actorlab.errors import ActorLabError, AskDeadlock, Cancelled, ConfigError, DeviceFault
from tests.isolation.isolated_drivers import Channel, Frame, Meter, Mute
from tests.isolation.lab_side import Made, Meantime, Tried

Launch = Callable[..., Made]
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def one() -> Iterator[Made]:
    """Launch one meter for all tests that leave it as it is."""
    made = Made(Meter)
    yield made
    made.child.close(5)


@pytest.fixture
def meter(one: Made) -> Iterator[Tried]:
    """Give the meter to one test, and see that it still answers afterwards."""
    yield one.child
    assert one.child.call("power") == 1.0


@pytest.fixture
def meantime(one: Made) -> Meantime:
    """Return what the lab does in sleeps, made anew."""
    one.meantime.__init__()  # type: ignore[misc]  # the process keeps this one
    return one.meantime


# -- values


@pytest.mark.parametrize("value", [1, 2.5, "text", b"bytes", None, True, [1, {"a": (2,)}], {1, 2}, 1j, Frame])
def test_data_comes_back_as_it_was_sent(meter: Tried, value: Any) -> None:
    assert meter.call("echo", value) == value


def test_arguments_travel_by_position_and_by_name(meter: Tried) -> None:
    assert meter.call("add", 3) == 3
    assert meter.call("add", 3, second=4) == 7


def test_the_object_lives_in_another_process(meter: Tried) -> None:
    import os  # noqa: PLC0415 - for this one

    assert meter.call("pid") == meter.pid != os.getpid()


def test_attributes_are_read_and_set(meter: Tried) -> None:
    offset = Member("offset", query=True, action=read)
    assert meter.act(offset, (), {}) == 0.0
    meter.act(offset._replace(action=write), (2.0,), {})
    assert meter.call("power") == 3.0
    meter.act(offset._replace(action=write), (0.0,), {})


def test_a_function_runs_on_the_object_itself(meter: Tried) -> None:
    member = Member("perform", query=False, action=performed, naps=True)
    assert meter.act(member, (Meter.add, 1), {"second": 2}) == 3
    assert meter.perform(Meter.add, 1, 2) == 3


def test_a_lambda_runs_on_the_object_where_cloudpickle_is_installed(meter: Tried) -> None:
    assert meter.perform(lambda device, factor: device.power() * factor, 4) == 4.0


def test_text_that_names_the_main_module_is_only_text(meter: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    assert meter.call("echo", "__main__") == "__main__"
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    assert meter.call("echo", "__main__") == "__main__"


def test_an_argument_that_cannot_travel_is_an_error_of_that_call_and_nothing_else(
    meter: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"meter\.echo: an argument can't travel to its process: TypeError.*lock"):
        meter.call("echo", threading.Lock())
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(ConfigError, match=r"<lambda> is defined inside a function.*module of its own, or `pip install"):
        meter.call("echo", lambda: 1)


def test_an_argument_that_the_driver_cannot_read_is_an_error_of_that_call_and_nothing_else(meter: Tried) -> None:
    from tests.isolation.isolated_drivers import OnlyAtHome  # noqa: PLC0415 - for this one

    for _ in range(2):
        with pytest.raises(ConfigError, match=r"an argument can't travel.*RuntimeError: not here"):
            meter.call("kind_of", OnlyAtHome())
    assert meter.call("kind_of", 1) == "int"
    with pytest.raises(ConfigError, match="not here"):
        meter.call("kind_of", OnlyAtHome())


# -- frames


def test_a_frame_is_the_callers_own(meter: Tried) -> None:
    first = meter.call("frame")
    assert first.nbytes == 8 * MEBIBYTE
    assert (first == 7).all()
    first[:] = 1
    second = meter.call("frame", fill=9)
    assert (first == 1).all()
    assert (second == 9).all()
    assert second.flags.writeable


def test_an_array_as_an_argument_is_the_drivers_own(meter: Tried) -> None:
    image = np.full(4 * MEBIBYTE, 2, np.uint8)
    assert meter.call("zero", image) == 8 * MEBIBYTE
    assert (image == 2).all()


def test_many_arrays_travel_in_one_result(meter: Tried) -> None:
    sizes = [0, 1, 100, 65_535, 65_536, 65_537, MEBIBYTE, 3 * MEBIBYTE + 1]
    images = {str(size): np.arange(size, dtype=np.uint8) for size in sizes}
    got = meter.call("echo", images)
    assert {name: image.size for name, image in got.items()} == {name: image.size for name, image in images.items()}
    assert all((got[name] == image).all() for name, image in images.items())


def test_frames_travel_in_dataclasses(meter: Tried) -> None:
    framed = meter.call("framed")
    assert isinstance(framed, Frame)
    assert framed.exposure == 0.25
    assert (framed.image == 7).all()
    framed.image[0] = 1


@pytest.mark.parametrize(
    "value",
    [
        np.arange(MEBIBYTE, dtype=np.float64).reshape(1024, -1)[::2, ::3],
        np.asfortranarray(np.arange(MEBIBYTE, dtype=np.int16).reshape(1024, -1)),
        np.zeros(100_000, [("x", "f4"), ("name", "U3")]),
        bytes(3 * MEBIBYTE),
        bytearray(b"abc" * MEBIBYTE),
        "x" * 70_000,
    ],
    ids=["strided", "fortran", "records", "bytes", "bytearray", "text"],
)
def test_large_data_of_other_kinds_travels(meter: Tried, value: Any) -> None:
    got = meter.call("echo", value)
    assert type(got) is type(value)
    assert np.array_equal(got, value) if isinstance(value, np.ndarray) else got == value


def test_large_numbers_of_small_things_travel(meter: Tried) -> None:
    numbers = list(range(200_000))
    assert meter.call("echo", numbers) == numbers


def test_small_results_follow_large_ones(meter: Tried) -> None:
    for mebibytes in (1, 40, 0.001, 8, 0.001):
        assert meter.call("frame", mebibytes).nbytes == int(mebibytes * 2**19) * 2
        assert meter.call("power") == 1.0


# -- parts


def test_what_is_not_data_stays_with_the_driver(meter: Tried) -> None:
    found = meter.call("channel", 1)
    assert isinstance(found, Stays)
    assert found.cls is Channel
    path = (("object", found),)
    meter.call_part(path, "set", 3.5)
    assert meter.call_part(path, "volts") == 3.5
    assert meter.call_part((("attribute", "channels"), ("item", 1)), "volts") == 3.5
    meter.call_part(path, "set", 0.0)


def test_the_driver_forgets_a_part_that_nobody_has_any_more(meter: Tried) -> None:
    found = meter.call("new_channel")
    assert meter.call("part_lives")
    del found
    gc.collect()
    assert not meter.call("part_lives")


def test_a_part_of_an_earlier_life_is_refused(meter: Tried) -> None:
    found = meter.call("channel", 1)
    found.life = 0
    with pytest.raises(DeviceFault, match="before it restarted"):
        meter.call_part((("object", found),), "volts")


def test_the_shape_of_the_driver_and_of_its_parts_is_known(meter: Tried) -> None:
    assert meter.kind is Meter
    assert meter.shape.cls is Meter
    assert meter.shape.names == {"offset", "channels", "log"}
    assert meter.shape.parts == {("attribute", "channels"): dict}
    channels = meter.look((("attribute", "channels"),))
    assert channels.parts == {("item", 1): Channel, ("item", 2): Channel}
    assert meter.look((("attribute", "channels"), ("item", 2))).names == {"number"}


def test_a_key_that_has_no_hash_names_an_item_all_the_same(meter: Tried) -> None:
    image = Member("__getitem__", query=False, action=performed, path=(("attribute", "log"), ("item", slice(0, 1))))
    assert meter.act(image, (len,), {}) == 0


def test_a_generator_that_stays_is_advanced_and_may_sleep(meter: Tried, meantime: Meantime) -> None:
    steps = Member("next", query=False, action=advance, path=(("object", meter.call("count", 3)),))
    powers: list[float] = []
    meantime.during = lambda _: powers.append(meter.call("power"))
    assert [meter.act(steps, (), {}) for _ in range(4)] == [(0,), (1,), (2,), ()]
    assert meantime.slept == [0, 1, 2]
    assert powers == [1.0] * 3


# -- errors


def test_an_exception_keeps_its_type_and_tells_where_it_was_raised(meter: Tried) -> None:
    with pytest.raises(ValueError, match="oh no") as caught:
        meter.call("fail", "oh no")
    assert str(caught.value) == "oh no"
    (note,) = caught.value.__notes__
    assert note.startswith("In the process of meter:\nTraceback")
    assert "isolated_drivers.py" in note
    assert "in fail" in note
    assert "actorlab/isolation" not in note


def test_an_exception_that_cannot_be_made_here_is_told_by_another(meter: Tried) -> None:
    with pytest.raises(ActorLabError, match=r"^TwoWords: this and that\n") as caught:
        meter.call("fail_in_two_words")
    assert "in fail_in_two_words" in caught.value.__notes__[0]
    with pytest.raises(ActorLabError, match=f"^{Mute.__name__}: .*RuntimeError"):
        meter.call("fail_mutely")


def test_an_exception_that_tells_of_a_broken_connection_stays_one(meter: Tried) -> None:
    with pytest.raises(ConnectionError, match=r"^LinkBroken: this and that\n") as caught:
        meter.call("fail_in_two_words", "link")
    assert type(caught.value) is ConnectionError


def test_a_driver_that_wants_to_exit_only_fails(meter: Tried) -> None:
    with pytest.raises(SystemExit):
        meter.call("leave")
    with pytest.raises(KeyboardInterrupt):
        meter.call("press_ctrl_c")
    assert meter.call("power") == 1.0


def test_a_result_that_cannot_be_pickled_is_an_error_of_that_call_and_nothing_else(meter: Tried) -> None:
    with pytest.raises(
        ActorLabError, match=r"meter\.mute_made returned a Mute which can't be sent to the lab: TypeError"
    ):
        meter.call("mute_made")
    assert meter.call("power") == 1.0


def test_a_result_that_cannot_be_read_here_is_an_error_of_that_call_and_nothing_else(meter: Tried) -> None:
    with pytest.raises(ActorLabError, match="what it returned can't be read here: RuntimeError: not here"):
        meter.call("only_at_home")
    assert meter.call("power") == 1.0


def test_a_result_of_a_class_made_inside_a_function_comes_by_cloudpickle(meter: Tried) -> None:
    assert meter.call("local_data").number == 3


# -- sleeps


def test_a_driver_that_sleeps_lets_others_be_served(meter: Tried, meantime: Meantime) -> None:
    answers: list[Any] = []
    meantime.during = lambda _: answers.extend((meter.call("power"), meter.call("add", 1, 2)))
    assert meter.call("nap", 1.5) == "rested"
    assert meantime.slept == [1.5]
    assert answers == [1.0, 3]


def test_what_is_served_meanwhile_may_sleep_and_fail_itself(meter: Tried, meantime: Meantime) -> None:
    depth: list[float] = []

    def during(seconds: float) -> None:
        depth.append(seconds)
        if seconds > 1:
            assert meter.call("nap", seconds - 1) == "rested"
        else:
            with pytest.raises(ValueError, match="inner"):
                meter.call("fail", "inner")
            assert meter.call("frame", 1).size == 2**19

    meantime.during = during
    assert meter.call("nap", 4) == "rested"
    assert depth == [4, 3, 2, 1]


def test_a_cancelled_sleep_raises_cancelled_in_the_driver(meter: Tried, meantime: Meantime) -> None:
    def cancel(_: float) -> None:
        text = "urgent"
        raise Cancelled(text)

    meantime.during = cancel
    with pytest.raises(Cancelled, match="urgent"):
        meter.call("nap_carefully", 10)
    assert "Cancelled: urgent" in meter.act(Member("log", query=True, action=read), (), {})


def test_a_driver_may_go_on_after_a_cancelled_sleep(meter: Tried, meantime: Meantime) -> None:
    def cancel(seconds: float) -> None:
        if seconds:
            raise Cancelled

    meantime.during = cancel
    assert meter.call("nap_stubbornly", 10) == "went on"
    assert meantime.slept == [10, 0]


def test_whatever_ends_the_sleep_is_raised_in_the_driver(meter: Tried, meantime: Meantime) -> None:
    def broken(_: float) -> None:
        text = "a query found the link broken"
        raise ConnectionResetError(text)

    meantime.during = broken
    with pytest.raises(ConnectionResetError, match="found the link broken"):
        meter.call("nap", 1)


def test_a_sleep_in_an_exchange_is_told_as_one(meter: Tried, meantime: Meantime) -> None:
    meter.call("nap_in_exchange", 0.5)
    assert meantime.slept == [0.5, 0.5]
    assert meantime.seen == [1, 0]
    assert meantime.exchanges == 0


def test_a_sleep_in_a_thread_of_the_drivers_own_is_plain(meter: Tried, meantime: Meantime) -> None:
    assert meter.call("nap_in_thread", 0.01) == "slept"
    assert meantime.slept == []


def test_a_driver_may_not_wait_for_the_lab(meter: Tried) -> None:
    with pytest.raises(AskDeadlock, match=r"the driver of meter used lab\.run: a driver may not wait"):
        meter.call("forbidden")


# -- being cut


def test_a_call_that_is_cut_on_our_side_ends_the_process(launch: Launch) -> None:
    made = launch(Meter)

    def cut(_: float) -> None:
        patch.setattr(made.child._wire, "send", stop)

    def stop(_: bytes) -> None:
        raise KeyboardInterrupt

    made.meantime.during = cut
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        made.child.call("nap", 1)
    assert made.ears.dead.wait(5)


def test_members_are_learnt_only_within_bounds(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorlab.isolation.child.MOST_KNOWN", 2)
    child = launch(Meter, config=DeviceConfig()).child
    for number in range(5):
        assert (
            child.act(Member("power", query=False, action=performed, path=()), (Meter.add, number, 1), {}) == number + 1
        )
        assert child.act(Member(f"perform {number}", query=False, action=performed), (Meter.power,), {}) == 1.0
    assert len(child._known) == 2


def test_an_exception_of_ours_survives_pickling() -> None:
    from actorlab.isolation.dying import ProcessDied  # noqa: PLC0415 - for this one

    assert str(pickle.loads(pickle.dumps(ProcessDied("gone", "there")))) == "gone"  # noqa: S301 - our own
