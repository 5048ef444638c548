from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from actorlab import Lab, task, workflow
from actorlab.runtime import run_book
from actorlab.runtime.decider import Decider
from actorlab.runtime.workers import IN_A_ROW, Workers


def broken(error: BaseException) -> None:
    raise error


@pytest.fixture
def decider() -> Iterator[Decider]:
    made = Decider("workers", broken)
    made.start()
    yield made
    made.close()
    made.thread.join(5)


@pytest.fixture
def workers(decider: Decider) -> Iterator[Workers]:
    made = Workers("workers", decider)
    yield made
    made.close()
    assert not made.join(5)


def test_more_jobs_than_are_looked_at_in_a_row_end_all(decider: Decider, workers: Workers) -> None:
    count = 3 * IN_A_ROW
    all_run, all_told = threading.Event(), threading.Event()
    run: list[int] = []
    told: list[int] = []

    def tell(number: int) -> None:
        told.append(number)
        if len(told) == count:
            all_told.set()

    def job(number: int) -> tuple[Any, Any]:
        run.append(number)
        if len(run) == count:
            all_run.set()
        return tell, number

    def hand_out(_: Any) -> None:
        for number in range(count):
            workers.put(partial(job, number))

    decider.post(hand_out)
    decider.post(lambda _: all_run.wait(5))  # so that all have ended when the decider looks
    assert all_told.wait(5)
    assert sorted(told) == list(range(count))


def test_a_job_gets_a_thread_although_all_others_are_busy(decider: Decider, workers: Workers) -> None:
    free, reached = threading.Event(), threading.Event()

    def wait() -> None:
        free.wait(5)

    for _ in range(5):
        decider.post(workers.put, wait)
    decider.post(workers.put, reached.set)
    assert reached.wait(5)
    free.set()


def test_what_wakes_other_threads_is_done_after_all_else_that_follows(decider: Decider) -> None:
    done: list[str] = []
    finished = threading.Event()

    def begin(_: Any) -> None:
        decider.last(done.append, "last")
        decider.last(lambda _: finished.set())
        decider.then(done.append, "next")
        done.append("now")

    decider.post(begin)
    assert finished.wait(5)
    assert done == ["now", "next", "last"]


def test_large_workflows_that_have_ended_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_book, "STEPS_KEPT", 0.005)

    @workflow
    def three() -> None:
        for _ in range(3):
            step()

    with Lab() as lab:
        for _ in range(3):
            lab.run(three)
        assert [run.id for run in lab.runs] == ["three#3"]
        lab.run(step)
        assert [run.name for run in lab.runs] == ["three", "step"]


@task
def step() -> None:
    pass
