"""Use PyMeasure instruments as devices, unchanged, against the protocols that PyMeasure's own tests check."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorlab import (
    DeviceBusy,
    DeviceConfig,
    DeviceFault,
    DeviceUnavailable,
    Lab,
    RestartPolicy,
    perform,
    task,
)
from actorlab.drivers import PYMEASURE

pytest.importorskip("pymeasure")

from pymeasure.adapters import FakeAdapter, ProtocolAdapter
from pymeasure.instruments import Instrument, SCPIMixin
from pymeasure.instruments.hp import HP11713A
from pymeasure.instruments.hp.hp11713a import Attenuator_110dB
from pymeasure.instruments.keithley import Keithley2000, Keithley2400
from pymeasure.instruments.keysight import KeysightE36312A
from pymeasure.test import expected_protocol
from pyvisa.errors import VisaIOError

# PyMeasure says so of each instrument that nobody has told it about, as it is made.
pytestmark = pytest.mark.filterwarnings("ignore:It is not known whether this device support SCPI:FutureWarning")

PATIENCE = 5.0
QUICKLY = RestartPolicy(delay=0.01)
SIMULATION = f"{Path(__file__).with_name('programs') / 'keithley_2000.yaml'}@sim"


def closed(instrument: Any) -> int:
    """Return how often an instrument's connection was closed."""
    return int(instrument.adapter.connection.close.call_count)


def calls(lab: Lab, name: str) -> list[str]:
    """Return the last calls of a device, without their times."""
    return [record.call for record in lab.status(name).recent]


# -- properties


def test_properties_and_methods_are_used_as_on_the_instrument() -> None:
    pairs: Any = [
        (":CONF?", '"VOLT:DC"'),
        (":SENS:VOLT:RANG:AUTO 0;:SENS:VOLT:RANG 10", None),
        (":SENS:VOLT:RANG?", "10.0"),
        (":CONF:CURR:DC", None),
        (":SENS:CURR:RANG:AUTO 0;:SENS:CURR:RANG 0.01", None),
        (":READ?", "1.5e-3"),
    ]
    with expected_protocol(Keithley2000, pairs) as instrument, Lab() as lab:
        meter: Any = lab.add("meter", lambda: instrument)
        assert isinstance(meter, Keithley2000)
        assert meter.mode == "voltage"
        meter.voltage_range = 10
        assert meter.voltage_range == 10.0
        meter.measure_current(max_current=10e-3)
        assert meter.current == 1.5e-3
        assert calls(lab, "meter") == [
            "mode()", "voltage_range(10)", "voltage_range()", "measure_current()", "current()",
        ]  # fmt: skip


def test_what_is_refused_by_the_instrument_s_own_checks_goes_to_the_caller_and_restarts_nothing() -> None:
    with expected_protocol(Keithley2000, []) as instrument, Lab() as lab:
        meter: Any = lab.add("meter", lambda: instrument)
        with pytest.raises(ValueError, match="not in the discrete set"):
            meter.mode = "nonsense"
        with pytest.raises(AttributeError, match="no attribute 'mod' to be set"):
            meter.mod = "voltage"
        with pytest.raises(AttributeError, match=r"meter \(Keithley2000\) has no attribute 'curent'"):
            meter.curent  # noqa: B018 - reading is the subject
        assert lab.status("meter").restarts == 0


def test_looking_at_an_instrument_sends_nothing() -> None:
    with expected_protocol(KeysightE36312A, []) as instrument, Lab() as lab:
        supply: Any = lab.add("supply", lambda: instrument)
        assert {"ch_1", "channels", "id", "next_error", "shutdown"} <= set(dir(supply))
        assert {"voltage", "voltage_setpoint", "id"} <= set(dir(supply.ch_1))
        assert hasattr(supply, "ch_3")
        assert not hasattr(supply, "ch_4")
        assert repr(supply.channels[2]) == "<supply.channels[2]: VoltageChannel>"
        assert supply.ch_1.parent.ch_2 != supply.ch_1
        told = lab.describe("supply")
        assert told["hooks"]["make_safe"] == "shutdown"
        assert told["parts"]["ch_1"] == "VoltageChannel"
        assert all("look" in call for call in calls(lab, "supply"))


def test_queries_that_are_named_are_answered_while_a_run_holds_the_instrument() -> None:
    pairs: Any = [("OUTPUT?", "0"), ("OUTPUT 1", None), ("OUTPUT?", "1")]
    standing, go_on = threading.Event(), threading.Event()

    def body(smu: Any) -> None:
        smu.source_enabled = True
        standing.set()
        assert go_on.wait(PATIENCE)

    start: Any = [(":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS", None)]
    with expected_protocol(Keithley2400, start + pairs) as instrument, Lab() as lab:
        smu: Any = lab.add("smu", DeviceConfig(queries=("source_enabled",))(lambda: instrument))
        assert smu.source_enabled is False
        run = lab.start(body, smu)
        assert standing.wait(PATIENCE)
        assert smu.source_enabled is True
        for command in (lambda: smu.source_voltage, lambda: setattr(smu, "source_enabled", False), smu.disable_source):
            with pytest.raises(DeviceBusy, match=run.id):
                command()
        go_on.set()
        run.result(PATIENCE)


