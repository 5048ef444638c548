"""Record the same in a lab: the measurement is a task, and anybody may read the temperature meanwhile."""

from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment
from qcodes.instrument_drivers.Lakeshore import LakeshoreModel336

from actorlab import DeviceConfig, Lab, track


def temperature_by_limit(lakeshore: LakeshoreModel336, kelvins: list[float]) -> str:
    """Measure as ever; QCoDeS binds its database to the thread, so it is opened here."""
    initialise_or_create_database_at("in_a_lab.db")
    load_or_create_experiment("limits", "sample 3")

    measurement = Measurement(name="temperature by limit")
    measurement.register_parameter(lakeshore.A.t_limit)
    measurement.register_parameter(lakeshore.A.temperature, setpoints=(lakeshore.A.t_limit,))

    with measurement.run() as datasaver:
        for kelvin in track(kelvins):
            lakeshore.A.t_limit(kelvin)
            datasaver.add_result((lakeshore.A.t_limit, kelvin), (lakeshore.A.temperature, lakeshore.A.temperature()))

    return str(datasaver.dataset.to_pandas_dataframe())


with Lab() as lab:
    config = DeviceConfig(queries=("**.temperature",), make_safe=lambda lakeshore: lakeshore.output_1.mode("off"))
    lakeshore = lab.add(
        "lakeshore", config(LakeshoreModel336), "lakeshore", "GPIB::2::INSTR", pyvisa_sim_file="lakeshore_model336.yaml"
    )
    print(lab.run(temperature_by_limit, lakeshore, [100, 200, 300]))
