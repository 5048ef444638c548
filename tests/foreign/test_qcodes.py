"""Use QCoDeS instruments as devices, unchanged, against the simulations that QCoDeS ships."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorlab import (
    CallTimeout,
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    DeviceQuarantined,
    DeviceUnavailable,
    Lab,
    NotLeased,
    RestartPolicy,
    Run,
    RunCancelled,
    Shared,
    ask,
    perform,
    track,
)

pytest.importorskip("qcodes")

from qcodes.instrument import Instrument
from qcodes.instrument_drivers.american_magnetics import AMIModel430
from qcodes.instrument_drivers.Keithley import Keithley2450
from qcodes.instrument_drivers.Keysight import Keysight34465A
from qcodes.instrument_drivers.Lakeshore import LakeshoreModel336
from qcodes.instrument_drivers.rohde_schwarz import RohdeSchwarzSGS100A
from qcodes.instrument_drivers.weinschel import Weinschel8320

PATIENCE = 5.0
QUICKLY = RestartPolicy(delay=0.01)


@pytest.fixture(autouse=True)
def no_instrument_stays_behind() -> Iterator[None]:
    """Fail the test if QCoDeS knows an instrument after it."""
    yield
    assert list(Instrument._all_instruments) == []


@pytest.fixture
def lakeshore(lab: Lab) -> Any:
    """Add a temperature controller with four channels."""
    return add_lakeshore(lab)


def add_lakeshore(lab: Lab, **config: Any) -> Any:
    """Add the temperature controller, configured."""
    made = DeviceConfig(**config)(LakeshoreModel336)
    return lab.add("lakeshore", made, "lakeshore", "GPIB::2::INSTR", pyvisa_sim_file="lakeshore_model336.yaml")


def add_attenuator(lab: Lab, cls: type[Weinschel8320] = Weinschel8320, **config: Any) -> Any:
    """Add an attenuator, configured."""
    made = DeviceConfig(**config)(cls)
    return lab.add("attenuator", made, "attenuator", "GPIB::1::INSTR", pyvisa_sim_file="Weinschel_8320.yaml")


def works(attenuator: Any) -> bool:
    """Tell whether an attenuator can be set and read; its simulation can't be read before it was set."""
    attenuator.attenuation(10)
    return bool(attenuator.attenuation() == 10)


def quarantined(lab: Lab, name: str) -> None:
    """Wait until a device was given up."""
    events = lab.events.subscribe()
    end = time.monotonic() + PATIENCE
    while lab.states()[name] != "quarantined":
        assert time.monotonic() < end
        events.get(timeout=0.1)
    events.close()


def calls(lab: Lab, name: str) -> list[str]:
    """Return the last calls of a device, without their times."""
    return [record.call for record in lab.status(name).recent]


def free(name: str) -> bool:
    """Tell whether QCoDeS would let an instrument have this name."""
    return not Instrument.exist(name)


# -- parameters, channels, submodules


def test_parameters_channels_and_submodules_are_used_as_on_the_instrument(lakeshore: Any) -> None:
    assert isinstance(lakeshore, LakeshoreModel336)
    assert lakeshore.A.temperature() == 100.0
    assert lakeshore.A.temperature.get() == 100.0
    assert (lakeshore.A.temperature.unit, lakeshore.A.temperature.full_name) == ("K", "lakeshore_A_temperature")
    lakeshore.B.t_limit(250.0)
    assert lakeshore.B.t_limit() == 250.0
    lakeshore.output_1.mode("off")
    assert lakeshore.output_1.mode() == "off"
    assert lakeshore.parameters["IDN"]()["model"] == "m0d3l"
    with pytest.raises(ValueError, match="unlikely"):
        lakeshore.output_1.mode("unlikely")


def test_reaching_a_parameter_asks_nothing_and_using_it_is_one_call(lab: Lab, lakeshore: Any) -> None:
    assert repr(lakeshore.A.temperature) == "<lakeshore.A.temperature: Parameter>"
    assert {"A", "channels", "output_1", "snapshot", "IDN"} <= set(dir(lakeshore))
    assert {"temperature", "t_limit", "snapshot"} <= set(dir(lakeshore.A))
    assert hasattr(lakeshore.A, "temperature")
    assert calls(lab, "lakeshore") == ["A.look()"]
    lakeshore.A.temperature()
    assert calls(lab, "lakeshore")[1:] == ["A.temperature()"]


def test_it_is_described_without_being_asked(lab: Lab) -> None:
    add_lakeshore(lab, queries=("IDN",))
    told = json.loads(json.dumps(lab.describe("lakeshore")))
    assert told["hooks"] == {
        "connect": "leave_registry",
        "disconnect": "close_qcodes",
        "identify": "qcodes_identity",
    }
    assert told["parts"]["A"] == "LakeshoreModel336Channel"
    assert calls(lab, "lakeshore") == []


