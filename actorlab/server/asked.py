"""Read what a client says on its WebSocket: what it wants to hear, and what no more."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from actorlab.errors import ConfigError

__all__ = ["EventsAsked", "LogAsked", "Said", "StreamAsked", "TokenSaid", "Unsubscribed", "said"]

Name = Annotated[str, Field(max_length=1000)]
Names = Annotated[list[Name], Field(max_length=1000)]


class Message(BaseModel):
    """A JSON object with known keys only."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TokenSaid(Message):
    """Who asks, said by those who can't send headers; the first message."""

    token: Name


class Subscription(Message):
    """What is sent because of it carries its id."""

    id: int | Annotated[str, Field(max_length=100)]


class EventsAsked(Subscription):
    """What happens in the lab is wanted, perhaps after an event that is known."""

    subscribe: Literal["events"]
    kinds: Names | None = None
    subjects: Names | None = None
    last_event_id: Annotated[str, Field(max_length=100)] | None = None


class StreamAsked(Subscription):
    """The items of a device's stream are wanted; of those that aren't read in time, the newest `buffer` are kept."""

    subscribe: Literal["stream"]
    device: Name
    stream: Name
    args: list[Any] = Field(default_factory=list)
    kwargs: dict[str, Any] = Field(default_factory=dict)
    buffer: Annotated[int, Field(ge=1, le=1000)] = 16
    lease: Name | None = None
    """The key of a lease, in whose name it is listened to."""


class LogAsked(Subscription):
    """The log of a run is wanted, from its newest lines on."""

    subscribe: Literal["log"]
    run: Name
    newest: Annotated[int, Field(ge=0, le=1000)] = 100


class Unsubscribed(Subscription):
    """It is wanted no more."""

    unsubscribe: Literal[True]


Said: TypeAlias = TokenSaid | EventsAsked | StreamAsked | LogAsked | Unsubscribed


def kind_of(message: Any) -> str:
    """Return what a message is about, by its keys."""
    if not isinstance(message, dict):
        return ""
    found = cast("dict[str, Any]", message)
    return next((key for key in ("token", "unsubscribe") if key in found), str(found.get("subscribe")))


READER: Final[TypeAdapter[Said]] = TypeAdapter(
    Annotated[
        Annotated[TokenSaid, Tag("token")]
        | Annotated[EventsAsked, Tag("events")]
        | Annotated[StreamAsked, Tag("stream")]
        | Annotated[LogAsked, Tag("log")]
        | Annotated[Unsubscribed, Tag("unsubscribe")],
        Discriminator(kind_of),
    ]
)


def said(text: str | bytes) -> Said:
    """Read a message.

    Raises:
        ConfigError: it is none; it says why, and repeats nothing of it, which may be a token.

    """
    try:
        return READER.validate_json(text)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        why = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found[:5])
        message = f"this message isn't understood: {why}"
    raise ConfigError(message)
