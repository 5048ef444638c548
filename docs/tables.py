"""Write the tables of the documentation again: `python docs/tables.py`."""  # noqa: INP001 - a program

from __future__ import annotations

from pathlib import Path

from actorlab.config.schema import table_of_keys

PAGE = Path(__file__).resolve().with_name("configuration.md")
MARK = "<!-- made by actorlab.config.schema.table_of_keys -->\n\n"


def main() -> None:
    """Put the table of all keys of a lab's file to the end of its page."""
    text = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(text + MARK + table_of_keys(), encoding="utf-8")


if __name__ == "__main__":
    main()