def test_channel_tuples_are_indexed_sliced_and_iterated(lakeshore: Any) -> None:
    channels = lakeshore.channels
    assert len(channels) == 4
    assert [channel.short_name for channel in channels] == ["A", "B", "C", "D"]
    assert channels[0].temperature() == channels[-1].temperature() == 100.0
    assert channels[1] in channels
    assert channels.index(channels[2]) == 2
    assert channels.B.temperature() == 100.0
    channels[1:3].t_limit(30.0)
    assert [channel.t_limit() for channel in channels[1:3]] == [30.0, 30.0]
    assert channels.temperature() == (100.0, 100.0, 100.0, 100.0)
    assert [channel.temperature() for channel in reversed(channels[:2])] == [100.0, 100.0]
    assert dict(lakeshore.submodules.items())["A"].temperature() == 100.0


def test_snapshots_travel_as_data(lakeshore: Any) -> None:
    snapshot = lakeshore.snapshot(update=True)
    assert type(snapshot) is dict
    assert snapshot["submodules"]["A"]["parameters"]["temperature"]["value"] == 100.0
    assert lakeshore.A.temperature.snapshot()["unit"] == "K"


def test_a_parameter_is_set_for_the_length_of_a_block(lakeshore: Any) -> None:
    lakeshore.A.t_limit(10.0)
    with lakeshore.A.t_limit.set_to(20.0):
        assert lakeshore.A.t_limit() == 20.0
    assert lakeshore.A.t_limit() == 10.0


def test_a_parameter_is_not_replaced_by_a_value(lakeshore: Any) -> None:
    with pytest.raises(AttributeError, match=r"t_limit is a part of the device .*call it, lakeshore\.A\.t_limit\(…\)"):
        lakeshore.A.t_limit = 5
    with pytest.raises(AttributeError, match="'t_limt' to be set"):
        lakeshore.A.t_limt = 5
    with pytest.raises(AttributeError, match="no attribute 'temprature'"):
        lakeshore.A.temprature()
    lakeshore.B.t_limit.label = "limit"
    assert lakeshore.B.t_limit.label == "limit"


def test_a_property_that_chooses_a_submodule_by_asking_the_instrument_does_so_when_it_is_read(lab: Lab) -> None:
    smu: Any = lab.add("smu", Keithley2450, "smu", "GPIB::2::INSTR", pyvisa_sim_file="Keithley_2450.yaml")
    source = smu.source
    assert calls(lab, "smu") == ["source()"]
    assert repr(source) == "<smu.source: Keithley2450Source>"
    assert source.sweep_axis.unit == source.range.unit
    assert calls(lab, "smu")[1:] == ["source.look()", "source.sweep_axis.unit()", "source.range.unit()"]


def test_five_kinds_of_instruments_live_in_one_lab_and_close_with_it() -> None:
    with Lab() as lab:
        lakeshore = add_lakeshore(lab)
        attenuator = add_attenuator(lab)
        magnet: Any = lab.add(
            "magnet", AMIModel430, "magnet", "GPIB::1::INSTR", pyvisa_sim_file="AMI430.yaml", terminator="\n"
        )
        generator: Any = lab.add(
            "generator", RohdeSchwarzSGS100A, "generator", address="GPIB::1::INSTR", pyvisa_sim_file="RSSGS100A.yaml"
        )
        meter: Any = lab.add("meter", Keysight34465A, "meter", "GPIB::1::INSTR", pyvisa_sim_file="Keysight_34465A.yaml")
        generator.frequency(1e9)
        assert generator.frequency() == 1e9
        attenuator.attenuation(10)
        assert attenuator.attenuation() == 10
        assert magnet.field() == 0.123
        assert meter.NPLC() == meter.parameters["NPLC"].get()
        assert lakeshore.D.temperature() == 100.0
    assert all(map(free, ("lakeshore", "attenuator", "magnet", "generator", "meter")))


def test_one_address_in_one_simulation_is_still_refused_to_a_second_device(lab: Lab) -> None:
    add_attenuator(lab)
    with pytest.raises(Exception, match="can't have GPIB::1::INSTR: 'attenuator' has it already"):
        lab.add("other", Weinschel8320, "other", address="gpib::1::instr", pyvisa_sim_file="Weinschel_8320.yaml")


# -- queries


