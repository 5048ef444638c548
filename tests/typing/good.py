"""The programs that actorlab is made for: both type checkers, strict, pass them. They aren't run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import assert_type

from actorlab import (
    Client,
    Device,
    Item,
    Lab,
    Pushed,
    RestartPolicy,
    Run,
    Service,
    Shared,
    Stream,
    choose,
    cleanup,
    each,
    ensure_server,
    periodic,
    query,
    sleep,
    spawn,
    stream,
    task,
    track,
    workflow,
)
from actorlab.client import RemoteRun


class Stage:
    def load(self, sample: str) -> None: ...


class Oven:
    def heat_to(self, kelvin: float) -> None: ...
    def off(self) -> None: ...


class SourceMeter:
    def set_voltage(self, volts: float) -> None: ...
    def current(self) -> float:
        return 0.0


class Lamp:
    def off(self) -> None: ...


class Spectrometer:
    def acquire(self, seconds: float) -> list[float]:
        return [seconds]


@dataclass
class Curve:
    x: list[float]
    y: list[float]


@dataclass
class Report:
    reference: Curve
    curves: list[Curve]


def all_off(oven: Oven, lamp: Lamp) -> None:
    oven.off()
    lamp.off()


@task
def mount(stage: Stage, sample: str) -> None:
    stage.load(sample)


@task
def spectrum(lamp: Lamp, spectrometer: Spectrometer) -> Curve:
    lamp.off()
    return Curve([], spectrometer.acquire(0.1))


@task(retries=2, timeout=600.0)
def iv_curve(stage: Shared[Stage], oven: Oven, smu: SourceMeter, kelvin: float) -> Curve:
    assert_type(stage, Stage)
    oven.heat_to(kelvin)
    smu.set_voltage(1)
    return Curve([1.0], [smu.current()])


@task
def report(reference: Curve, curves: list[Curve]) -> Report:
    return Report(reference, curves)


@workflow
def characterise(stage: Stage, oven: Oven, smu: SourceMeter, lamp: Lamp, spectrometer: Spectrometer) -> Report:
    cleanup(all_off, oven, lamp)
    mount(stage, "sample 3")
    reference = spectrum(lamp, spectrometer)
    assert_type(reference, Curve)
    curves = [iv_curve(stage, oven, smu, kelvin) for kelvin in (300, 320, 340)]
    iv_curve.options(after=reference, within=600)(stage, oven, smu, kelvin=300)
    return report(reference, curves)


@task
def kelvins_for(reference: Curve) -> list[float]:
    return reference.x


@task
def is_flat(curve: Curve) -> bool:
    return not curve.y


@workflow
def adapt(stage: Stage, oven: Oven, smu: SourceMeter, lamp: Lamp, spectrometer: Spectrometer) -> list[Curve]:
    reference = spectrum(lamp, spectrometer)
    curves = each(lambda kelvin: iv_curve(stage, oven, smu, kelvin), kelvins_for(reference), width=2)
    assert_type(curves, list[Curve])
    assert_type(each(partial(iv_curve, stage, oven, smu), [300.0, 320.0])[0], Curve)
    last = choose(is_flat(curves[0]), lambda: curves[0], lambda: iv_curve(stage, oven, smu, 400))
    assert_type(last, Curve)
    return curves


@workflow(keep_going=True, lease="step", tags=("night",))
def twice(
    stages: list[Shared[Stage]], stage: Stage, oven: Oven, smu: SourceMeter, lamp: Lamp, spectrometer: Spectrometer
) -> list[Report]:
    assert_type(stages, list[Stage])
    return [characterise(stage, oven, smu, lamp, spectrometer) for _ in stages]


assert_type(characterise(Stage(), Oven(), SourceMeter(), Lamp(), Spectrometer()), Report)


class Laser:
    def __init__(self, address: str) -> None: ...
    def set_current(self, milliamps: float) -> None: ...


class PowerMeter:
    def __init__(self, address: str) -> None: ...
    def power(self) -> float:
        return 0.0


class Optimiser:
    def __init__(self, seed: int) -> None: ...
    def ask(self) -> float:
        return 0.0

    def tell(self, point: float, figure: float) -> None: ...

    best: float = 0.0


def power_curve(laser: Laser, meter: PowerMeter, currents: list[float]) -> list[float]:
    powers: list[float] = []
    for current in track(currents, "sweeping"):
        laser.set_current(current)
        powers.append(meter.power())
    return powers


@task
def figure_of_merit(laser: Shared[Laser], meter: PowerMeter, point: float) -> float:
    assert_type(laser, Laser)
    return meter.power() + point


@task(lease="step")
def optimise(laser: Laser, meter: PowerMeter, budget: int) -> float:
    optimiser = Optimiser(seed=1)
    for _ in track(range(budget), "optimising"):
        point = optimiser.ask()
        optimiser.tell(point, spawn(figure_of_merit, laser, meter, point).result())
    return optimiser.best


@task(restart=RestartPolicy(limit=None, delay=1.0))
def guard(laser: Shared[Laser], meter: Shared[PowerMeter], watts: float) -> None:
    assert_type(laser, Laser)
    while meter.power() < watts:
        sleep(0.1)


async def timed(lab: Lab, laser: Laser, meter: PowerMeter) -> float:
    return await lab.start(optimise.options(priority=5, timeout=60), laser, meter, budget=3)


with Lab() as lab:
    laser = lab.add("laser", Laser, "TCPIP::127.0.0.1::5025::SOCKET")
    meter = lab.add("meter", PowerMeter, "TCPIP::127.0.0.1::5026::SOCKET")
    assert_type(laser, Laser)
    assert_type(lab.run(power_curve, laser, meter, [10, 20, 30]), list[float])
    assert_type(lab.run(optimise, laser, meter, 5), float)
    assert_type(lab.start(optimise, laser, meter, 5).result(), float)
    assert_type(lab.serve(guard, laser, meter, watts=0.5), Service[None])
    group = lab.group("optimisers", strategy="rest_for_one")
    assert_type(group.serve(optimise.options(name="first"), laser, meter, 5).run, Run[float] | None)
    stage, oven, smu = lab.add("stage", Stage), lab.add("oven", Oven), lab.add("smu", SourceMeter)
    lamp, spectrometer = lab.add("lamp", Lamp), lab.add("spectrometer", Spectrometer)
    assert_type(lab.run(spectrum, lamp, spectrometer), Curve)
    assert_type(lab.run(characterise.options(key="sample 3"), stage, oven, smu, lamp, spectrometer), Report)


class Scan:
    def __init__(self, laser: Laser, steps: int) -> None: ...

    def run(self) -> float:
        return 1.0


class AsyncScan:
    def __init__(self, laser: Laser, steps: int) -> None: ...

    async def run(self) -> str:
        return ""


class StepwiseScan:
    def __init__(self, laser: Laser, steps: int) -> None: ...

    def run(self) -> Generator[tuple[int, int], None, bytes]:
        yield 1, 2
        return b""


async def asynchronous(laser: Laser) -> str:
    return str(laser)


def stepwise(laser: Laser) -> Generator[tuple[int, int], None, bytes]:
    yield 1, 2
    return str(laser).encode()


with Lab() as lab:
    laser = lab.add("laser", Laser, "TCPIP::127.0.0.1::5025::SOCKET")
    assert_type(lab.run(Scan, laser, 3), float)
    assert_type(lab.run(AsyncScan, laser, 3), str)
    assert_type(lab.run(StepwiseScan, laser, 3), bytes)
    assert_type(lab.start(asynchronous, laser), Run[str])
    assert_type(lab.start(stepwise, laser), Run[bytes])
    assert_type(task(retries=2)(AsyncScan)(laser, 3), str)
    assert_type(spawn(StepwiseScan, laser, 3), Run[bytes])


class Frame:
    exposure: float = 0.0


class Camera(Device):
    @stream
    def frames(self, exposure: float = 0.01) -> Iterator[Frame]:
        yield Frame()

    @stream(buffer=1000)
    def counts(self) -> Iterator[int]:
        yield 1

    @stream
    @query
    def events(self, channel: int) -> Pushed[str]:
        self.events.publish("started")
        self.publish("events", "started")
        return Pushed(self.disconnect)

    @stream
    def quiet(self) -> Pushed[str]:
        return Pushed()

    @periodic(0.5)
    def poll(self) -> float:
        self.poll.stop()
        return 0.0

    @periodic(1.0, autostart=False)
    def tidy(self) -> None: ...


class Better(Camera):
    @stream
    def frames(self, exposure: float = 0.02) -> Iterator[Frame]:
        for item in super().frames(exposure):
            yield item.value

    @periodic(0.1)
    def poll(self) -> float:
        return super().poll() + 1


async def watch(camera: Camera) -> None:
    async for item in camera.frames(0.02).buffered(8):
        assert_type(item, Item[Frame])


def look(camera: Shared[Camera]) -> float:
    with camera.frames() as frames:
        for item in frames:
            assert_type(item.value, Frame)
            assert_type(item.time, datetime)
            return item.monotonic + item.sequence + item.dropped
    return 0.0


with Lab() as lab:
    camera = lab.add("camera", Better)
    assert_type(camera.frames(exposure=0.02), Stream[Frame])
    assert_type(camera.counts(), Stream[int])
    assert_type(camera.events(1), Stream[str])
    assert_type(camera.quiet(), Stream[str])
    assert_type([item.value for item in camera.counts()], list[int])
    assert_type(camera.poll(), float)
    camera.tidy.start()
    assert_type(camera.poll.status.runs, int)
    assert_type(lab.run(look, camera), float)


def far_away(client: Client) -> None:
    assert_type(client.device("laser", Laser), Laser)
    client.device("laser", Laser).set_current(3.0)
    client.devices["laser"].whatever(1)
    assert_type(client.start("sweep", laser=client.device("laser")), RemoteRun)
    assert_type(client.task("sweep").start("laser"), RemoteRun)
    with ensure_server("lab.yaml") as started:
        assert_type(started, Client)