# -- channels


def test_channels_are_reached_by_name_and_through_their_collection() -> None:
    pairs: Any = [
        ("VOLT 1.5, (@1)", None),
        ("VOLT? (@1)", "1.5"),
        ("MEASure:VOLTage? (@2)", "0.25"),
        ("CURR 0.1, (@1)", None),
        ("CURR 0.1, (@2)", None),
        ("CURR 0.1, (@3)", None),
        ("OUTPut 1, (@3)", None),
    ]
    with expected_protocol(KeysightE36312A, pairs) as instrument, Lab() as lab:
        supply: Any = lab.add("supply", lambda: instrument)
        supply.ch_1.voltage_setpoint = 1.5
        assert supply.channels[1].voltage_setpoint == 1.5
        assert supply.channels[2].voltage == 0.25
        assert list(supply.channels) == [1, 2, 3]
        for channel in supply.channels.values():
            channel.current_limit = 0.1
        lab.run(enable, supply.ch_3)
        with pytest.raises(AttributeError, match=r"supply\.ch_1 is a part of the device \(VoltageChannel\)"):
            supply.ch_1 = 5


@task
def enable(channel: Any) -> None:
    """Use one channel: it stands for its instrument."""
    channel.output_enabled = True


def test_a_dynamic_property_is_changed_on_the_channel_that_is_meant() -> None:
    pairs: Any = [("VOLT 5, (@1)", None), ("VOLT 7, (@2)", None)]
    with expected_protocol(KeysightE36312A, pairs) as instrument, Lab() as lab:
        supply: Any = lab.add("supply", lambda: instrument)
        supply.ch_1.voltage_setpoint = 5
        supply.ch_1.voltage_setpoint_values = (0, 4)
        with pytest.raises(ValueError, match="not in range"):
            supply.ch_1.voltage_setpoint = 5
        supply.ch_2.voltage_setpoint = 7
        with pytest.raises(AttributeError, match="'voltage_setpoint_valuse' to be set"):
            supply.ch_1.voltage_setpoint_valuse = (0, 4)


def test_a_whole_collection_of_channels_and_an_attribute_of_the_class() -> None:
    pairs: Any = [("A0", None), ("B0", None), *[(f"B{number}", None) for number in range(9)]]
    pairs += [("A5", None), ("B6", None), ("B7", None), ("B8", None)]
    with expected_protocol(HP11713A, pairs) as instrument, Lab() as lab:
        switch: Any = lab.add("switch", lambda: instrument)
        switch.ch_0.enabled = True
        switch.channels[0].enabled = False
        for channel in switch.channels.values():
            channel.enabled = False
        switch.ATTENUATOR_Y = Attenuator_110dB
        switch.attenuation_y(10)
        assert switch.ATTENUATOR_Y[10] == Attenuator_110dB[10]
        assert not HP11713A.ATTENUATOR_Y


# -- the end of a run, and of the lab


def ramp_to_zero() -> list[tuple[str, str | None]]:
    """Return what a source-meter is told by its `shutdown`."""
    return [
        (":SOURCE:FUNCTION?", "VOLT"),
        (":SOURCE:VOLTAGE?", "2"),
        *[(f":SOURCE:VOLTAGE {2 - 2 * step / 29:g}", None) for step in range(30)],
        (":ABOR", None),
        ("OUTPUT 0", None),
    ]


def test_shutdown_is_the_safe_state_when_a_run_fails_and_the_adapter_is_closed_by_the_lab_only() -> None:
    pairs: Any = [(":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS", None)]
    pairs += [("OUTPUT 1", None), *ramp_to_zero(), ("OUTPUT?", "0")]

    def body(smu: Any) -> None:
        smu.enable_source()
        raise ZeroDivisionError

    with expected_protocol(Keithley2400, pairs) as instrument:
        with Lab() as lab:
            smu: Any = lab.add("smu", lambda: instrument)
            with pytest.raises(ZeroDivisionError):
                lab.run(body, smu)
            assert instrument.isShutdown
            assert not closed(instrument)
            assert smu.source_enabled is False
        assert closed(instrument) == 1


def test_shutdown_is_not_called_when_all_goes_well() -> None:
    with expected_protocol(Keithley2000, [(":READ?", "1")]) as instrument:
        with Lab() as lab:
            assert lab.run(lambda meter: meter.voltage, lab.add("meter", lambda: instrument)) == 1
        assert not instrument.isShutdown
        assert closed(instrument) == 1


