"""Files over a connection: what is read, asked for, written and refused."""

from __future__ import annotations

import io
import random
import threading
from dataclasses import replace as changed_by

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from encrypted_parquet import encrypted
from recording import error, passing_to, recording
from served import Served, serving
from shelf import shelved
from statements import Statements, create

from s3conn_magic.errors import (
    AccessDeniedError,
    ConnectionNotFoundError,
    ObjectNotFoundError,
    QueryError,
    ReadOnlyConnectionError,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.objects.filesystem import ConnectionFileSystem
from s3conn_magic.objects.ranged import PART
from s3conn_magic.sandbox import EMPTY, LAKE

BODY = random.Random(3).randbytes(3 * PART + 77)
SSE_C = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HOSTILE = ("a//b", "with space", "per%20cent", "quest?ion", "ha#sh", "gl*b", "br[1]", "ümlaut/é", "' or 1=1 --")


def files_of(run: Statements) -> ConnectionFileSystem:
    return ConnectionFileSystem(
        lambda path: (
            run.session.connections.get(path.connection)
            if path.connection
            else run.session.connections.chosen(path.location)
        )
    )


def served_files(place):
    return ConnectionFileSystem(lambda _: place.connection)


@pytest.fixture
def run(sandbox):
    """A session with a connection to the sandbox, and one that may not write."""
    found = Statements()
    found(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    found(create("safe", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False, READ_ONLY=True))
    found("USE CONNECTION lake")
    return found


# Reading


@pytest.mark.parametrize("steps", [(1, 100, 5_000), (PART // 2, 3 * PART), (-1,)])
def test_a_file_reads_as_the_bytes_do(steps):
    """Any seeks and reads give what they give on the bytes, and nothing is received twice."""
    with serving(BODY) as place, served_files(place).open("s3://bucket/data") as file:
        plain, noise = io.BytesIO(BODY), random.Random(1)
        for at in range(24):
            if at % 3 == 0:
                offset = noise.randrange(len(BODY) + 10)
                assert file.seek(offset) == plain.seek(offset)
            count = noise.choice(steps)
            assert file.read(count) == plain.read(count)
            assert file.tell() == plain.tell()
        assert place.served.sent <= len(BODY)


def test_threads_read_one_file_side_by_side():
    """A seek counts for the thread that made it, so that seek and read need no lock around them."""
    wrong = []

    def work(file, seed):
        noise = random.Random(seed)
        for _ in range(12):
            at = noise.randrange(499_000)
            file.seek(at)
            if file.read(500) != BODY[at : at + 500]:
                wrong.append(at)

    with serving(BODY[:500_000]) as place, served_files(place).open("s3://bucket/data") as file:
        threads = [threading.Thread(target=work, args=(file, seed)) for seed in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
    assert wrong == []


def test_a_large_range_is_asked_for_by_several_requests_and_a_small_one_exactly():
    """What is there of a large range is not asked for again; a read somewhere in the middle asks for what it gives."""
    with serving(BODY) as place:
        files = served_files(place)
        with files.open("s3://bucket/data") as file:
            file.seek(PART)
            assert file.read(10) == BODY[PART : PART + 10]
        assert place.ranges == [f"bytes={PART}-{PART + 9}"]
        assert files.cat_file("s3://bucket/data", 1, 1 + 2 * PART) == BODY[1 : 1 + 2 * PART]
        assert sorted(place.ranges[1:]) == sorted([f"bytes=1-{PART - 1}", f"bytes={PART + 10}-{2 * PART}"])


def test_small_steps_from_the_beginning_are_read_ahead():
    """A stream in steps of 100 bytes takes a few requests, not thousands."""
    with serving(BODY[: PART + 5]) as place, served_files(place).open("s3://bucket/data") as file:
        assert b"".join(iter(lambda: file.read(100), b"")) == BODY[: PART + 5]
        assert len(place.ranges) < 12
        assert place.served.sent == PART + 5


def test_ranges_of_files_are_coalesced():
    """`cat_ranges` asks once for neighbours; bounds are those of slices; an error stands instead."""
    with serving(BODY) as place:
        files = served_files(place)
        found = files.cat_ranges(["bucket/data"] * 3, [0, 2_000, -5], [10, 2_010, None])
        assert found == [BODY[:10], BODY[2_000:2_010], BODY[-5:]]
        assert len(place.ranges) == 2
        (failed,) = files.cat_ranges(["s3://no/bucket name/x"], [0], [1])[:1]
        assert isinstance(failed, S3ConnError)


@pytest.mark.parametrize("heeded", [True, False], ids=["If-Match", "etag"])
def test_an_object_that_is_replaced_while_it_is_read_is_one_clear_error(heeded):
    """No bytes of two objects are ever mixed, whether the server heeds the condition or not."""

    def ignoring(asked, reply):
        return reply if heeded or reply.status != 412 else served.answer(changed_by(asked, headers=_without(asked)))

    served = Served(BODY, bend=ignoring)
    with serving(served) as place, served_files(place).open("s3://bucket/data") as file:
        file.read(10)
        place.served.body = served.body = BODY[::-1]
        place.recorder.answer = place.served.answer
        file.seek(2 * PART)
        with pytest.raises(S3ConnError, match="was changed while it was read"):
            file.read(10)


def _without(asked):
    return {name: value for name, value in asked.headers.items() if name != "if-match"}


def test_a_body_that_is_cut_short_is_asked_for_again():
    """One answer that ends early costs a request, not the query."""
    short = [True]

    def cut(asked, reply):
        if asked.method == "GET" and short:
            short.pop()
            return changed_by(reply, body=reply.body[:5])
        return reply

    with serving(Served(BODY, bend=cut)) as place:
        assert served_files(place).cat_file("bucket/data", 0, 10) == BODY[:10]
        assert len(place.ranges) >= 2


def test_a_query_sees_an_object_as_it_was_and_counts_what_came():
    """Within a query files share what was read; requests and bytes are those of the wire."""
    with serving(BODY) as place:
        files = served_files(place)
        with files.query() as reading:
            for _ in range(3):
                with files.open("s3://bucket/data") as file:
                    file.read(1_000)
            assert (reading.requests, reading.bytes) == (len(place.recorder.requests), place.served.sent)
            assert (len(place.recorder.requests), reading.connections) == (2, {"place"})


@pytest.mark.parametrize("footer", [True, False])
def test_an_encrypted_file_is_said_to_be(run, footer):
    """A query of a Parquet file whose columns are encrypted says that, and what can be done."""
    files, path = run.connection("lake").fsspec(), f"s3://{LAKE}/encrypted.parquet"
    files.pipe(path, encrypted("name", plaintext_footer=footer))
    try:
        with pytest.raises(QueryError, match="encrypted") as found:
            run(f"SELECT * FROM '{path}'")
    finally:
        files.rm(path)
    assert "PREVIEW" in found.value.hint


def test_a_query_that_is_stopped_reads_no_more():
    """Every read of it is refused, also by files that are open."""
    with serving(BODY) as place:
        files = served_files(place)
        with files.query() as reading, files.open("s3://bucket/data") as file:
            reading.stop()
            with pytest.raises(StatementInterrupted):
                file.read(10)
        assert place.ranges == []


def test_sse_c_and_requester_pays_go_with_every_request(sandbox):
    """Ranged GETs carry the key and the promise to pay."""
    with recording(Served(BODY).answer) as recorder:
        run = Statements()
        options = {"ENCRYPTION_CUSTOMER_MANAGED_KEY": SSE_C, "REQUESTER_PAYS": True, "VALIDATE": False}
        run(create("lake", keys=sandbox.admin, ENDPOINT=recorder.endpoint, **options))
        assert files_of(run).cat_file("s3://bucket/data", 5, 9) == BODY[5:9]
        assert [one.method for one in recorder.requests] == ["GET"]
        for one in recorder.requests:
            assert one.headers["x-amz-server-side-encryption-customer-key"] == SSE_C
            assert one.headers["x-amz-request-payer"] == "requester"


# Keys and connections


@pytest.mark.parametrize("key", HOSTILE)
def test_keys_are_exact(run, upstream, key):
    """Whatever a key holds, it is written, found, listed and read under exactly that name."""
    files = files_of(run)
    with run.connection("lake").fsspec().open(f"s3://{EMPTY}/{key}", "wb") as file:
        file.write(b"here")
    assert [one["Key"] for one in upstream.list_objects_v2(Bucket=EMPTY)["Contents"]] == [key]
    assert files.find(EMPTY) == files.glob(f"s3://{EMPTY}/{key}") == [f"{EMPTY}/{key}"]
    assert files.cat_file(f"s3://lake@{EMPTY}/{key}") == b"here"
    assert files.info(f"{EMPTY}/{key}")["size"] == 4


def test_a_pattern_is_a_pattern_unless_only_the_key_itself_fits(run, upstream):
    """`[*]` is the character; a key that is itself a pattern is found where the pattern finds nothing."""
    for key in ("x/a1.csv", "x/a[1].csv", "x/b*.csv", "x/deep/c.csv", "x/"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"" if key.endswith("/") else b"1")
    files = files_of(run)

    def matched(pattern):
        return [name.removeprefix(f"{EMPTY}/x/") for name in files.glob(f"s3://{EMPTY}/x/{pattern}")]

    assert matched("a[1].csv") == ["a1.csv"]
    assert matched("a[[]1].csv") == ["a[1].csv"]
    assert matched("b[*].csv") == ["b*.csv"]
    assert matched("*.csv") == ["a1.csv", "a[1].csv", "b*.csv"]
    assert matched("**/*.csv") == matched("**") == ["a1.csv", "a[1].csv", "b*.csv", "deep/c.csv"]
    assert matched("nothing[1") == matched("nothing*") == []
    upstream.delete_object(Bucket=EMPTY, Key="x/a1.csv")
    assert matched("a[1].csv") == ["a[1].csv"]


def test_folders_are_listed_as_fsspec_does(run):
    """`ls` gives one level, `find` all below, `info` a folder for what others are below."""
    files = files_of(run)
    assert f"{LAKE}/sales" in files.ls(f"s3://{LAKE}", detail=False)
    assert files.info(f"{LAKE}/sales")["type"] == "directory"
    assert files.isdir(f"{LAKE}/sales/")
    below = files.find(f"{LAKE}/events", withdirs=True, detail=True)
    assert below[f"{LAKE}/events/year=2026"]["type"] == "directory"
    assert len(files.find(f"{LAKE}/events", maxdepth=1)) == 0
    with pytest.raises(FileNotFoundError) as missing:
        files.info(f"{LAKE}/nothing")
    assert isinstance(missing.value, ObjectNotFoundError)


def test_a_path_names_its_connection(run):
    """`name@` goes through that connection; one that is not there is said so."""
    files = files_of(run)
    with pytest.raises(ConnectionNotFoundError, match="there is no connection nobody"):
        files.open(f"s3://nobody@{LAKE}/README.txt")
    assert files.cat_file(f"s3://safe@{LAKE}/README.txt") == files.cat_file(f"s3://{LAKE}/README.txt")


def test_errors_keep_their_class(run, sandbox):
    """What S3 refuses is the error that a statement would give."""
    ask = passing_to(sandbox.endpoint)
    with recording(lambda one: error(403, "AccessDenied") if one.method == "GET" else ask(one)) as recorder:
        run(create("shut", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False))
        with pytest.raises(AccessDeniedError, match="s3:GetObject"):
            files_of(run).cat_file(f"s3://shut@{LAKE}/README.txt")


# Writing


def test_a_file_is_there_when_it_is_closed_and_not_before(run, upstream):
    """A large file is written by parts and shows up whole; a small one by one request."""
    files = run.connection("lake").fsspec()
    with files.open(f"s3://{EMPTY}/big", "wb") as file:
        for _ in range(4):
            file.write(b"x" * 5_000_000)
        assert upstream.list_objects_v2(Bucket=EMPTY).get("Contents") is None
        assert len(upstream.list_multipart_uploads(Bucket=EMPTY)["Uploads"]) == 1
    assert files.info(f"{EMPTY}/big")["size"] == 20_000_000
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")
    files.pipe_file(f"{EMPTY}/none", b"")
    assert files.cat_file(f"{EMPTY}/none") == b""


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_an_error_in_the_block_leaves_nothing(run, upstream, size):
    """Neither an object nor parts."""

    def fail():
        with run.connection("lake").fsspec().open(f"s3://{EMPTY}/half", "wb") as file:
            file.write(b"x" * size)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    _nothing_in(upstream)


def test_a_transaction_is_all_or_none(run, upstream):
    """Files that were closed in it are there when its block ends well, and gone when it does not."""
    files = run.connection("lake").fsspec()

    def fail():
        with files.transaction:
            files.pipe_file(f"{EMPTY}/one", b"1")
            files.pipe_file(f"{EMPTY}/two", b"x" * 9_000_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    _nothing_in(upstream)
    with files.transaction:
        files.pipe_file(f"{EMPTY}/one", b"1")
        assert files.find(EMPTY) == []
    assert files.find(EMPTY) == [f"{EMPTY}/one"]


def _nothing_in(upstream):
    assert upstream.list_objects_v2(Bucket=EMPTY).get("Contents") is None
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


@pytest.mark.usefixtures("upstream")
def test_copies_and_deletions(run):
    """A copy has the bytes; a deletion takes what it is told and no more."""
    files = run.connection("lake").fsspec()
    for name in ("a/1", "a/2", "ab"):
        files.pipe_file(f"{EMPTY}/{name}", name.encode())
    files.cp_file(f"{EMPTY}/ab", f"{EMPTY}/c")
    files.cp_file(f"s3://{EMPTY}/ab", f"{EMPTY}/d")
    files.rm(f"{EMPTY}/a", recursive=True)
    assert files.find(EMPTY) == [f"{EMPTY}/{name}" for name in ("ab", "c", "d")]
    assert files.cat_file(f"{EMPTY}/d") == files.cat_file(f"{EMPTY}/c") == b"ab"


def test_a_read_only_connection_writes_nothing_and_sends_nothing(sandbox):
    """Every way to write is refused before a request."""
    with recording(passing_to(sandbox.endpoint)) as recorder:
        run = Statements()
        run(create("safe", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False, READ_ONLY=True))
        files = run.connection("safe").fsspec()
        for write in (
            lambda: files.open(f"{EMPTY}/x", "wb"),
            lambda: files.pipe_file(f"{EMPTY}/x", b"1"),
            lambda: files.rm(f"{EMPTY}/x", recursive=True),
            lambda: files.rm_file(f"{EMPTY}/x"),
            lambda: files.cp_file(f"{LAKE}/README.txt", f"{EMPTY}/x"),
        ):
            with pytest.raises(ReadOnlyConnectionError):
                write()
        assert recorder.requests == []


@pytest.mark.usefixtures("upstream")
def test_what_is_written_is_encrypted_as_the_connection_says(sandbox):
    """The KMS key stands on the request that makes the object."""
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    with recording(passing_to(sandbox.endpoint)) as recorder:
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False, ENCRYPTION_KMS_KEY=key))
        run.connection("lake").fsspec().pipe_file(f"{EMPTY}/k", b"x" * 9_000_000)
        (made,) = [one for one in recorder.requests if one.method == "POST" and "uploads" in one.query]
        assert made.headers["x-amz-server-side-encryption-aws-kms-key-id"] == key


@pytest.mark.usefixtures("upstream")
def test_other_libraries_read_through_it(run):
    """Pandas reads and writes files through the filesystem."""
    files = run.connection("lake").fsspec()
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})
    frame.to_parquet(f"s3://{EMPTY}/f.parquet", filesystem=files)
    assert pd.read_parquet(f"s3://{EMPTY}/f.parquet", filesystem=files).equals(frame)


# What comes between


@pytest.fixture
def racing(sandbox, upstream):
    """Files of the sandbox, and a dictionary of what to do when a copy or a read was answered."""
    between, ask = {}, passing_to(sandbox.endpoint)

    def answer(request):
        reply = ask(request)
        if request.method in between and "/new" not in request.path.partition("?")[0]:
            between.pop(request.method)()
        elif request.method == "PUT" and "copy" in between:
            between.pop("copy")()
        return reply

    with recording(answer) as recorder:
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=recorder.endpoint, VALIDATE=False))
        yield run.connection("lake").fsspec(), between, upstream


def test_what_is_moved_is_deleted_as_it_was_copied(racing):
    """An object that is replaced while it is moved stays; the copy is of the former one, and the error says it."""
    files, between, upstream = racing
    for key in ("d/a", "d/b"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"one")
    between["copy"] = lambda: upstream.put_object(Bucket=EMPTY, Key="d/a", Body=b"two")
    with pytest.raises(S3ConnError, match="d/a was replaced while it was moved"):
        files.mv(f"{EMPTY}/d", f"{EMPTY}/new", recursive=True)
    found = {key: upstream.get_object(Bucket=EMPTY, Key=key)["Body"].read() for key in ("d/a", "new/a", "new/b")}
    assert found == {"d/a": b"two", "new/a": b"one", "new/b": b"one"}
    assert files.find(f"{EMPTY}/d") == [f"{EMPTY}/d/a"]


def test_a_folder_and_an_object_are_moved(racing):
    """Every name for it moves: the objects are at the new place, and none is at the old one."""
    files, _, upstream = racing
    upstream.put_object(Bucket=EMPTY, Key="d/e/a", Body=b"one")
    files.mv(f"{EMPTY}/d", f"{EMPTY}/f", recursive=True)
    files.rename(f"{EMPTY}/f/e/a", f"{EMPTY}/g")
    files.move(f"{EMPTY}/g", f"{EMPTY}/h")
    assert files.find(EMPTY) == [f"{EMPTY}/h"]
    assert files.cat_file(f"{EMPTY}/h") == b"one"


def test_a_move_from_a_read_only_connection_sends_nothing(run):
    """It could not delete what it has copied, so it copies nothing."""
    with pytest.raises(ReadOnlyConnectionError):
        run.connection("safe").fsspec().mv(f"{LAKE}/README.txt", f"{EMPTY}/new")
    assert run.connection("lake").fsspec().find(EMPTY) == []


@pytest.mark.parametrize("write", ["pipe_file", "put_file", "open"])
def test_an_object_is_created_where_none_is(racing, tmp_path, write):
    """By the mode `create`, or `xb`, an object that was written meanwhile is not replaced."""
    files, _, upstream = racing
    (tmp_path / "local").write_bytes(b"mine")
    path = f"{EMPTY}/x"

    def create_it():
        if write == "pipe_file":
            files.pipe_file(path, b"mine", mode="create")
        elif write == "put_file":
            files.put_file(str(tmp_path / "local"), path, mode="create")
        else:
            with files.open(path, "xb") as file:
                file.write(b"mine")

    create_it()
    assert files.cat_file(path) == b"mine"
    upstream.put_object(Bucket=EMPTY, Key="x", Body=b"theirs")
    files.exists = lambda *_, **__: False  # another writer came after the look
    with pytest.raises(S3ConnError, match="nothing was replaced"):
        create_it()
    assert files.cat_file(path) == b"theirs"


def test_a_local_file_is_whole_or_stays_as_it_was(racing, tmp_path):
    """An object that is replaced while it is downloaded leaves the local file as it was, and no other."""
    files, between, upstream = racing
    local = tmp_path / "sub" / "file"
    upstream.put_object(Bucket=EMPTY, Key="large", Body=BODY)
    files.get_file(f"{EMPTY}/large", str(local))
    assert local.read_bytes() == BODY
    between["GET"] = lambda: upstream.put_object(Bucket=EMPTY, Key="large", Body=BODY[:-1] + b"!")
    with pytest.raises(S3ConnError, match="was changed while it was read"):
        files.get_file(f"{EMPTY}/large", str(local))
    assert local.read_bytes() == BODY
    assert list(local.parent.iterdir()) == [local]
    upstream.put_object(Bucket=EMPTY, Key="large", Body=b"short")
    files.get(f"{EMPTY}/large", str(local))
    assert local.read_bytes() == b"short"


@pytest.mark.parametrize("files", [2, 90])
@pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
def test_what_a_pattern_has_matched_is_listed_once(files, ending):
    """However many objects there are, whatever is asked of each: the listing, and a look for lake tables around it."""
    made = {
        "parquet": lambda number: _parquet(pa.table({"n": [number]})),
        "csv": lambda number: b"n,t\n%d,x\n" % number,
        "json": lambda number: b'{"n": %d}\n' % number,
    }[ending]
    with shelved("lake") as (shelf, recorder):
        shelf.buckets["lake"] = {f"p/{number:03}.{ending}": made(number) for number in range(files)}
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up"}
        run(create("c", ENDPOINT=recorder.endpoint, REGION="us-east-1", VALIDATE=False, **pair))
        assert run(f"SELECT sum(n) FROM 's3://lake/p/*.{ending}'").iloc[0, 0] == sum(range(files))
        assert sum("list-type" in request.query for request in recorder.requests) <= 3
        assert len(recorder.requests) <= files + 3


def _parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
