"""Measure the same curve in a lab: cancelled or failed, it is shut down; others may read meanwhile what is named."""

from pathlib import Path

import numpy as np
from pymeasure.instruments.keithley import Keithley2400

from actorlab import DeviceConfig, Lab, track

simulation = f"{Path(__file__).with_name('keithley_2400.yaml')}@sim"


def curve(sourcemeter: Keithley2400, currents: list[float]) -> list[float]:
    """Measure the voltage at each current."""
    sourcemeter.source_mode = "current"
    sourcemeter.compliance_voltage = 10
    sourcemeter.source_enabled = True
    voltages = []
    for current in track(currents):
        sourcemeter.source_current = current
        voltages.append(sourcemeter.voltage)
    sourcemeter.shutdown()
    return voltages


with Lab() as lab:
    config = DeviceConfig(queries=("source_enabled", "voltage"))
    sourcemeter = lab.add("sourcemeter", config(Keithley2400), "GPIB::24", visa_library=simulation)
    currents = [float(current) for current in np.linspace(-0.1, 0.1, 5)]
    voltages = lab.run(curve, sourcemeter, currents)

for current, voltage in zip(currents, voltages, strict=True):
    print(f"{current:6.3f} A {voltage:6.3f} V")
