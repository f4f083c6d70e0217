"""Jobs delete what they loaded and replace what they wrote, and nothing that came between: on servers of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from lakes import rows_of
from recording import Reply, Request, error, passing_to, recording

from s3conn_magic.errors import S3ConnError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakes import Lake
    from statements import Statements

_CONDITIONS = {"if-match", "if-none-match"}


def _keeping(lake: Lake, request: Request) -> Reply:
    return passing_to(lake.endpoint)(request)


def _ignoring(lake: Lake, request: Request) -> Reply:
    """A deletion's condition is signed, so what reaches the server is another request, without it."""
    if request.method == "DELETE" and "if-match" in request.headers:
        lake.client.delete_object(Bucket=lake.bucket, Key=request.path.partition(f"/{lake.bucket}/")[2])
        return Reply(204)
    return _keeping(lake, request)


def _refusing(status: int, code: str) -> Callable[[Lake, Request], Reply]:
    def answer(lake: Lake, request: Request) -> Reply:
        writes = request.method not in {"GET", "HEAD"}
        return error(status, code) if writes and _CONDITIONS & request.headers.keys() else _keeping(lake, request)

    return answer


def _only_bare(lake: Lake, request: Request) -> Reply:
    """It compares the text of If-Match with an etag without quotes, as Ceph does."""
    writes = request.method not in {"GET", "HEAD"}
    quoted = request.headers.get("if-match", "").startswith('"')
    return error(412, "PreconditionFailed") if writes and quoted else _keeping(lake, request)


SERVERS = {
    "keeps it": _keeping,
    "ignores it": _ignoring,
    "501": _refusing(501, "NotImplemented"),
    "400": _refusing(400, "InvalidArgument"),
    "405": _refusing(405, "MethodNotAllowed"),
    "bare etags": _only_bare,
}
NOTES = {
    "keeps it": "",
    "ignores it": "The server ignores If-Match of a deletion: each object was compared",
    "501": "The server refuses If-Match of a deletion (NotImplemented): each object was compared",
    "400": "The server refuses If-Match of a deletion (InvalidArgument): each object was compared",
    "405": "The server refuses If-Match of a deletion (MethodNotAllowed): each object was compared",
    "bare etags": "The server refuses If-Match of a deletion even though it matches: each object was compared",
}


class Between:
    """A server before the lake's, which does something when it has read `in/a.csv`, or before it makes an object."""

    def __init__(self, lake: Lake, how: str) -> None:
        self.lake, self.how = lake, how
        self.after_read: Callable[[], object] = lambda: None
        self.before_write: Callable[[], object] = lambda: None
        self.seen: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        """Answer."""
        self.seen.append(request)
        if request.method in {"PUT", "POST"} and "/out/" in request.path:
            self._once("before_write")
        reply = SERVERS[self.how](self.lake, request)
        if request.method == "GET" and request.path.endswith("/in/a.csv"):
            self._once("after_read")
        return reply

    def _once(self, name: str) -> None:
        do = getattr(self, name)
        setattr(self, name, lambda: None)
        do()


@pytest.fixture(params=SERVERS)
def between(request: pytest.FixtureRequest, moto_lake: Lake) -> Iterator[tuple[Between, Statements]]:
    """A server of each kind, and a session with the connection `lake` to it."""
    yield from _between(moto_lake, request.param)


@pytest.fixture
def on_rclone(rclone_lake: Lake) -> Iterator[tuple[Between, Statements]]:
    """Rclone, which ignores conditions by itself."""
    yield from _between(rclone_lake, "keeps it")


def _between(lake: Lake, how: str) -> Iterator[tuple[Between, Statements]]:
    assert lake.client  # of a session of its own
    found = Between(lake, how)
    with recording(found) as wire:
        run = lake.session()
        run(lake.connect.replace("CREATE", "CREATE OR REPLACE").replace(lake.endpoint, wire.endpoint))
        yield found, run


def _copy(lake: Lake) -> str:
    where = f"'s3://{lake.bucket}/in/'"
    return f"CREATE JOB j AS COPY FROM S3 lake LOCATION = {where} DELETE_FILES_AFTER_LOAD = TRUE INTO t"


def _insert(lake: Lake, query: str = "SELECT 1 AS a") -> str:
    where = f"'s3://{lake.bucket}/out/'"
    return f"CREATE JOB j AS INSERT INTO S3 lake LOCATION = {where} FILE_FORMAT = CSV COMPRESSION = NONE {query}"


