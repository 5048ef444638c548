"""A person in the loop: questions, and decisions over what failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actorlab import (
    ActorLabError,
    AskDeadlock,
    ConfigError,
    Lab,
    Run,
    RunCancelled,
    RunState,
    RunTimeout,
    ask_operator,
    emit,
    task,
    workflow,
)
from actorlab.runtime.body import Body
from actorlab.runtime.questions import Question
from actorlab.runtime.run_actor import RunActor
from actorlab.runtime.run_tellings import put_question

Until = Callable[[Run[Any], RunState], None]


class Stage:
    """A device that remembers what was done to it."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def mount(self) -> None:
        self._log.append("mounted")

    def make_safe(self) -> None:
        self._log.append("safe")


def asked(lab: Lab, count: int = 1) -> tuple[Question, ...]:
    """Wait until there are so many questions."""
    events = lab.events.subscribe()
    while len(lab.questions) < count:
        assert events.get(timeout=5) is not None, "nobody asked"
    events.close()
    return lab.questions


@task
def mounted() -> str:
    return ask_operator("Is the sample in?", choices=("yes", "no"))


def test_a_question_pauses_its_run_until_somebody_answers(lab: Lab, until: Until) -> None:
    run = lab.start(mounted)
    (question,) = asked(lab)
    until(run, RunState.PAUSED)
    assert run.reasons == (f"{run.id} is paused: it asks: Is the sample in?",)
    assert (question.subject, question.choices) == (run.id, ("yes", "no"))
    lab.answer(question.id, "yes")
    assert run.result(5) == "yes"
    assert lab.questions == ()


def test_an_answer_that_is_no_choice_is_refused_and_the_question_stays(lab: Lab) -> None:
    run = lab.start(mounted)
    (question,) = asked(lab)
    with pytest.raises(ConfigError, match="'Is the sample in\\?' takes yes, no, and not 'maybe'"):
        lab.answer(question.id, "maybe")
    with pytest.raises(ConfigError, match=rf"question 99 waits for no answer; open questions: {question.id} "):
        lab.answer(99, "yes")
    lab.answer(question.id, "no")
    assert run.result(5) == "no"


def test_a_question_that_nobody_answers_in_time_is_an_error(lab: Lab) -> None:
    with pytest.raises(TimeoutError, match=r"asked 'Still there\?', and nobody answered within 0\.05 s"):
        lab.run(lambda: ask_operator("Still there?", timeout=0.05))
    assert lab.questions == ()


def test_a_run_that_is_cancelled_takes_its_question_back(lab: Lab) -> None:
    run = lab.start(mounted)
    asked(lab)
    run.cancel("never mind")
    assert isinstance(run.exception(5), RunCancelled)
    assert lab.questions == ()


def test_a_question_is_over_when_it_is_answered_or_taken_back(lab: Lab) -> None:
    run = lab.start(mounted)
    (question,) = asked(lab)
    assert not question.over
    lab.answer(question.id, "yes")
    run.result(5)
    assert question.over
    run = lab.start(mounted)
    (question,) = asked(lab)
    run.cancel("never mind")
    run.exception(5)
    assert question.over


