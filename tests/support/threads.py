"""Many threads of `execute` in one session, each with statements of its own and of all, and what they see.

    python tests/support/threads.py --threads 16 --seconds 60 --seed 1

runs them against `rclone serve s3` on 127.0.0.1 and prints how often each statement was right, ended in an error that
says that another thread was there first, or was wrong. A thread that is stuck is named, with where it stands.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import pandas as pd
import pyarrow as pa
import pytest

import s3conn_magic
from s3conn_magic import execute
from s3conn_magic.errors import InternalError, S3ConnError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from servers import RcloneServer

_ORDERS = "s3://lake@acme-lake/orders/"
_STUCK = 60.0
BEATEN = ("already exists", "no table", "no connection", "no job", "does not exist", "meanwhile", "was dropped")
"""What an error says of a name that another thread has made or dropped in between."""


@dataclass
class Crowd:
    """What all threads know.

    Attributes:
        rows: of the orders, by the name of their object.
        seconds: how long they go on.
        wrong: what should not have been.
    """

    rows: dict[str, int]
    seconds: float
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def run(self, threads: int, seed: int = 1, actions: Iterable[str] = ()) -> None:
        """Have that many threads do what they choose, and wait for them."""
        end = time.monotonic() + self.seconds
        chosen = {name: one for name, one in ACTIONS.items() if not actions or name in actions}
        members = [
            threading.Thread(target=self._go_on, args=(Member(self, at, random.Random(seed * 1000 + at)), chosen, end))
            for at in range(threads)
        ]
        for one in members:
            one.daemon = True
            one.start()
        for one in members:
            one.join(max(0.0, end - time.monotonic()) + _STUCK)
            if one.is_alive():
                stack = traceback.format_stack(sys._current_frames()[one.ident or 0])
                self.wrong.append(f"{one.name} is stuck at\n{''.join(stack[-4:])}")

    def _go_on(self, member: Member, actions: dict[str, Callable[[Member], None]], end: float) -> None:
        while time.monotonic() < end:
            name = member.random.choice(list(actions))
            outcome = "right"
            try:
                actions[name](member)
            except S3ConnError as error:
                outcome = "beaten"
                if isinstance(error, InternalError) or not any(one in error.message for one in BEATEN):
                    outcome = "wrong"
                    self.wrong.append(f"{name}: {error.block()}")
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                outcome = "wrong"
                self.wrong.append(f"{name}: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}")
            self.seen[name, outcome] += 1


@dataclass
class Member:
    """One thread: its number, and its own dice."""

    crowd: Crowd
    number: int
    random: random.Random

    def own(self, name: str) -> str:
        """A name that no other thread has."""
        return f"{name}_{self.number}"


def _is(found: Any, wanted: Any) -> None:
    assert found == wanted, f"{found!r} in place of {wanted!r}"


def _value(text: str) -> Any:
    return execute(text).iloc[0, 0]


def _last_result(member: Member) -> None:
    number = member.random.randrange(10**9)
    _is(_value(f"SELECT {number + 1}; SELECT {number}"), number)


def _frame(member: Member) -> None:
    import __main__

    length = member.random.randrange(1, 2000)
    setattr(__main__, member.own("frame"), pd.DataFrame({"x": range(length)}))
    setattr(__main__, member.own("arrow"), pa.table({"x": range(length)}))
    for kind in ("frame", "arrow"):
        _is(_value(f"SELECT sum(x) FROM {member.own(kind)}"), length * (length - 1) // 2)


def _objects(member: Member) -> None:
    name, count = member.random.choice(list(member.crowd.rows.items()))
    _is(_value(f"SELECT count(*) FROM '{_ORDERS}{name}'"), count)


def _pattern(member: Member) -> None:
    frame = execute(f"SELECT count(*) AS n, count(DISTINCT filename) AS f FROM read_csv('{_ORDERS}*.csv', filename=1)")
    _is((frame["n"][0], frame["f"][0]), (sum(member.crowd.rows.values()), len(member.crowd.rows)))


def _own_table(member: Member) -> None:
    table, length = member.own("t"), member.random.randrange(1, 5000)
    execute(f"CREATE OR REPLACE TABLE {table} AS SELECT range AS x, {member.number} AS owner FROM range({length})")
    frame = execute(f"SELECT count(*) AS n, max(owner) AS owner FROM {table}")
    _is((frame["n"][0], frame["owner"][0]), (length, member.number))
    if member.random.random() < 0.3:
        execute(f"DROP TABLE {table}")


def _shared_table(member: Member) -> None:
    number = member.random.randrange(1, 1000)
    made = member.random.choice(["CREATE TABLE", "CREATE OR REPLACE TABLE"])
    execute(f"{made} shared AS SELECT {number} AS owner, range AS x FROM range({number})")
    # Whoever's it is by now, it is whole.
    frame = execute("SELECT count(*) AS n, min(owner) AS low, max(owner) AS high FROM shared")
    _is((frame["n"][0], frame["low"][0]), (frame["high"][0], frame["high"][0]))


def _shared_drop(member: Member) -> None:
    del member
    execute("DROP TABLE shared")


def _over_files(member: Member) -> None:
    name, count = member.random.choice(list(member.crowd.rows.items()))
    table = member.own("v")
    execute(f"CREATE OR REPLACE TABLE {table} LOCATION = '{_ORDERS.replace('lake@', '')}{name}' USING lake")
    _is(_value(f"SELECT count(*) FROM {table}"), count)


def _copy(member: Member) -> None:
    job, table = member.own("load"), member.own("loaded")
    where = "LOCATION = 's3://acme-lake/orders/'"
    try:
        execute(f"CREATE JOB {job} CONTENT_TYPE = CSV AS COPY FROM S3 lake {where} INTO {table}; RUN JOB {job}")
        _is(_value(f"SELECT count(*) FROM {table}"), sum(member.crowd.rows.values()))
    finally:
        with suppress(S3ConnError):
            execute(f"DROP JOB {job}; DROP TABLE {table}")


def _insert(member: Member) -> None:
    job, number = member.own("write"), member.random.randrange(10**9)
    where = f"s3://acme-empty/{job}/"
    execute(f"CREATE JOB {job} AS INSERT INTO S3 lake LOCATION = '{where}' SELECT {number} AS x; DROP JOB {job}")
    _is(_value(f"SELECT x FROM '{where.replace('s3://', 's3://lake@')}{job}.parquet'"), number)


def _show(member: Member) -> None:
    what = member.random.choice(["TABLES", "JOBS", "CONNECTIONS", "SETTINGS"])
    frame = execute(f"SHOW {what}")
    names = list(frame[frame.columns[0]])
    _is(len(set(names)), len(names))
    assert "lake" in names or what != "CONNECTIONS"


def _list(member: Member) -> None:
    frame = execute("LIST 's3://acme-lake/orders/' USING lake")
    _is({key.rpartition("/")[2] for key in frame["key"]}, set(member.crowd.rows))


def _alter(member: Member) -> None:
    execute(f"ALTER S3 CONNECTION scratch SET COMMENT = 'by {member.number}' VALIDATE = FALSE")
    frame = execute("DESCRIBE CONNECTION scratch")
    assert any(str(one).startswith("by ") for one in frame.to_numpy().ravel())


def _connections(member: Member) -> None:
    name = member.random.choice([member.own("c"), "common"])
    pair = "AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = 'example'"
    execute(f"CREATE S3 CONNECTION {name} {pair} ENDPOINT = 'http://127.0.0.1:9' VALIDATE = FALSE")
    execute(f"DROP CONNECTION {name}")


def _set(member: Member) -> None:
    number = member.random.randrange(2, 32)
    execute(f"SET CONNECTIONS = {number}; SET PROGRESS = FALSE")


def _fails(member: Member) -> None:
    wrong = {
        "SELECT * FROM nowhere_at_all": "does not exist",
        "SELECT 'x'::INTEGER": "Could not convert",
        f"CREATE TABLE {member.own('never')} AS SELECT * FROM '{_ORDERS}nothing.csv'": "nothing.csv",
        f"SELECT count(*) FROM '{_ORDERS}no*.parquet'": "no object matches",
    }
    text = member.random.choice(list(wrong))
    with pytest.raises(S3ConnError, match=wrong[text]):
        execute(text)


ACTIONS: dict[str, Callable[[Member], None]] = {
    "the last of two": _last_result,
    "SELECT of a Python frame": _frame,
    "SELECT of an object": _objects,
    "SELECT of a pattern": _pattern,
    "CREATE TABLE, its own": _own_table,
    "CREATE TABLE, of all": _shared_table,
    "DROP TABLE, of all": _shared_drop,
    "CREATE TABLE over files": _over_files,
    "COPY": _copy,
    "INSERT": _insert,
    "SHOW": _show,
    "LIST": _list,
    "ALTER": _alter,
    "CREATE and DROP CONNECTION": _connections,
    "SET": _set,
    "what fails": _fails,
}


def prepared(server: RcloneServer, seconds: float) -> Crowd:
    """A crowd whose session has its connections, and whose server has the orders."""
    from boto_clients import client

    s3, rows = client("s3", server.endpoint, server.keys), {f"{at}.csv": at * 7 + 1 for at in range(5)}
    for name, count in rows.items():
        lines = "".join(f"{at},{name}\n" for at in range(count))
        s3.put_object(Bucket="acme-lake", Key=f"orders/{name}", Body=f"n,name\n{lines}".encode())
    pair = f"AWS_ACCESS_KEY_ID = '{server.keys.access_key_id}'"
    pair += f" AWS_SECRET_ACCESS_KEY = '{server.keys.secret_access_key.reveal()}'"
    for name in ("lake", "scratch"):
        execute(f"CREATE S3 CONNECTION {name} {pair} ENDPOINT = '{server.endpoint}' VALIDATE = FALSE")
    return Crowd(rows, seconds)


def left() -> list[str]:
    """What the session's own threads, transactions and tables should not be, once all is over; empty for nothing."""
    found = []
    end = time.monotonic() + 10
    while (names := [one.name for one in threading.enumerate() if one.name == "s3conn-duckdb"]) and (
        time.monotonic() < end
    ):
        time.sleep(0.05)
    found += names
    execute("CREATE OR REPLACE TABLE after_all AS SELECT 42 AS x")
    found += [] if _value("SELECT x FROM after_all") == 42 else ["a wrong answer"]
    tables = execute("SELECT table_name FROM duckdb_tables() WHERE ends_with(table_name, ' (being made)')")
    return found + list(tables["table_name"])


def main() -> None:
    """Run, and print."""
    from servers import RcloneServer

    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--threads", type=int, default=16)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RcloneServer.start(Path(folder) / "buckets")
        try:
            crowd = prepared(server, given.seconds)
            crowd.run(given.threads, given.seed)
            crowd.wrong += left()
        finally:
            server.stop()
    for name in ACTIONS:
        counts = ", ".join(f"{crowd.seen[name, one]:5} {one}" for one in ("right", "beaten", "wrong"))
        print(f"{name:28} {counts}")
    print("\n".join(dict.fromkeys(crowd.wrong)) or "nothing was wrong")
    s3conn_magic._sessions.clear()
    sys.exit(bool(crowd.wrong))


if __name__ == "__main__":
    main()
