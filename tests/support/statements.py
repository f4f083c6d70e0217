"""Sessions of their own for tests, and the text of statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from following import has_way_on

from s3conn_magic.errors import S3ConnError, StatementInterrupted
from s3conn_magic.sandbox import Sandbox
from s3conn_magic.session import Session
from s3conn_magic.session.inputs import KernelInputs

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.sandbox import Keys


class Statements:
    """A session whose Python variables are `names` and whose notes are kept in `notes`."""

    def __init__(self, **names: Any) -> None:
        self.names = names
        self.notes: list[str] = []
        self.session = Session(KernelInputs(lambda: self.names), start_server=Sandbox.start, note=self.notes.append)

    def all(self, text: str) -> list[Any]:
        """Every result of a text."""
        return list(self.session.run(text))

    def __call__(self, text: str) -> Any:
        """The last result of a text."""
        return self.all(text)[-1]

    def fails(self, text: str, kind: type[S3ConnError] = S3ConnError) -> Any:
        """The error of a text that must fail: it says what to do, and nothing of a library's is chained to it."""
        with pytest.raises(kind) as failed:
            self.all(text)
        assert failed.value.__cause__ is None
        assert failed.value.__context__ is None
        stopped = isinstance(failed.value, StatementInterrupted)
        assert stopped or has_way_on(failed.value.message, failed.value.hint), failed.value.block()
        return failed.value

    def connection(self, name: str) -> Connection:
        """A connection of the session."""
        return self.session.connections.get(name)

    @property
    def connections(self) -> list[str]:
        """Names of the session's connections."""
        return [one.name for one in self.session.connections]


def create(name: str, *, keys: Keys | None = None, **options: Any) -> str:
    """`CREATE S3 CONNECTION`, with a key pair where one is given; values are quoted, booleans and lists written out."""
    if keys:
        pair = {"AWS_ACCESS_KEY_ID": keys.access_key_id, "AWS_SECRET_ACCESS_KEY": keys.secret_access_key.reveal()}
        options = {**pair, **options}
    return f"CREATE S3 CONNECTION {name} " + " ".join(f"{option} = {_written(one)}" for option, one in options.items())


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_written, value))})"
    return "'" + value.replace("'", "''") + "'"