def test_a_body_cancelled_before_its_question_is_put_leaves_none_behind(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:

    def cancelled_on_the_way(actor: RunActor, body: Body, *rest: Any) -> None:
        body.fence("the test took it")  # so it doesn't stay until the question has been put
        put_question(actor, body, *rest)

    monkeypatch.setattr("actorlab.runtime.body.put_question", cancelled_on_the_way)
    heard = lab.events.subscribe(snapshot=False)
    run = lab.start(lambda: ask_operator("Is the sample in?"))
    assert run.exception(5) is not None
    while (event := heard.get(5)) is not None and event.kind != "question":
        pass
    assert event is not None, "it was asked nevertheless"
    assert lab.run(lambda: None) is None  # by now what was posted before is done
    assert lab.questions == ()


def test_on_the_event_loop_nobody_is_asked_and_nothing_is_paused(lab: Lab) -> None:
    heard = lab.events.subscribe(snapshot=False)

    @task
    async def asking() -> None:
        with pytest.raises(AskDeadlock, match=r"used ask_operator\(…\) on the lab's event loop.*spawn"):
            ask_operator("Is the sample in?")
        with pytest.raises(AskDeadlock, match=r"used emit\(…, acknowledged=…\) on the lab's event loop"):
            emit("shift", 3, acknowledged=1.0)

    run = lab.start(asking)
    assert run.exception(5) is None
    assert lab.questions == ()
    kinds: set[str] = set()
    while (event := heard.get(0.05)) is not None:
        kinds.add(event.kind)
        assert event.data.get("state") is not RunState.PAUSED
    assert "run" in kinds
    assert not kinds & {"question", "shift"}


def test_the_timeout_of_a_run_stands_still_while_a_person_is_asked(lab: Lab) -> None:
    run = lab.start(mounted.options(timeout=0.1))
    (question,) = asked(lab)
    with pytest.raises(TimeoutError):
        run.result(0.3)
    lab.answer(question.id, "yes")
    assert run.result(5) == "yes"


# -- a step that failed


class Flaky:
    """A body that fails so many times."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            text = "the lid is open"
            raise ValueError(text)
        return "measured"


def pausing(body: Flaky, **options: Any) -> Any:
    made: Any = task(body).options(name="measure", on_failure="pause", **options)
    return made


def test_a_failure_pauses_the_run_and_after_a_retry_it_goes_on(lab: Lab, until: Until) -> None:
    body = Flaky(2)
    run = lab.start(pausing(body))
    for _ in range(2):
        (question,) = asked(lab)
        until(run, RunState.PAUSED)
        assert question.text == "it failed: ValueError: the lid is open"
        lab.answer(question.id, "retry")
        until_answered(lab, question)
    assert run.result(5) == "measured"
    assert body.calls == 3


def until_answered(lab: Lab, question: Question) -> None:
    """Wait until the question is no longer among the open ones."""
    question.reply.result(5)
    lab.ask(lambda: None)


class MuteError(Exception):
    """An error that can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


class MuteInterruptError(BaseException):
    """One that isn't an `Exception`."""

    __repr__ = MuteError.__repr__
    __str__ = __repr__


def test_a_failure_that_cannot_be_shown_is_decided_like_any_other(lab: Lab) -> None:
    def body() -> None:
        raise MuteError

    run = lab.start(task(body).options(on_failure="pause"))
    (question,) = asked(lab)
    assert question.text == "it failed: MuteError: (its text can't be written: RuntimeError)"
    lab.answer(question.id, "abort")
    assert isinstance(run.exception(5), MuteError)
    assert lab.run(lambda: 3) == 3, "the lab goes on"


def test_what_is_no_exception_and_cannot_be_shown_fails_its_run_only(lab: Lab) -> None:
    def body() -> None:
        raise MuteInterruptError

    error = lab.start(body).exception(5)
    assert isinstance(error, ActorLabError)
    assert "raised MuteInterruptError(…)" in str(error)
    assert lab.run(lambda: 3) == 3, "the lab goes on"


def test_abort_lets_it_fail_and_the_devices_are_made_safe(lab: Lab) -> None:
    log: list[str] = []
    stage = lab.add("stage", Stage, log)
    body = Flaky(1)

    def measure(stage: Stage) -> str:
        stage.mount()
        return body()

    run = lab.start(task(measure).options(on_failure="pause"), stage)
    (question,) = asked(lab)
    assert log == ["mounted"], "it stands as it is, so that somebody can mend it"
    lab.answer(question.id, "abort")
    with pytest.raises(ValueError, match="the lid is open"):
        run.result(5)
    assert log == ["mounted", "safe"]


def test_skip_goes_on_without_it_and_without_what_needs_its_value(lab: Lab) -> None:
    ran: list[str] = []
    broken = pausing(Flaky(1))

    @task
    def uses(value: str) -> str:
        ran.append("uses")
        return value

    @task
    def other() -> str:
        ran.append("other")
        return "other"

    @workflow
    def steps() -> Any:
        value = broken()
        return [value, uses(value), other()]

    run = lab.start(steps)
    (question,) = asked(lab)
    lab.answer(question.id, "skip")
    assert run.result(5) == [None, None, "other"]
    assert ran == ["other"]
    assert [step.state for step in run.steps] == [RunState.FAILED, RunState.SKIPPED, RunState.SUCCEEDED]


def test_it_is_asked_only_after_its_retries(lab: Lab) -> None:
    from actorlab import RestartPolicy  # noqa: PLC0415 - only here

    body = Flaky(3)
    run = lab.start(pausing(body, retries=2, restart=RestartPolicy(delay=0)))
    (question,) = asked(lab)
    assert body.calls == 3
    lab.answer(question.id, "retry")
    assert run.result(5) == "measured"


def test_resume_alone_decides_nothing_and_a_cancellation_ends_the_wait(lab: Lab, until: Until) -> None:
    run = lab.start(pausing(Flaky(1)))
    (question,) = asked(lab)
    until(run, RunState.PAUSED)
    run.resume()
    lab.ask(lambda: None)
    assert run.state is RunState.PAUSED
    run.cancel("enough")
    assert isinstance(run.exception(5), RunCancelled)
    assert lab.questions == ()
    question.answer("retry")
    lab.ask(lambda: None)
    assert run.exception(0) is not None


def test_a_timeout_of_the_step_does_not_strike_while_it_is_decided(lab: Lab, until: Until) -> None:
    @workflow
    def steps() -> Any:
        return pausing(Flaky(1), timeout=0.1)()

    run = lab.start(steps)
    (question,) = asked(lab)
    until(run, RunState.PAUSED)
    with pytest.raises(TimeoutError):
        run.result(0.3)
    lab.answer(question.id, "retry")
    assert run.result(5) == "measured"
    assert not isinstance(run.exception(0), RunTimeout)


def test_without_a_lab_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["perhaps", "yes"])
    shown: list[str] = []

    def read(text: str) -> str:
        shown.append(text)
        return next(typed)

    monkeypatch.setattr("builtins.input", read)
    assert mounted() == "yes"
    assert shown == ["Is the sample in? [yes/no] "] * 2
