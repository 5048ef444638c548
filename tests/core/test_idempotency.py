"""A request with a key is done once, however often it is asked for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actorlab.core.idempotency import Asked, Begin, Differs, Done, Full, InHand

MOST = 3
SECONDS = 10.0
ASKERS = st.sampled_from(["ada", "bob"])
KEYS = st.sampled_from(["k1", "k2", "k3"])
DIGESTS = st.sampled_from(["x", "y"])


class Requests(RuleBasedStateMachine):
    """Ask, and let what was begun end, in any order; remember what was done by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Asked[int] = Asked(MOST, SECONDS)
        self.now = 0.0
        self.in_hand: dict[tuple[str, str], str] = {}
        self.done: dict[tuple[str, str], tuple[str, int, float]] = {}
        self.deeds = 0

    @rule(asker=ASKERS, key=KEYS, digest=DIGESTS)
    def ask(self, asker: str, key: str, digest: str) -> None:
        verdict = self.asked.ask(asker, key, digest, self.now)
        mine = asker, key
        kept = self.done.get(mine)
        if kept is not None and kept[2] + SECONDS <= self.now:
            kept = None
        if mine in self.in_hand:
            assert verdict == (InHand() if self.in_hand[mine] == digest else Differs())
        elif kept is not None:
            assert verdict == (Done(kept[1]) if kept[0] == digest else Differs())
        elif len(self.in_hand) == MOST:
            assert verdict == Full()
        else:
            assert verdict == Begin()
            self.done.pop(mine, None)
            self.in_hand[mine] = digest

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), well=st.booleans())
    def end(self, data: st.DataObject, well: bool) -> None:
        mine = data.draw(st.sampled_from(sorted(self.in_hand)))
        digest = self.in_hand.pop(mine)
        if not well:
            self.asked.failed(*mine)
            return
        self.deeds += 1
        self.asked.done(*mine, self.deeds, self.now)
        self.done[mine] = digest, self.deeds, self.now
        newest = sorted(self.done, key=lambda each: self.done[each][1])[-MOST:]
        self.done = {each: self.done[each] for each in newest}

    @rule(seconds=st.sampled_from([0.5, 4.0, SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.asked) <= 2 * MOST


TestRequests = Requests.TestCase


@given(st.lists(st.tuples(ASKERS, KEYS, DIGESTS, st.floats(0, 3)), max_size=40))
def test_nobody_gets_an_answer_to_something_else(requests: list[tuple[str, str, str, float]]) -> None:
    asked: Asked[Any] = Asked(100, SECONDS)
    now = 0.0
    for asker, key, digest, seconds in requests:
        now += seconds
        match asked.ask(asker, key, digest, now):
            case Begin():
                asked.done(asker, key, (asker, key, digest), now)
            case Done(answer):
                assert answer == (asker, key, digest)
            case other:
                assert other == Differs()