def test_parameters_that_are_named_are_read_while_a_run_holds_the_instrument(lab: Lab) -> None:
    lakeshore = add_lakeshore(lab, queries=("A.temperature", "channels[*].temperature", "IDN"))
    standing, go_on = threading.Event(), threading.Event()

    def body(lakeshore: Any) -> None:
        lakeshore.A.t_limit(1.0)
        standing.set()
        assert go_on.wait(PATIENCE)

    run = lab.start(body, lakeshore)
    assert standing.wait(PATIENCE)
    assert lakeshore.A.temperature() == 100.0
    assert lakeshore.A.temperature.get() == 100.0
    assert lakeshore.channels[3].temperature() == 100.0
    assert ask(lakeshore.A.temperature).result(PATIENCE) == 100.0
    assert lakeshore.IDN()["vendor"] == "QCoDeS"
    for command in (lakeshore.B.temperature, lakeshore.A.t_limit, lakeshore.A.snapshot):
        with pytest.raises(DeviceBusy, match=f"held by {run.id}"):
            command()
    go_on.set()
    run.result(PATIENCE)


def test_a_task_that_relies_on_the_instrument_reads_what_is_named(lab: Lab) -> None:
    def body(lakeshore: Shared[Any]) -> float:
        with pytest.raises(NotLeased):
            lakeshore.A.t_limit(5)
        return lakeshore.A.temperature()  # type: ignore[no-any-return]  # a parameter's value

    assert lab.run(body, add_lakeshore(lab, queries=("**.temperature",))) == 100.0


# -- runs, safe states, faults


def sweep(attenuator: Any, values: list[int], begun: threading.Event) -> list[int]:
    """Sweep a parameter; the caller hears of the third value."""
    found: list[int] = []
    for value in track(values * 1000):
        attenuator.attenuation(value)
        found.append(attenuator.attenuation())
        if len(found) == 3:
            begun.set()
    return found


def test_a_sweep_that_is_cancelled_leaves_the_instrument_as_its_hook_makes_it(lab: Lab) -> None:
    attenuator = add_attenuator(lab, make_safe=lambda attenuator: attenuator.attenuation(60))
    begun = threading.Event()
    run: Run[list[int]] = lab.start(sweep, attenuator, [0, 10, 20], begun)
    assert begun.wait(PATIENCE)
    run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough") as caught:
        run.result(PATIENCE)
    assert caught.value.safe == ("attenuator",)
    assert attenuator.attenuation() == 60


def test_without_a_hook_nothing_is_done_to_it(lab: Lab) -> None:
    attenuator = add_attenuator(lab)

    def body(attenuator: Any) -> None:
        attenuator.attenuation(20)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.run(body, attenuator)
    assert attenuator.attenuation() == 20


def test_a_fault_restarts_it_under_the_same_name(lab: Lab, came_back: Callable[[str], None]) -> None:
    attenuator = add_attenuator(lab, restart=QUICKLY)
    attenuator.timeout(0.01)
    kept = attenuator.attenuation
    with pytest.raises(DeviceFault, match=r"attenuator failed in visa_handle\.read: VisaIOError: VI_ERROR_TMO"):
        attenuator.visa_handle.read()
    came_back("attenuator")
    kept(30)
    assert kept() == 30
    assert attenuator.name == "attenuator"
    assert lab.status("attenuator").restarts == 1


def test_a_connection_that_was_closed_behind_its_back_is_a_fault(lab: Lab, came_back: Callable[[str], None]) -> None:
    attenuator = add_attenuator(lab, restart=QUICKLY)
    attenuator.visa_handle.close()
    with pytest.raises(DeviceFault, match="InvalidSession"):
        attenuator.attenuation()
    came_back("attenuator")
    assert works(attenuator)


class WontClose(Weinschel8320):
    """A driver whose `close` fails before it has closed anything."""

    handles: list[Any] = []  # noqa: RUF012 - of all objects

    def close(self) -> None:
        WontClose.handles.append(self.visa_handle)
        text = "the instrument doesn't listen"
        raise RuntimeError(text)


@pytest.fixture
def handles() -> Iterator[list[Any]]:
    """Return the handles of those that failed to close."""
    WontClose.handles.clear()
    yield WontClose.handles
    WontClose.handles.clear()


@pytest.mark.parametrize("config", [{}, {"connect": None}])
def test_a_close_that_fails_leaves_the_name_free_and_the_connection_closed(
    config: dict[str, Any], handles: list[Any]
) -> None:
    with Lab() as lab:
        add_attenuator(lab, WontClose, **config)
        handle = perform(lab.device("attenuator"), lambda driver: driver.visa_handle.session)
    assert handle is not None
    assert free("attenuator")
    assert len(handles) == 1
    assert handles[0]._session is None


