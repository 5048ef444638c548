"""Tiled, where it is installed, takes a run's documents and gives the data back.

Its server needs an older SQLAlchemy than the journal, so it has an environment of its own:
``pip install "tiled[server,client]" bluesky`` beside this project, and then this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actorlab import Lab, record

server: Any = pytest.importorskip("tiled.server", reason="Tiled is not installed")
client: Any = pytest.importorskip("tiled.client", reason="Tiled is not installed")
tiled_writer: Any = pytest.importorskip("bluesky.callbacks.tiled_writer", reason="Bluesky is not installed")


def sweep() -> None:
    for number in range(5):
        record(wavelength=1550.0 + number, ok=number % 2 == 0, note=f"p{number}", trace=np.arange(30.0) * number)
    record(final=1.5)


def test_tiled_takes_a_run_and_gives_it_back(tmp_path: Path) -> None:
    with Lab(name="optics") as lab:
        run = lab.start(sweep)
        run.result()
    with server.SimpleTiledServer(directory=tmp_path, readable_storage=[tmp_path]) as running:
        catalogue = client.from_uri(running.uri)
        write = tiled_writer.TiledWriter(catalogue)
        start = ""
        for name, document in run.data.to_documents():
            start = document["uid"] if name == "start" else start
            write(name, document)
        found = catalogue[start]
        assert found.metadata["start"]["plan_name"] == "sweep"
        assert found.metadata["stop"]["exit_status"] == "success"
        primary = found["primary"]
        assert primary["wavelength"].read().tolist() == [1550.0, 1551.0, 1552.0, 1553.0, 1554.0]
        assert primary["note"].read().tolist() == ["p0", "p1", "p2", "p3", "p4"]
        assert np.array_equal(primary["trace"].read(), np.arange(30.0) * np.arange(5.0)[:, None])
        assert found["stream_2"]["final"].read().tolist() == [1.5]
