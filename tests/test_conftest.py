"""See that the rule in conftest.py fails tests which leave threads behind, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

PRELUDE = """
import threading
import pytest

end = threading.Event()

@pytest.fixture(scope="session", autouse=True)
def all_threads_end():
    yield
    end.set()
"""


@pytest.fixture
def outcomes(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> dict[str, int]:
    """Run a test of that source under the real conftest.py, made impatient."""
    conftest = Path(__file__).with_name("conftest.py").read_text()
    pytester.makeconftest(conftest.replace("PATIENCE = 5.0", "PATIENCE = 0.1"))
    pytester.makepyfile(PRELUDE + request.param)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()


def leaving(arguments: str) -> str:
    return f"def test_inner(): threading.Thread(target=end.wait, {arguments}).start()"


@pytest.mark.parametrize(
    "outcomes",
    [leaving("daemon=False"), leaving("daemon=True, name='actorlab-laser'")],
    ids=["not a daemon", "ours"],
    indirect=True,
)
def test_a_thread_left_behind_fails_the_test(outcomes: dict[str, int]) -> None:
    assert outcomes == {"passed": 1, "errors": 1}


@pytest.mark.parametrize(
    "outcomes",
    [
        "def test_inner(): pass",
        leaving("daemon=True, name='somebody else'"),
        leaving("name='actorlab-brief'").replace("end.wait", "lambda: end.wait(0.01)"),
    ],
    ids=["none", "a daemon of somebody else's", "one that ends soon"],
    indirect=True,
)
def test_other_threads_are_no_failure(outcomes: dict[str, int]) -> None:
    assert outcomes == {"passed": 1}
