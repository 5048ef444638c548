"""Programs with mistakes: both type checkers flag each line that ends in the word, and no other."""

from __future__ import annotations

from collections.abc import Iterator

from good import (
    Camera,
    Curve,
    Lamp,
    Laser,
    Oven,
    PowerMeter,
    Report,
    SourceMeter,
    Spectrometer,
    Stage,
    all_off,
    characterise,
    figure_of_merit,
    guard,
    iv_curve,
    optimise,
    power_curve,
    spectrum,
)

from actorlab import Client, Lab, Shared, cleanup, periodic, spawn, stream, task, workflow


@task
def heat(oven: Shared[Oven], kelvin: float) -> float:
    oven.heat(kelvin)  # mistake
    return "hot"  # mistake


@workflow
def swapped(stage: Stage, oven: Oven, smu: SourceMeter, lamp: Lamp, spectrometer: Spectrometer) -> Report:
    cleanup(all_off, lamp, oven)  # mistake
    cleanup(all_off, oven)  # mistake
    reference = spectrum(spectrometer, lamp)  # mistake
    iv_curve(stage, smu, oven, 300)  # mistake
    iv_curve(stage, oven, smu, "300 K")  # mistake
    iv_curve(stage, oven, smu, 300, 320)  # mistake
    iv_curve(stage, oven, smu)  # mistake
    iv_curve(stage, oven, smu, celsius=300)  # mistake
    iv_curve.options(priority=5)(stage, oven, lamp, 300)  # mistake
    iv_curve.options(priorty=5)(stage, oven, smu, 300)  # mistake
    iv_curve.options(retries="often")(stage, oven, smu, 300)  # mistake
    return reference  # mistake


@task(retires=2)  # mistake
def misspelt() -> None: ...


@task(lease="always")  # mistake
def leased() -> None: ...


curve: Curve = characterise(Stage(), Oven(), SourceMeter(), Lamp(), Spectrometer())  # mistake
curves = characterise(Stage(), Oven(), SourceMeter(), Lamp())  # mistake
heat(Oven(), 300).as_pct()  # mistake


def in_a_lab(lab: Lab, lamp: Lamp) -> None:
    laser = lab.add("laser", Laser, 5025)  # mistake
    meter = lab.add("meter", PowerMeter)  # mistake
    laser.set_power(3)  # mistake
    laser.set_current("high")  # mistake
    lab.run(power_curve, meter, laser, [10])  # mistake
    lab.run(power_curve, laser, meter, 10)  # mistake
    lab.run(power_curve, laser, meter, [10], timeout=3)  # mistake
    lab.start(optimise.options(priority=5), lamp, meter, 5)  # mistake
    lab.start(optimise, laser, meter, 5).result().best()  # mistake
    spawn(figure_of_merit, meter, laser, 0.1)  # mistake
    lab.serve(guard, meter, laser, 0.5)  # mistake
    lab.serve(guard, laser, meter, "often")  # mistake
    lab.group("optimisers").serve(optimise, laser, meter)  # mistake
    lab.group("optimisers", strategy="all")  # mistake
    name: str = lab.run(optimise, laser, meter, 5)  # mistake
    cleanup(all_off, name, lamp)  # mistake


class Wrong(Camera):
    @stream
    def numbers(self) -> Iterator[int]:
        yield "one"  # mistake
        self.events.publish(3)  # mistake

    @stream  # mistake
    def number(self) -> int:
        return 1

    @periodic(1.0)  # mistake
    def read(self, channel: int) -> None: ...

    @periodic("often")  # mistake
    def write(self) -> None: ...


def listen(camera: Camera) -> None:
    camera.frames("long")  # mistake
    camera.frames(gain=3)  # mistake
    for item in camera.counts():
        item.value.exposure  # mistake
    for frame in camera.frames():
        frame.exposure  # mistake
    camera.counts().buffered("all")  # mistake
    camera.poll.begin()  # mistake
    camera.poll(3)  # mistake
    next(camera.counts())  # mistake


def far_away(client: Client) -> None:
    client.device("laser", Laser).set_current("much")  # mistake
    client.device("laser", Laser).fly()  # mistake
    client.device(3)  # mistake
    client.start("sweep").results()  # mistake
