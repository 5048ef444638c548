from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actorlab.encoding import digest, dumps, loads
from actorlab.errors import EncodingError

FRAMES: dict[str, Any] = {
    "plain": pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": ["x", None]}),
    "of many kinds": pd.DataFrame(
        {
            "zoned": pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin"),
            "category": pd.Categorical(["a", "b", "a"], ordered=True),
            "maybe": pd.array([1, None, 3], dtype="Int64"),
            "objects": [(1, 2), {1}, None],
        },
        index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("c", 3)], names=["u", "v"]),
    ),
    "empty": pd.DataFrame(),
    "with two levels": pd.DataFrame({("a", 1): [1], ("b", 2): [2]}),
    "with a name twice": pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"]),
    "by day": pd.DataFrame(
        {
            "span": pd.to_timedelta([1, 2], unit="s"),
            "text": pd.array(["q", None], dtype="string"),
            "flag": pd.array([True, None], dtype="boolean"),
        },
        index=pd.date_range("2026-01-01", periods=2, freq="D", name="day"),
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_come_back(name: str) -> None:
    frame = FRAMES[name]
    found = loads(dumps(frame))
    pd.testing.assert_frame_equal(found, frame)
    assert digest(found) == digest(frame)


@pytest.mark.parametrize(
    "series", [pd.Series([1, 2], name="n"), pd.Series([1.5], index=[dt.date(2026, 1, 1)]), pd.Series(dtype=float)]
)
def test_series_come_back(series: Any) -> None:
    pd.testing.assert_series_equal(loads(dumps(series)), series)


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2026-01-01 12:00:00.123456789", tz="Europe/Berlin"), pd.Timestamp("2026-01-01"),
        pd.Timedelta("1 ns"), pd.Index([1, 2], name="q"), pd.RangeIndex(3), pd.NaT, pd.NA,
    ],
)  # fmt: skip
def test_moments_indexes_and_what_is_missing_come_back(value: Any) -> None:
    found = loads(dumps([value]))[0]
    assert type(found) is type(value)
    assert found is value or np.all(found == value)


def test_what_was_said_about_a_frame_comes_back() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "nm"
    assert loads(dumps(frame)).attrs == {"unit": "nm"}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (pd.DataFrame({"p": pd.period_range("2026-01", periods=2, freq="M")}), r"period\[M\] can't be written down"),
        (pd.Interval(1, 2), "a pandas Interval can't be written down"),
        (pd.DataFrame({"a": [open]}), "can't be written down"),
    ],
)
def test_what_is_no_plain_frame_is_refused(value: Any, why: str) -> None:
    with pytest.raises(EncodingError, match=why):
        dumps(value)
