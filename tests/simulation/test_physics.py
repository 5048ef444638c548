"""The bench's physics is physics: known laws, time as an argument."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.simulation.physics import (
    AMBIENT,
    OVEN_TIME_CONSTANT,
    Etalon,
    LaserLight,
    Motion,
    Relaxation,
    World,
    diode_current,
    planck,
    spectral_axis,
    spectrum,
)

TIMES = st.floats(0, 100)


def test_the_oven_has_gone_63_percent_of_its_way_after_its_time_constant() -> None:
    oven = World().oven.toward(AMBIENT + 100, 5.0)

    assert oven.at(5.0) == AMBIENT
    assert oven.at(5.0 + OVEN_TIME_CONSTANT) == pytest.approx(AMBIENT + 63.2, abs=0.05)


@given(early=TIMES, late=TIMES, target=st.floats(200, 500))
def test_a_new_target_changes_no_present_value(early: float, late: float, target: float) -> None:
    oven = Relaxation(295.0, 340.0, 1.0).toward(300.0, early)
    motion = Motion(0.0, 30.0, speed=20.0)

    assert oven.toward(target, early + late).at(early + late) == pytest.approx(oven.at(early + late))
    assert motion.toward(target, early).at(early) == motion.at(early)


@given(start=st.floats(-50, 50), target=st.floats(-50, 50), time=TIMES)
def test_a_motion_stays_between_its_ends_and_arrives(start: float, target: float, time: float) -> None:
    motion = Motion(start, target, speed=20.0)

    assert min(start, target) <= motion.at(time) <= max(start, target)
    assert motion.at(5.1) == target
    assert motion.done(5.1)


def test_the_etalon_repeats_itself_after_its_free_spectral_range() -> None:
    etalon = Etalon()
    order = round(2 * etalon.index * etalon.thickness / 1550)
    peak, next_peak = (2 * etalon.index * etalon.thickness / n for n in (order, order - 1))

    assert etalon.transmission(peak) == pytest.approx(1)
    assert etalon.transmission(next_peak) == pytest.approx(1)
    assert next_peak - peak == pytest.approx(etalon.free_spectral_range(1550), rel=0.02)
    middle = 2 * etalon.index * etalon.thickness / (order - 0.5)
    assert etalon.transmission(middle) == pytest.approx(((1 - 0.6) / (1 + 0.6)) ** 2), "Airy's minimum"


def test_a_laser_emits_above_its_threshold_and_only_when_it_is_on() -> None:
    assert LaserLight(current=11, on=True).power() == 0
    assert LaserLight(current=22, on=True).power() == pytest.approx(4)
    assert LaserLight(current=22).power() == 0


@given(volts=st.floats(-10, 10), kelvin=st.floats(280, 450))
def test_the_diodes_current_balances_shockleys_law_and_its_series_resistance(volts: float, kelvin: float) -> None:
    current = diode_current(volts, kelvin, 1e-12)

    junction = volts - 5.0 * current
    thermal = 8.617333262e-5 * kelvin
    gap = 1.12 / 8.617333262e-5 * (1 / 300 - 1 / kelvin)
    saturation = 1e-12 * (kelvin / 300) ** 3 * math.exp(gap)
    assert current == pytest.approx(saturation * math.expm1(junction / thermal), rel=1e-6, abs=1e-18)


def test_the_diodes_current_rises_with_temperature_and_voltage() -> None:
    warm = [diode_current(0.5, kelvin, 1e-12) for kelvin in (300, 320, 340)]
    driven = [diode_current(volts, 300, 1e-12) for volts in (-1, 0, 0.5, 0.7)]

    assert warm == sorted(warm)
    assert driven == sorted(driven)
    assert driven[1] == 0


def test_a_hotter_filament_is_bluer() -> None:
    axis = spectral_axis()
    cool, hot = planck(axis, 2000), planck(axis, 2900)

    assert hot[0] / hot[-1] > 2 * cool[0] / cool[-1]
    assert hot[-1] == pytest.approx(1)


def test_the_spectrometer_sees_the_lamp_through_the_sample_in_place() -> None:
    world = World()
    world.lamp = world.lamp.toward(2900.0, 0.0)
    empty = spectrum(world, 0.1, 100.0, np.random.default_rng(1))
    world.stage = Motion(30.0, 30.0, speed=1.0)
    covered = spectrum(world, 0.1, 100.0, np.random.default_rng(1))

    absorbed = covered / empty
    assert spectral_axis()[np.argmin(absorbed)] == pytest.approx(740, abs=10)
    assert absorbed.min() == pytest.approx(0.1, abs=0.03)


def test_the_spectrometer_saturates_at_full_scale() -> None:
    world = World()
    world.lamp = world.lamp.toward(2900.0, 0.0)

    assert spectrum(world, 10.0, 100.0, np.random.default_rng(1)).max() == 65535


def test_a_diode_has_contact_only_where_its_sample_is_in_place() -> None:
    world = World(stage=Motion(0.0, 30.0, speed=10.0))

    assert world.sample(0.5) is None
    assert world.diode_current(0.6, 0.5) == 0
    assert world.diode_current(0.6, 3.0) > 0
