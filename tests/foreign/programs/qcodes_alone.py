"""Record a temperature over a limit with QCoDeS, as one does without a lab."""

from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment
from qcodes.instrument_drivers.Lakeshore import LakeshoreModel336

initialise_or_create_database_at("alone.db")
load_or_create_experiment("limits", "sample 3")

lakeshore = LakeshoreModel336("lakeshore", "GPIB::2::INSTR", pyvisa_sim_file="lakeshore_model336.yaml")

measurement = Measurement(name="temperature by limit")
measurement.register_parameter(lakeshore.A.t_limit)
measurement.register_parameter(lakeshore.A.temperature, setpoints=(lakeshore.A.t_limit,))

with measurement.run() as datasaver:
    for kelvin in (100, 200, 300):
        lakeshore.A.t_limit(kelvin)
        datasaver.add_result((lakeshore.A.t_limit, kelvin), (lakeshore.A.temperature, lakeshore.A.temperature()))

print(datasaver.dataset.to_pandas_dataframe())
lakeshore.close()
