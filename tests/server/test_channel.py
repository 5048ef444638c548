"""Whatever one thread tells reaches all readers, however it falls together with their being woken."""

from __future__ import annotations

import asyncio
import threading

from actorlab.server.channel import SOME, Channel

PATIENCE = 5.0
READERS = 5 * SOME + 1
ITEMS = 300


async def hear(channel: Channel[int], heard: list[int]) -> None:
    """Read until nothing comes any more."""
    place = 0
    while True:
        await channel.news(place)
        read = channel.read(place, 1_000)
        assert not read.missed
        heard += [kept.item for kept in read.items]
        if not read.items and channel.over:
            return
        place = read.place


async def told_and_heard(channel: Channel[int], teller: threading.Thread) -> list[list[int]]:
    heard: list[list[int]] = [[] for _ in range(READERS)]
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as readers:
        for mine in heard:
            readers.create_task(hear(channel, mine))
        await asyncio.sleep(0)
        teller.start()
    return heard


def test_all_readers_hear_everything_while_it_is_told() -> None:
    channel: Channel[int] = Channel(ITEMS, 10**6)

    def tell() -> None:
        for number in range(ITEMS):
            channel.put(number, number, 1)
            channel.wake()
        channel.end()

    teller = threading.Thread(target=tell)
    heard = asyncio.run(told_and_heard(channel, teller))
    teller.join(PATIENCE)
    assert heard == [list(range(ITEMS))] * READERS


async def last_word(channel: Channel[int]) -> None:
    """Tell a second thing when some have been woken for the first, and others not yet."""
    heard = [0] * READERS
    some = asyncio.Event()

    async def listen(which: int) -> None:
        while heard[which] < 2:
            await channel.news(heard[which])
            heard[which] = channel.read(heard[which], 1_000).place
            some.set()

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as readers:
        for which in range(READERS):
            readers.create_task(listen(which))
        await asyncio.sleep(0)
        channel.put(1, 1, 1)
        channel.wake()
        await some.wait()
        assert not all(heard)
        channel.put(2, 2, 1)
        channel.wake()


def test_what_is_told_while_readers_are_being_woken_reaches_those_too_who_were_woken_before() -> None:
    asyncio.run(last_word(Channel(10, 10**6)))


async def read_alike(channel: Channel[int]) -> list[str]:
    made: list[str] = []

    def make(what: str) -> str:
        made.append(what)
        return what

    for _ in range(3):
        assert channel.alike("a", lambda: make("a")) == "a"
        assert channel.alike("b", lambda: make("b")) == "b"
    channel.put(1, 1, 1)
    assert channel.alike("a", lambda: make("anew")) == "anew"
    return made


def test_what_several_read_alike_is_made_once_until_more_is_told() -> None:
    assert asyncio.run(read_alike(Channel(10, 10**6))) == ["a", "b", "anew"]
