"""Hold that a driver gets its password, and that nobody else is told."""

from __future__ import annotations

import io
import pickle
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from actorlab import ConfigError, DeviceUnavailable, Lab
from actorlab.config import ConfiguredLab, read_journal_place, read_lab_file
from actorlab.hidden import HiddenText

WORDS = "correct horse battery staple"
DRIVERS = """
    from actorlab import Device

    class Guarded(Device):
        "It keeps what it was given where all can read it."

        def __init__(self, address, *keys, password, **more):
            self.address, self.keys, self.password, self.more = address, keys, password, more

        def length(self):
            return len(self.password), len(self.keys), self.password.encode()[:1]

    class Wrong:
        def __init__(self, address, password):
            raise PermissionError(f"{address} doesn't take {password!r}")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "guarded_drivers_of_this_test.py").write_text(dedent(DRIVERS))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "smu").write_text(WORDS + "\n")
    monkeypatch.setenv("SMU_PASSWORD", WORDS)
    yield tmp_path
    sys.modules.pop("guarded_drivers_of_this_test", None)


def lab_file(folder: Path, rest: str, cls: str = "Guarded", first: str = "") -> Path:
    file = folder / "lab.yaml"
    device = f"devices:\n  smu:\n    class: guarded_drivers_of_this_test:{cls}\n    address: COM3\n"
    file.write_text(f"{first}{device}    {rest}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("reference", ["!secret smu", "!env SMU_PASSWORD", "!file secrets/smu"])
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_driver_gets_the_text_itself(folder: Path, reference: str, isolation: str) -> None:
    rest = f"kwargs: {{password: {reference}, more: {{keys: [{reference}]}}}}\n    args: [{reference}, 2]"
    file = lab_file(folder, f"{rest}\n    isolation: {isolation}")
    with ConfiguredLab(read_lab_file(file)) as lab:
        lab.add_all(["smu"])
        assert lab.device("smu").length() == (len(WORDS), 2, b"c")


def test_nobody_else_is_told(folder: Path) -> None:
    (folder / "runs").mkdir()
    file = lab_file(folder, "kwargs: {password: !secret smu, deep: [!env SMU_PASSWORD]}")
    config = read_lab_file(file)
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        with Lab(journal=folder / "runs" / "lab.db") as lab:
            entry = config.devices["smu"]
            smu = lab.add("smu", entry.factory, *entry.arguments, **entry.kwargs)
            run = lab.start(lambda device: device.length()[0], smu)
            assert run.result() == len(WORDS)
            told = [lab.describe("smu"), run.provenance, lab.states(), config, lab.events]
        text = f"{told!r} {config!s} {out.getvalue()} {err.getvalue()}"
    kept = b"".join(path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file())
    assert b"password" in kept, "what a driver tells of itself is looked at"
    assert "'**********'" in text
    for form in (WORDS, "battery"):
        assert form not in text
        assert form.encode() not in kept


def test_an_error_of_the_driver_shows_stars(folder: Path) -> None:
    with pytest.raises(DeviceUnavailable, match=r"COM3 doesn't take '\*+'") as caught:
        Lab.from_yaml(lab_file(folder, "kwargs: {password: !secret smu}\n    restart: {restart: never}", "Wrong"))
    assert "battery" not in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("kwargs: {passwrd: !secret smu}", "lab.yaml:3: devices.smu: Guarded can't be made with these arguments"),
        (
            "kwargs: {password: !secret smo}",
            "lab.yaml:5: devices.smu.kwargs.password: there is no secret 'smo': no file",
        ),
        ("kwargs: {password: !secret ../smu}", "lab.yaml:5: devices.smu.kwargs.password: !secret ../smu: write a name"),
        (
            "args: [1,\n      !env SMU_PASSWRD]",
            "lab.yaml:6: devices.smu.args.1: there is no environment variable 'SMU_PA",
        ),
        ("args: [!file gone]", "lab.yaml:5: devices.smu.args.0: gone can't be read: No such file or directory"),
        ("args: [!file empty]", "lab.yaml:5: devices.smu.args.0: !file empty is empty"),
        ("args: [!file binary]", "lab.yaml:5: devices.smu.args.0: binary is no text"),
        ("timeout: !env SMU_PASSWORD", "lab.yaml:5: devices.smu.timeout: a secret may stand under a device's args"),
        ("args: !secret smu", "lab.yaml:5: devices.smu.args: a secret may stand under a device's args"),
        ("identify: 3\n    args: [!secret smu]", "lab.yaml:5: devices.smu.identify: input should be a valid string"),
        (
            "args: {a: !secret smu}",
            "lab.yaml:5: devices.smu.args: input should be a valid list, not {'a': '**********'}",
        ),
    ],
)
def test_what_is_wrong_is_said_without_the_text(folder: Path, rest: str, said: str) -> None:
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe" + WORDS.encode("utf-16"))
    with pytest.raises(ConfigError) as caught:
        read_lab_file(lab_file(folder, rest))
    text = str(caught.value).replace(f"{folder}/", "")
    assert said in text
    assert "battery" not in text
    assert re.search("smu'?\\?", text) or "smo" not in text


def test_the_folder_of_secrets_can_be_named_and_is_seen_from_its_file(folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "shared" / "base.yaml").write_text("secrets: keys\n")
    (folder / "shared" / "keys").mkdir()
    (folder / "shared" / "keys" / "smu").write_text("other")
    config = read_lab_file(lab_file(folder, "kwargs: {password: !secret smu}", first="include: shared/base.yaml\n"))
    assert config.devices["smu"].kwargs == {"password": "other"}


def test_a_variable_can_refer_to_a_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORLAB__DEVICES__SMU__KWARGS__PASSWORD", "!env SMU_PASSWORD")
    assert read_lab_file(lab_file(folder, "kwargs: {}")).devices["smu"].kwargs["password"] == WORDS


def test_the_url_of_a_journal_may_be_a_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_URL", "postgresql://lab:battery@nowhere/lab")
    config = read_lab_file(
        lab_file(folder, "args: [!secret smu]\n    kwargs: {password: x}", first="journal: !env JOURNAL_URL\n")
    )
    assert config.journal == "postgresql://lab:battery@nowhere/lab"
    assert "battery" not in repr(config)
    (folder / "secrets" / "smu").unlink()
    assert read_journal_place(folder / "lab.yaml") == config.journal, "nothing else is looked at"


def test_modules_beside_the_file_are_found_as_long_as_the_lab_is_open(folder: Path) -> None:
    before = list(sys.path)
    config = read_lab_file(lab_file(folder, "kwargs: {password: x}"))
    assert sys.path == before
    with ConfiguredLab(config):
        assert sys.path == [*before, str(folder)]
    assert sys.path == before


def test_a_hidden_text_stays_hidden_when_it_is_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(HiddenText(WORDS)))  # noqa: S301 - our own
    assert (sent, repr(sent)) == (WORDS, "'**********'")