def _loads_what_came_between(server: Between, run: Statements, note: str) -> None:
    lake = server.lake
    lake.put(a__csv="n\n1\n", b__csv="n\n2\n", c__csv="n\n3\n")
    server.after_read = lambda: lake.put(a__csv="n\n7\n8\n", b__csv="n\n9\n")
    said = str(run(_copy(lake)))
    # b.csv may have been asked for before it was replaced, or after: it was listed before, so that it fails then.
    left = lake.keys_below("in/")
    assert "in/a.csv" in left
    assert "in/c.csv" not in left
    assert "it was replaced after it was loaded" in said or "was changed while it was read" in said
    assert (note in said) if note else ("If-Match" not in said)
    failures = run("SHOW JOB j ERRORS").set_index("location")
    (reason,) = failures.loc[[f"s3://{lake.bucket}/in/a.csv"], "error"]
    assert reason.endswith("RUN JOB j; loads it.")
    run("RUN JOB j")
    assert rows_of(run) == [(3,), (7,), (8,), (9,)]
    assert lake.keys_below("in/") == []
    assert run("SHOW JOB j ERRORS")["resolved"].all()


def test_an_object_replaced_after_it_was_loaded_stays(between: tuple[Between, Statements]):
    """It is not deleted, is said, and the next run loads it as a new version of itself and deletes it."""
    server, run = between
    _loads_what_came_between(server, run, NOTES[server.how])


def test_an_object_replaced_after_it_was_loaded_stays_on_rclone(on_rclone: tuple[Between, Statements]):
    """The same on a real server that ignores the condition."""
    _loads_what_came_between(*on_rclone, NOTES["ignores it"])


def test_an_empty_object_that_is_filled_meanwhile_stays(between: tuple[Between, Statements]):
    """It is not read, and deleted by the etag it was listed with; what is left out for its name is never deleted."""
    server, run = between
    lake = server.lake
    lake.put(a__csv="n\n1\n", b__csv="", c__csv="", _d__csv="n\n4\n")
    server.after_read = lambda: lake.put(b__csv="n\n2\n")
    said = str(run(_copy(lake)))
    assert "Loaded 3 objects (1 row" in said
    assert "in/b.csv: it was replaced after it was loaded: the new object was not deleted" in said
    assert lake.keys_below("in/") == ["in/_d.csv", "in/b.csv"]
    run("RUN JOB j")
    assert rows_of(run) == [(1,), (2,)]
    assert lake.keys_below("in/") == ["in/_d.csv"]


def test_a_name_that_is_used_again_adds_its_rows(moto_lake: Lake):
    """Where files are deleted once loaded, each new file is new rows, with an old name or the old content."""
    lake, run = moto_lake, moto_lake.session()
    lake.put(a__csv="n\n1\n", b__csv="n\n2\n")
    run(_copy(lake))
    lake.put(a__csv="n\n3\n")
    run("RUN JOB j")
    lake.put(a__csv="n\n3\n", b__csv="n\n4\n")
    run("RUN JOB j")
    assert rows_of(run) == [(1,), (2,), (3,), (3,), (4,)]
    assert lake.keys_below("in/") == []
    sources = {one.partition("#")[0] for one in run('SELECT DISTINCT "$object" AS o FROM t')["o"]}
    assert sources == {f"s3://{lake.bucket}/in/{name}.csv" for name in "ab"}


def test_a_file_that_stayed_and_was_replaced_takes_the_place_of_its_own_rows_only(moto_lake: Lake):
    """Rows of an earlier file of that name, which is deleted, stay."""
    lake = moto_lake
    with recording(server := Between(lake, "keeps it")) as wire:
        run = lake.session()
        run(lake.connect.replace("CREATE", "CREATE OR REPLACE").replace(lake.endpoint, wire.endpoint))
        lake.put(a__csv="n\n1\n")
        run(_copy(lake))
        lake.put(a__csv="n\n2\n")
        server.after_read = lambda: lake.put(a__csv="n\n3\n")
        run("RUN JOB j")
        run("RUN JOB j")
    assert rows_of(run) == [(1,), (3,)]
    assert lake.keys_below("in/") == []


def test_an_object_that_vanished_meanwhile_is_no_failure(between: tuple[Between, Statements]):
    """What somebody else deleted after it was loaded is loaded, and that is all."""
    server, run = between
    lake = server.lake
    lake.put(a__csv="n\n1\n", b__csv="n\n2\n")
    server.after_read = lambda: lake.client.delete_object(Bucket=lake.bucket, Key="in/a.csv")
    assert "Loaded 2 objects (2 rows" in str(run(_copy(lake)))
    assert run("SHOW JOB j ERRORS").empty
    assert lake.keys_below("in/") == []


def test_what_could_not_be_deleted_is_deleted_by_the_next_run(moto_lake: Lake):
    """RUN JOB tries again, as the message says: nothing is loaded twice, and what was loaded is deleted then."""
    denied = Reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    ask = passing_to(moto_lake.endpoint)
    moto_lake.put(a__csv="n\n1\n", b__csv="n\n2\n")
    with recording(lambda one: denied if one.method == "DELETE" else ask(one)) as wire:
        run = moto_lake.session()
        run(moto_lake.connect.replace("CREATE", "CREATE OR REPLACE").replace(moto_lake.endpoint, wire.endpoint))
        assert "s3:DeleteObject is missing" in str(run(_copy(moto_lake)))
        assert len(moto_lake.keys_below("in/")) == 2
        wire.answer = ask
        assert "nothing new" in str(run("RUN JOB j"))
    assert moto_lake.keys_below("in/") == []
    assert rows_of(run) == [(1,), (2,)]
    assert run("SHOW JOB j ERRORS")["resolved"].all()


