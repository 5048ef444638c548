"""Begin a lab in a folder: its file, a driver, an experiment, a test; all of it works as it is."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Final

from actorlab.errors import ConfigError

__all__ = ["begin_lab"]

LAB: Final = """
    # The devices of this lab. The bench simulates them; for real ones change the addresses, for example to
    # TCPIP::192.168.1.20::5025::SOCKET or GPIB0::24::INSTR, and nothing else.

    name: FOLDER
    journal: journal.db # what happens is kept here: `actorlab runs` lists it

    bench:
      time_scale: 10 # seconds of physics in one second

    devices:
      laser:
        class: actorlab.simulation:Laser
        address: bench:laser
      meter:
        class: power_meter:PowerMeter # our own driver, in power_meter.py
        address: bench:meter
"""

DRIVER: Final = '''
    """Drive an optical power meter, by SCPI."""

    from actorlab import query
    from actorlab.drivers import VisaDevice


    class PowerMeter(VisaDevice):
        """An optical power meter. Any class can be a device; this one has a VISA connection."""

        @query  # it changes nothing: others may ask it, too, and the journal notes its answer before each run
        def power(self) -> float:
            """Return the power in mW."""
            return 1000 * self.query_float("READ:POW?")
'''

EXPERIMENT: Final = '''
    """Measure how the power of a laser depends on its current.

    actorlab run power_curve.py -p points=5
    """

    from actorlab import record, task, track, workflow
    from actorlab.simulation import Laser
    from power_meter import PowerMeter


    @task(retries=1)
    def measure(laser: Laser, meter: PowerMeter, points: int) -> list[float]:
        """Step through the currents, up to 100 mA; each row is kept."""
        powers = []
        laser.on()
        for point in track(range(1, points + 1), "stepping"):
            current = 100 * point / points
            laser.set_current(current)
            powers.append(meter.power())
            record(current=current, power=powers[-1])
        laser.off()
        return powers


    @task
    def largest(powers: list[float]) -> float:
        """Return the largest power."""
        return max(powers)


    @workflow
    def power_curve(laser: Laser, meter: PowerMeter, points: int = 10) -> float:
        """Return the largest power, in mW."""
        return largest(measure(laser, meter, points))
'''

TEST: Final = '''
    """The experiment finds what it should, on simulated instruments."""

    from actorlab import Lab
    from actorlab.simulation import Bench, Laser
    from power_curve import measure, power_curve
    from power_meter import PowerMeter


    def test_more_current_gives_more_power():
        with Bench(time_scale=50) as bench, Lab() as lab:
            laser = lab.add("laser", Laser, bench.resources["laser"])
            meter = lab.add("meter", PowerMeter, bench.resources["meter"])
            powers = lab.run(measure, laser, meter, 4)
            assert powers == sorted(powers)
            assert lab.run(power_curve, laser, meter, points=2) > 0
            assert not laser.is_on()
'''

IGNORED: Final = """
    __pycache__/
    journal.db*
"""

FILES: Final = {
    "lab.yaml": LAB,
    "power_meter.py": DRIVER,
    "power_curve.py": EXPERIMENT,
    "test_power_curve.py": TEST,
    ".gitignore": IGNORED,
}

NEXT: Final = """
    cd {folder}
    actorlab devices                # do they answer?
    actorlab run power_curve.py     # the experiment
    actorlab runs                   # what was done
    python -m pytest                # the test
"""


def begin_lab(folder: Path) -> str:
    """Write the files of a lab into a folder, and say what to do next.

    Raises:
        ConfigError: some of them are there already, or can't be written; nothing was written over.

    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        message = f"{folder} has {', '.join(there)} already: nothing was written; give another folder"
        raise ConfigError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        title = folder.resolve().name or "lab"
        for name, text in FILES.items():
            (folder / name).write_text(dedent(text).lstrip().replace("name: FOLDER", f"name: {title!r}"), "utf-8")
    except OSError as error:
        message = f"{folder} can't be written: {error.strerror}"
        raise ConfigError(message) from error
    return f"{', '.join(FILES)} are in {folder}\n{dedent(NEXT).format(folder=folder).rstrip()}"