def test_leaving_a_with_block_of_the_instrument_shuts_it_down_as_ever() -> None:
    with expected_protocol(Keithley2000, [(":READ?", "1")]) as instrument:
        with Lab() as lab, lab.add("meter", lambda: instrument) as meter:
            assert meter.voltage == 1
        assert instrument.isShutdown


def test_an_instrument_opens_when_it_is_made_in_its_own_thread(lab: Lab) -> None:
    meter: Any = lab.add("meter", Keithley2000, ProtocolAdapter([(":READ?", "3")]))
    assert meter.voltage == 3
    assert perform(meter, lambda _: threading.current_thread().name) == "meter"


def test_an_adapter_that_cannot_be_closed_is_left_alone() -> None:
    class Wire:
        """An adapter of somebody's own."""

        def read(self) -> str:
            return "7"

    class Thermometer(Instrument):  # type: ignore[misc]  # PyMeasure is untyped
        """An instrument that speaks through it."""

        def __init__(self, adapter: Any) -> None:
            super().__init__(adapter, "thermometer", includeSCPI=False)

        @property
        def kelvin(self) -> float:
            return float(self.adapter.read())

    with Lab() as lab:
        thermometer: Any = lab.add("thermometer", Thermometer, Wire())
        assert thermometer.kelvin == 7
        assert perform(thermometer, PYMEASURE.identify) == "thermometer"  # type: ignore[arg-type]  # it is a function


def test_one_that_speaks_scpi_says_who_it_is(lab: Lab) -> None:
    meter: Any = lab.add("meter", Keithley2000, "GPIB0::16", visa_library=SIMULATION)
    assert str(perform(meter, PYMEASURE.identify)).startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2000")  # type: ignore[arg-type]  # it is a function
    assert meter.id.startswith("KEITHLEY")


# -- faults


class Flaky(FakeAdapter):  # type: ignore[misc]  # PyMeasure is untyped
    """An adapter whose connection breaks when it is told to."""

    made: list[Flaky] = []  # noqa: RUF012 - of all objects

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written: list[str] = []
        Flaky.made.append(self)

    def _write(self, command: str, **kwargs: Any) -> None:
        del kwargs
        if command == "BREAK":
            raise VisaIOError(-1073807194)  # the connection is lost
        self.written.append(command)

    def close(self) -> None:
        self.closed = True


class Source(SCPIMixin, Instrument):  # type: ignore[misc]  # PyMeasure is untyped
    """A source with a safe state."""

    def __init__(self) -> None:
        super().__init__(Flaky(), "source")

    def shutdown(self) -> None:
        """Switch it off."""
        self.write("OFF")
        super().shutdown()


@pytest.fixture
def adapters() -> Iterator[list[Flaky]]:
    """Return the adapters that are made in a test."""
    Flaky.made.clear()
    yield Flaky.made
    Flaky.made.clear()


def test_a_visa_error_restarts_it_and_it_comes_back_safe(
    lab: Lab, adapters: list[Flaky], came_back: Callable[[str], None]
) -> None:
    source: Any = lab.add("source", DeviceConfig(restart=QUICKLY)(Source))
    source.write("ON")
    with pytest.raises(DeviceFault, match="VisaIOError: VI_ERROR_CONN_LOST"):
        source.write("BREAK")
    came_back("source")
    assert [adapter.closed for adapter in adapters] == [True, False]
    assert adapters[1].written == ["OFF"]


def test_an_adapter_that_was_closed_behind_its_back_is_a_fault(lab: Lab, came_back: Callable[[str], None]) -> None:
    config = DeviceConfig(restart=QUICKLY)
    meter: Any = lab.add("meter", config(Keithley2000), "GPIB0::16", visa_library=SIMULATION)
    meter.adapter.close()
    with pytest.raises(DeviceFault, match="InvalidSession"):
        meter.voltage  # noqa: B018 - reading is the subject
    came_back("meter")
    assert meter.voltage == 1.234


class Late(Instrument):  # type: ignore[misc]  # PyMeasure is untyped
    """An instrument of somebody's own, whose properties can't be read until it was opened."""

    def __init__(self) -> None:
        super().__init__(FakeAdapter(), "late", includeSCPI=False)
        self.opened = False

    def open(self) -> None:
        """Open it."""
        self.opened = True

    @property
    def level(self) -> float:
        if not self.opened:
            raise AssertionError
        return 1.0


def test_a_property_that_raises_before_it_is_connected_is_not_read(lab: Lab) -> None:
    late: Any = lab.add("late", DeviceConfig(connect="open")(Late))
    assert "level" in dir(late)
    assert late.level == 1.0
    with pytest.raises(DeviceUnavailable, match="Late has no such method"):
        lab.add("other", DeviceConfig(connect="opne")(Late))
