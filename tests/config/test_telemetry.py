"""A lab's file says that the lab is traced, and OpenTelemetry's own variables say to whom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from actorlab import ConfigError, Lab
from actorlab.config.telemetry import provider_for


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text("name: bench\njournal: null\ntelemetry: true\n", encoding="utf-8")
    return path


PROGRAM = """
import sys
from actorlab import Lab

with Lab.from_yaml(sys.argv[1]) as lab:
    lab.run(sum, [1, 2])
"""


def test_spans_go_where_the_environment_says(file: Path) -> None:
    around = os.environ | {"OTEL_TRACES_EXPORTER": "console"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)], env=around, capture_output=True, text=True, timeout=30, check=True
    )
    assert '"name": "sum"' in ended.stdout
    assert '"actorlab.run": "sum#1"' in ended.stdout
    assert '"service.name": "bench"' in ended.stdout


def test_a_service_name_of_the_environment_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the other bench")
    provider, shut_down = provider_for("bench")
    assert isinstance(provider, TracerProvider)
    assert provider.resource.attributes["service.name"] == "the other bench"
    shut_down()


def test_an_exporter_that_is_not_installed_is_named_with_those_that_are(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nonsense")
    with pytest.raises(ConfigError, match=r"'nonsense'.*console.*none.*pip install"):
        Lab.from_yaml(file)


def test_spans_may_go_nowhere_and_logs_have_ids_all_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    with Lab.from_yaml(file) as lab:
        assert lab.tracing is not None


def test_the_environment_may_say_that_a_lab_is_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("journal: null\n", encoding="utf-8")
    with Lab.from_yaml(file) as lab:
        assert lab.tracing is None
    monkeypatch.setenv("ACTORLAB__TELEMETRY", "true")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    with Lab.from_yaml(file) as lab:
        assert lab.tracing is not None


def test_without_opentelemetry_it_is_said_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"pip install \"actorlab\[otel\]\""):
        Lab.from_yaml(file)
