"""A mailbox policy is a value: it refuses what contradicts itself, and makes the key of a call."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from actorlab.core.overflow import MailboxPolicy
from actorlab.errors import ConfigError


def test_a_number_is_the_bound_of_a_policy_that_blocks() -> None:
    assert MailboxPolicy.of(7) == MailboxPolicy(bound=7, overflow="block")
    policy = MailboxPolicy(overflow="reject")
    assert MailboxPolicy.of(policy) is policy
    assert MailboxPolicy() == MailboxPolicy(bound=1024, overflow="block", key=None)


def test_it_is_a_frozen_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MailboxPolicy().bound = 3  # type: ignore[misc]  # the test is that it can't be set
    assert len({MailboxPolicy(bound=2), MailboxPolicy(bound=2)}) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"bound": 0}, "bound is 0: give a whole number of calls, at least 1"),
        ({"bound": True}, "bound is True"),
        ({"bound": 2.5}, "bound is 2.5"),
        ({"overflow": "drop"}, "overflow is 'drop': it must be one of block, reject, drop_oldest, conflate"),
        ({"key": str}, 'a key means nothing to overflow="block": only "conflate" looks at keys'),
        ({"overflow": "conflate", "key": "name"}, "key is 'name': give a function"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MailboxPolicy(**given)
    assert why in str(caught.value)


def test_a_bound_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="bound is '8'"):
        MailboxPolicy.of("8")  # type: ignore[arg-type]  # the test is that it isn't accepted


def test_without_a_key_function_the_members_name_is_the_key() -> None:
    policy = MailboxPolicy(overflow="conflate")
    assert policy.key_of("channel[1].set_voltage", (3,)) == "channel[1].set_voltage"


def test_a_key_that_cannot_be_hashed_is_refused_with_what_it_was_made_of() -> None:
    policy = MailboxPolicy(overflow="conflate", key=lambda _, args: list(args))  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigError, match=r"the key of move is \[3\], which can't be hashed") as caught:
        policy.key_of("move", (3,))
    assert isinstance(caught.value.__cause__, TypeError)
