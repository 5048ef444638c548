"""The tables of a journal: everything that is on disk stands here."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

__all__ = [
    "APPLICATION",
    "VERSION",
    "blobs",
    "devices",
    "durations",
    "events",
    "inbox",
    "meta",
    "openings",
    "rows",
    "runs",
    "tables",
]

VERSION: Final = 1
"""The version of this schema; `migrations` leads from each older one to the next."""
APPLICATION: Final = 0x61_6C_61_62
"""What an SQLite file of ours says in its header of what it is: "alab"."""

tables: Final = MetaData()

meta: Final = Table(
    "meta",
    tables,
    Column("key", Text, primary_key=True),  # "application", "schema", "created"; "commits" counts the writer's
    Column("value", Text, nullable=False),
)

# One row for each time that a lab was opened on this journal. Without `ended` it is open, or has crashed.
openings: Final = Table(
    "openings",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("lab", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Double, nullable=False),  # seconds since 1970
    Column("monotonic", Double, nullable=False),  # the monotonic clock at that moment
    Column("about", Text, nullable=False),  # JSON: versions, durable or not, …
    Column("ended", Double),
)

# What `runs` lists: a projection of the events, kept up to date in the same transaction.
runs: Final = Table(
    "runs",
    tables,
    Column("id", Text, primary_key=True),  # "sweep#3": never used again
    Column("name", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),  # "task", "workflow", "service", "lease", …
    Column("parent", Text),
    Column("opening", Integer, nullable=False),  # in which it was created
    Column("state", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("ended", Double),
    Column("task", Text),  # "module:qualname"
    Column("asker", Text),
    Column("error", Text),  # in one line
    Column("about", Text, nullable=False),  # JSON: what else its "run" event says
    Index("runs_by_time", "created"),
    Index("runs_by_state", "state", "created"),
    Index("runs_by_name", "name", "number"),
    Index("runs_by_parent", "parent", "created"),
)

# The events of one run that were written together. Those of the lab itself have the run "".
events: Final = Table(
    "events",
    tables,
    Column("run", Text, primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),  # the numbers count through the whole journal
    Column("last", BigInteger, nullable=False),
    Column("opening", Integer, nullable=False),
    # JSON: {"kinds": [[kind, how often], …], "times": base64 of little-endian doubles: the opening's monotonic clock,
    #        "payloads": […], and if the numbers aren't all from `first` to `last`, "numbers": […]}
    Column("body", Text, nullable=False),
    Index("events_in_order", "first"),
)

# Recorded rows of one run and body that have the same columns and were written together.
rows: Final = Table(
    "rows",
    tables,
    Column("run", Text, primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),  # the rows of a run are numbered from 0
    Column("last", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("columns", Text, nullable=False),  # JSON: whose rows, and how each column lies in `data`
    Column("data", LargeBinary, nullable=False),
)

# Values that are too large to stand in an event, by their digest: equal ones are kept once.
blobs: Final = Table(
    "blobs",
    tables,
    Column("sha256", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON text
)

# How long steps took lately: what a rehearsal reckons with.
durations: Final = Table(
    "durations",
    tables,
    Column("task", Text, primary_key=True),
    Column("devices", Text, primary_key=True),  # their names, with commas
    Column("count", BigInteger, nullable=False),  # of all there ever were
    Column("seconds", Text, nullable=False),  # JSON: the latest ones, the newest last
)

# What is known of each device, as it was told last.
devices: Final = Table(
    "devices",
    tables,
    Column("name", Text, primary_key=True),
    Column("opening", Integer, nullable=False),
    Column("told", Double, nullable=False),
    Column("about", Text, nullable=False),  # JSON
)

# What other processes ask of the lab that writes here.
inbox: Final = Table(
    "inbox",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("asker", Text, nullable=False),
    Column("asked", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("answered", Double),
    Column("well", Boolean),
    Column("answer", Text),  # JSON
    Index("inbox_by_answer", "answered"),
    sqlite_autoincrement=True,
)
