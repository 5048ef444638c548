"""A lab tells its emergency stop for as long as it is in force."""

from __future__ import annotations

import time

from actorlab import Lab


def test_a_lab_says_why_and_since_when_it_is_stopped_until_it_is_armed_again() -> None:
    with Lab() as lab:
        assert lab.stopped is None
        events = lab.events.subscribe(kinds=["emergency stop", "rearmed"], snapshot=False)
        before = time.time()
        lab.emergency_stop("smoke").result(5)
        stopped = lab.stopped
        assert stopped is not None
        assert stopped.reason == "smoke"
        assert before <= stopped.time <= time.time()
        lab.rearm()
        assert lab.stopped is None
        lab.rearm()  # it is armed: there is nothing more to tell
        told = [event.kind for event in iter(lambda: events.get(0.2), None)]
        assert told == ["emergency stop", "rearmed"]