def test_a_close_that_fails_does_not_keep_it_from_restarting(
    lab: Lab, handles: list[Any], came_back: Callable[[str], None]
) -> None:
    attenuator = add_attenuator(lab, WontClose, restart=QUICKLY)
    for _ in range(2):
        lab.restart("attenuator")
        assert works(attenuator)
    perform(attenuator, lambda driver: driver.timeout(0.01))
    with pytest.raises(DeviceFault, match="VI_ERROR_TMO"):
        attenuator.visa_handle.read()
    came_back("attenuator")
    assert works(attenuator)
    assert [handle._session for handle in handles] == [None] * 3


class Hanging(Weinschel8320):
    """A driver with a method that hangs until somebody opens a gate."""

    def hang(self, gate: threading.Event) -> None:
        gate.wait(4 * PATIENCE)


def test_one_that_hangs_for_ever_can_be_replaced_under_its_name(lab: Lab) -> None:
    gate = threading.Event()
    attenuator = add_attenuator(lab, Hanging, timeout=0.1, safe_timeout=0.2)
    try:
        with pytest.raises(CallTimeout):
            attenuator.hang(gate)
        quarantined(lab, "attenuator")
        with pytest.raises(DeviceQuarantined, match="hang"):
            lab.reset("attenuator")
        lab.reset("attenuator", force=True)
        assert works(attenuator)
    finally:
        gate.set()


def test_two_labs_have_instruments_of_one_name_one_after_another_and_at_one_time() -> None:
    for _ in range(2):
        with Lab() as lab:
            assert works(add_attenuator(lab))
    with Lab() as lab, Lab() as other:
        first, second = add_attenuator(lab), add_attenuator(other)
        assert first.name == second.name == "attenuator"
        assert works(first)
        assert works(second)


def test_one_that_cannot_connect_says_why_and_leaves_nothing(lab: Lab) -> None:
    with pytest.raises(DeviceUnavailable, match=r"attenuator can't be added.*nothing\.yaml"):
        lab.add("attenuator", Weinschel8320, "attenuator", "GPIB::1::INSTR", pyvisa_sim_file="nothing.yaml")
    assert free("attenuator")


# -- QCoDeS's own measurements, in a task


def test_its_loops_and_datasets_take_a_lab_s_parameters(lab: Lab, lakeshore: Any, tmp_path: Path) -> None:
    dataset = pytest.importorskip("qcodes.dataset")

    def temperature_by_limit(lakeshore: Any) -> Any:
        found, _, _ = dataset.do1d(lakeshore.A.t_limit, 0, 10, 3, 0, lakeshore.A.temperature, show_progress=False)
        return found.to_pandas_dataframe()

    def by_hand(lakeshore: Any) -> Any:
        measurement = dataset.Measurement()
        measurement.register_parameter(lakeshore.B.t_limit)
        measurement.register_parameter(lakeshore.B.temperature, setpoints=(lakeshore.B.t_limit,))
        with measurement.run() as saver:
            for limit in track([1.0, 2.0]):
                lakeshore.B.t_limit(limit)
                saver.add_result((lakeshore.B.t_limit, limit), (lakeshore.B.temperature, lakeshore.B.temperature()))
        return saver.dataset.to_pandas_dataframe()

    def both(lakeshore: Any) -> tuple[Any, Any]:
        dataset.initialise_or_create_database_at(str(tmp_path / "runs.db"))  # QCoDeS binds it to the thread
        dataset.load_or_create_experiment("limits", "sample 3")
        return temperature_by_limit(lakeshore), by_hand(lakeshore)

    first, second = lab.run(both, lakeshore)
    assert list(first.index) == [0.0, 5.0, 10.0]
    assert list(first["lakeshore_A_temperature"]) == [100.0] * 3
    assert list(second.index) == [1.0, 2.0]


def test_a_parameter_of_one_s_own_may_be_made_around_a_lab_s(lakeshore: Any) -> None:
    parameters: Any = pytest.importorskip("qcodes.parameters")
    limit = parameters.Parameter("limit", get_cmd=lakeshore.A.t_limit.get, set_cmd=lakeshore.A.t_limit, unit="K")
    limit(12.0)
    assert limit() == 12.0


def test_it_lives_in_a_process_of_its_own_with_the_same_parts(lab: Lab) -> None:
    lakeshore = add_lakeshore(lab, isolation="process", queries=("A.temperature",))
    assert lakeshore.A.temperature() == 100.0
    assert [channel.temperature() for channel in lakeshore.channels] == [100.0] * 4
    assert lakeshore.channels[1:3].temperature() == (100.0, 100.0)
    assert "temperature" in dir(lakeshore.A)
    assert lakeshore.root_instrument == lakeshore
    lab.restart("lakeshore")
    assert lakeshore.A.temperature() == 100.0
