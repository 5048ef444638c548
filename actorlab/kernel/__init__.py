"""Carry messages: mailboxes, replies and actors, built on pykka."""

from actorlab.kernel.actor import Actor, Ask, Down, ThreadActor
from actorlab.kernel.mailbox import FAIR, Mailbox
from actorlab.kernel.message import HOLDER, OTHERS, SYSTEM, URGENT, Lane, Message, Stop
from actorlab.kernel.reply import FOREVER, Reply
from actorlab.kernel.rooms import Ticket

__all__ = [
    "FAIR",
    "FOREVER",
    "HOLDER",
    "OTHERS",
    "SYSTEM",
    "URGENT",
    "Actor",
    "Ask",
    "Down",
    "Lane",
    "Mailbox",
    "Message",
    "Reply",
    "Stop",
    "ThreadActor",
    "Ticket",
]
