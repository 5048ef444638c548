"""Measure a current-voltage curve with PyMeasure, as one does without a lab."""

from pathlib import Path

import numpy as np
from pymeasure.instruments.keithley import Keithley2400

simulation = f"{Path(__file__).with_name('keithley_2400.yaml')}@sim"

sourcemeter = Keithley2400("GPIB::24", visa_library=simulation)
try:
    sourcemeter.source_mode = "current"
    sourcemeter.compliance_voltage = 10
    sourcemeter.source_enabled = True
    currents = np.linspace(-0.1, 0.1, 5)
    voltages = []
    for current in currents:
        sourcemeter.source_current = current
        voltages.append(sourcemeter.voltage)
finally:
    sourcemeter.shutdown()
    sourcemeter.adapter.close()

for current, voltage in zip(currents, voltages, strict=True):
    print(f"{current:6.3f} A {voltage:6.3f} V")