def test_deletions_on_a_condition_take_one_look(moto_lake: Lake):
    """A server that keeps the condition is found out by the first object; the others need no look."""
    server = Between(moto_lake, "keeps it")
    moto_lake.put(**{f"{at}__csv": "n\n1\n" for at in range(5)})
    with recording(server) as wire:
        run = moto_lake.session()
        run(moto_lake.connect.replace("CREATE", "CREATE OR REPLACE").replace(moto_lake.endpoint, wire.endpoint))
        run(_copy(moto_lake))
    assert [one.method for one in server.seen].count("HEAD") == 1
    assert [one.method for one in server.seen].count("DELETE") == 6
    assert moto_lake.keys_below("in/") == []


# INSERT


@pytest.mark.parametrize("rows", [1, 1_200_000], ids=["one request", "parts"])
def test_a_first_output_is_written_where_nothing_is(between: tuple[Between, Statements], rows: int):
    """Also where the server refuses the condition; then the result says that there was a look instead."""
    server, run = between
    said = str(run(_insert(server.lake, f"SELECT i FROM range({rows}) t(i)")))
    assert server.lake.body("out/j.csv").count(b"\n") >= rows
    assert ("refuses conditions of writes" in said) is server.how.isdigit()
    assert str(run("RUN JOB j")).startswith("Replaced ")
    assert not server.lake.unfinished


@pytest.mark.parametrize("first", [True, False], ids=["first", "replacing"])
@pytest.mark.parametrize("between", ["keeps it"], indirect=True)
def test_what_somebody_wrote_meanwhile_is_not_replaced(between: tuple[Between, Statements], first: bool):
    """Between the look and the write another writer may come: its object stays, and the run fails."""
    server, run = between
    _write_between(server, run, first=first)


@pytest.mark.parametrize("first", [True, False], ids=["first", "replacing"])
def test_what_somebody_wrote_while_parts_were_sent_is_not_replaced(between: tuple[Between, Statements], first: bool):
    """On every server there is a look before the end of an upload, however long its parts took."""
    server, run = between
    _write_between(server, run, first=first, rows=1_200_000)


def _write_between(server: Between, run: Statements, *, first: bool, rows: int = 1) -> None:
    lake, theirs = server.lake, {"Bucket": server.lake.bucket, "Key": "out/j.csv", "Body": b"theirs"}
    if not first:
        run(_insert(lake, f"SELECT i FROM range({rows}) t(i)"))
    server.before_write = lambda: lake.client.put_object(**theirs)
    error = run.fails("RUN JOB j" if not first else _insert(lake, f"SELECT i FROM range({rows}) t(i)"), S3ConnError)
    assert "was written in the meantime: nothing was replaced" in error.message
    assert lake.body("out/j.csv") == b"theirs"
    assert not lake.unfinished


def test_what_somebody_wrote_after_the_end_is_not_deleted(moto_lake: Lake):
    """An output that is replaced before it was read back is somebody else's: it stays, and the run says so."""
    ask = passing_to(moto_lake.endpoint)

    def answer(request: Request) -> Reply:
        reply = ask(request)
        if request.method == "PUT":
            moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="out/j.csv", Body=b"theirs")
        return reply

    with recording(answer) as wire:
        run = moto_lake.session()
        run(moto_lake.connect.replace("CREATE", "CREATE OR REPLACE").replace(moto_lake.endpoint, wire.endpoint))
        failed: Any = run.fails(_insert(moto_lake), S3ConnError)
    assert "was replaced by someone else" in failed.message
    assert failed.notes[-1] == "What is there now was written by someone else, and was kept."
    assert moto_lake.body("out/j.csv") == b"theirs"


def test_a_server_that_keeps_no_metadata_is_said_to_be_one(moto_lake: Lake):
    """The output is there and stays; the note says what a later run will say, and that is no word of others."""
    ask = passing_to(moto_lake.endpoint)

    def answer(request: Request) -> Reply:
        reply = ask(request)
        return replace(reply, headers={name: reply.headers[name] for name in reply.headers if "-meta-" not in name})

    with recording(answer) as wire:
        run = moto_lake.session()
        run(moto_lake.connect.replace("CREATE", "CREATE OR REPLACE").replace(moto_lake.endpoint, wire.endpoint))
        said = str(run(_insert(moto_lake)))
        failed: Any = run.fails("RUN JOB j", S3ConnError)
    assert "The server keeps no metadata" in said
    assert moto_lake.body("out/j.csv") == b"a\n1\n"
    assert "an object that the job did not write" in failed.message
