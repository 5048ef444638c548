"""The bench's instruments answer by VISA as hardware would, count what they execute, and fail as they are told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from pyvisa.errors import VisaIOError

from actorlab.device import QUERY_MARK
from actorlab.drivers import InstrumentError, VisaDevice
from actorlab.errors import ConfigError
from actorlab.simulation import Bench, Lamp, Laser, Oven, PowerMeter, SourceMeter, Spectrometer, Stage
from actorlab.simulation.instruments import INSTRUMENTS


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(time_scale=200) as bench:
        yield bench


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def sent(bench: Bench, name: str) -> list[str]:
    """Return what an instrument executed after the driver had connected."""
    return bench.executed(name)[1:]


def test_the_power_meter_sees_the_laser_through_the_etalon(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    meter = opened.enter_context(PowerMeter(bench.resources["meter"]))
    laser.set_current(112)
    assert meter.power() == 0
    laser.on()

    powers: list[float] = []
    for nm in range(1540, 1558):
        laser.set_wavelength(nm)
        powers.append(meter.power())

    assert max(powers) == pytest.approx(40, rel=0.1)
    assert min(powers) == pytest.approx(40 / 16, rel=0.1)


def test_setting_a_wavelength_returns_when_it_has_settled(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))

    laser.set_wavelength(1501.25)

    assert laser.wavelength() == pytest.approx(1501.25, abs=1e-3)
    assert laser.settled()


def test_a_diode_in_the_oven_conducts_better_when_it_is_hot(bench: Bench, opened: ExitStack) -> None:
    oven = opened.enter_context(Oven(bench.resources["oven"]))
    smu = opened.enter_context(SourceMeter(bench.resources["smu"]))
    stage = opened.enter_context(Stage(bench.resources["stage"]))
    stage.mount("sample 3")
    smu.set_voltage(0.4)
    smu.on()

    currents: list[float] = []
    for kelvin in (300, 320, 340):
        oven.heat_to(kelvin)
        assert oven.temperature() == pytest.approx(kelvin, abs=0.1)
        currents.append(smu.current())

    assert currents == sorted(currents)
    assert currents[-1] > 3 * currents[0]


def test_a_spectrum_of_the_lamp_comes_as_arrays(bench: Bench, opened: ExitStack) -> None:
    lamp = opened.enter_context(Lamp(bench.resources["lamp"]))
    spectrometer = opened.enter_context(Spectrometer(bench.resources["spectrometer"]))
    dark = spectrometer.acquire(0.1)
    lamp.warm_up()
    bright = spectrometer.acquire(0.1)

    assert lamp.is_on()
    assert (bright.wavelengths[0], bright.wavelengths[-1]) == (400, 900)
    assert bright.counts.dtype == np.float32
    assert bright.counts.mean() > 100 * dark.counts.mean()


def test_a_stage_moves_to_a_position_and_says_what_is_there(bench: Bench, opened: ExitStack) -> None:
    stage = opened.enter_context(Stage(bench.resources["stage"]))

    stage.move_to(5)
    assert (stage.position(), stage.sample()) == (5, "")
    stage.mount("sample 1")
    assert (stage.position(), stage.sample()) == (10, "sample 1")
    with pytest.raises(ValueError, match="no sample 'sample 9' on the stage: use one of empty, sample 1"):
        stage.mount("sample 9")


def test_a_value_out_of_range_is_refused_with_its_limits_and_nothing_is_sent(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    oven = opened.enter_context(Oven(bench.resources["oven"]))
    smu = opened.enter_context(SourceMeter(bench.resources["smu"]))
    spectrometer = opened.enter_context(Spectrometer(bench.resources["spectrometer"]))
    stage = opened.enter_context(Stage(bench.resources["stage"]))

    with pytest.raises(ValueError, match="wavelength 1400 nm is out of range: use 1500 to 1600 nm"):
        laser.set_wavelength(1400)
    with pytest.raises(ValueError, match="current nan mA is out of range"):
        laser.set_current(float("nan"))
    with pytest.raises(ValueError, match="temperature 700 K"):
        oven.heat_to(700)
    with pytest.raises(ValueError, match="voltage -11 V"):
        smu.set_voltage(-11)
    with pytest.raises(ValueError, match="integration time 0 s"):
        spectrometer.acquire(0)
    with pytest.raises(ValueError, match="position 51 mm"):
        stage.move_to(51)

    assert [command for name in INSTRUMENTS for command in sent(bench, name)] == []


def test_make_safe_switches_off_and_may_be_repeated(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    oven = opened.enter_context(Oven(bench.resources["oven"]))
    smu = opened.enter_context(SourceMeter(bench.resources["smu"]))
    lamp = opened.enter_context(Lamp(bench.resources["lamp"]))
    switched = (laser, oven, smu, lamp)
    for device in switched:
        device.on()
    oven.set_target(400)
    smu.set_voltage(3)

    for device in (*switched, *switched):
        device.make_safe()

    assert not any(device.is_on() for device in switched)
    assert oven.target() == Oven.AMBIENT
    assert smu.voltage() == 0


def test_a_stage_that_is_made_safe_stops_where_it_is() -> None:
    clock = iter(range(1000))  # each command comes one second after the one before; the stage does 20 mm/s
    with Bench(clock=lambda: next(clock) / 10) as bench, Stage(bench.resources["stage"]) as stage:
        stage.write("MOVE:ABS 50")
        stage.make_safe()

        assert stage.position() == stage.position() == pytest.approx(2)


def test_time_scale_is_how_much_faster_physics_goes() -> None:
    times = [0.0]
    with Bench(time_scale=10, clock=lambda: times[0]) as bench, Oven(bench.resources["oven"]) as oven:
        oven.set_target(395)
        oven.on()
        times[0] = 0.1

        assert oven.temperature() == pytest.approx(295 + 63.2, abs=0.05)


def test_two_benches_with_one_seed_measure_the_same() -> None:
    def measured(seed: int) -> list[float]:
        with Bench(clock=lambda: 0.0, seed=seed) as bench, ExitStack() as opened:
            laser = opened.enter_context(Laser(bench.resources["laser"]))
            meter = opened.enter_context(PowerMeter(bench.resources["meter"]))
            laser.set_current(100)
            laser.on()
            return [meter.power() for _ in range(3)]

    assert measured(1) == measured(1)
    assert measured(1) != measured(2)
    assert len(set(measured(1))) == 3, "there is noise"


def test_everything_executed_is_on_record_in_order(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    laser.set_current(20)
    laser.current()

    assert bench.executed("laser") == ["*IDN?", "SOUR:CURR 20.0", "SOUR:CURR?"]
    assert bench.executed("oven") == []


def test_waiting_for_a_command_that_never_comes_tells_what_came_instead(bench: Bench, opened: ExitStack) -> None:
    opened.enter_context(Laser(bench.resources["laser"]))

    assert bench.wait_executed("laser") == ["*IDN?"]
    with pytest.raises(TimeoutError, match=r"laser did not get there within 0.01 s; it has executed \['\*IDN\?'\]"):
        bench.wait_executed("laser", lambda commands: len(commands) > 1, timeout=0.01)


def test_commands_are_known_in_their_long_and_short_forms_in_any_case(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))

    for header in ("SOURce:CURRent", "sour:curr", ":SOURCE:CURR"):
        laser.write(f"{header} 7")
        assert laser.query_float(f"{header}?") == 7
    laser.check_errors()


@pytest.mark.parametrize(
    ("command", "entry"),
    [
        ("SOURC:CURR 7", -113),
        ("NONSENSE", -113),
        ("SOUR:CURR", -109),
        ("SOUR:CURR seven", -104),
        ("SOUR:CURR 151", -222),
        ("OUTP maybe", -224),
    ],
)
def test_a_command_that_an_instrument_refuses_is_in_its_error_queue(
    bench: Bench, opened: ExitStack, command: str, entry: int
) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    laser.write(command)

    with pytest.raises(InstrumentError) as error:
        laser.check_errors()

    assert [code for code, _ in error.value.entries] == [entry]
    laser.check_errors()
    laser.write(command)
    laser.write("*CLS")
    laser.check_errors()


def test_reset_forgets_the_settings(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    laser.set_current(20)
    laser.on()

    laser.write("*RST")

    assert laser.current() == 0
    assert not laser.is_on()
    assert laser.query("*OPC?") == "1"


def test_a_power_cycle_forgets_the_settings_and_closes_the_connection(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    laser.set_current(20)
    bench.inject("laser", "power_cycle", after=1)
    assert laser.current() == 20
    with pytest.raises(ConnectionError):
        laser.current()

    laser.connect()

    assert laser.current() == 0
    assert bench.executed("laser").count("SOUR:CURR?") == 2, "the one that met the power cycle was not executed"


def test_a_hang_ends_after_its_seconds_but_its_answer_never_comes(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"], timeout=0.05))
    bench.inject("laser", "hang", seconds=0.01)
    with pytest.raises(VisaIOError):
        laser.query("SOUR:CURR?")

    assert laser.query("*OPC?") == "1"


def test_a_new_connection_reaches_an_instrument_that_hangs_on_another(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"], timeout=0.05))
    bench.inject("laser", "hang")
    laser.write("SOUR:CURR 20")
    bench.wait_executed("laser", "SOUR:CURR 20")

    laser.connect()

    assert laser.current() == 20


def test_a_late_command_keeps_its_place_in_the_order(bench: Bench, opened: ExitStack) -> None:
    laser = opened.enter_context(Laser(bench.resources["laser"]))
    bench.inject("laser", "slow", seconds=0.02)
    laser.set_current(20)

    assert laser.current() == 20


def test_commands_sent_just_before_the_connection_is_closed_are_executed(bench: Bench) -> None:
    with Laser(bench.resources["laser"]) as laser:
        laser.write("SOUR:CURR 20")

    bench.wait_executed("laser", "SOUR:CURR 20")


def test_an_instrument_at_another_address_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="expected a tunable laser, found 'actorlab,oven"):
        Laser(bench.resources["oven"]).connect()


def test_leaving_the_bench_ends_its_thread_and_frees_its_ports() -> None:
    before = threading.active_count()
    with Bench() as bench, Laser(bench.resources["laser"]) as laser:
        ports = [int(resource.split("::")[2]) for resource in bench.resources.values()]
        assert laser.current() == 0
        bench.close()
        with pytest.raises(ConnectionError):
            laser.current()

    assert threading.active_count() == before
    with Bench(ports=ports) as again:
        assert [int(resource.split("::")[2]) for resource in again.resources.values()] == ports


def test_serving_for_ever_ends_when_somebody_closes_the_bench(bench: Bench) -> None:
    with Laser(bench.resources["laser"]) as laser:
        server = threading.Thread(target=bench.serve_forever)
        server.start()
        assert laser.current() == 0
        bench.close()
        server.join(5)

    assert not server.is_alive()


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bench = Bench(ports=[0] * (len(INSTRUMENTS) - 1) + [port])
        with pytest.raises(OSError, match="in use"):
            bench.start()

    with pytest.raises(RuntimeError, match="isn't running; enter its `with` block"):
        bench.inject("laser", "drop")


def test_wrong_use_of_the_bench_says_what_to_do(bench: Bench) -> None:
    with pytest.raises(ValueError, match="the bench has no 'camera'; it has laser, meter"):
        bench.executed("camera")
    with pytest.raises(ValueError, match="time_scale=0"):
        Bench(time_scale=0)
    with pytest.raises(ValueError, match="7 are needed, for laser"):
        Bench(ports=[5025])
    with pytest.raises(RuntimeError, match="runs already"):
        bench.start()


@pytest.mark.parametrize("driver", [Laser, PowerMeter, Oven, SourceMeter, Spectrometer, Lamp, Stage])
def test_reads_are_queries_and_what_changes_something_is_not(driver: type[VisaDevice]) -> None:
    reads = {name for name in dir(driver) if hasattr(getattr(driver, name), QUERY_MARK)}
    changes = {"write", "query", "on", "off", "connect", "make_safe", "heat_to", "acquire", "mount", "check_errors"}

    assert "identify" in reads
    assert not reads & changes
    assert not {name for name in reads if name.startswith(("set_", "move_"))}
