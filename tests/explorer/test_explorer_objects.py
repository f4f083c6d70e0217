"""The panel, links, downloads, uploads and deletions of an explorer over the sandbox, without a browser."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from boto_clients import client
from page import Page
from pyarrow import feather, orc
from recording import error, passing_to
from statements import Statements, create
from synthetic import Behaviour, ObjectConnection, StoredBucket

from s3conn_magic.errors import ReadOnlyConnectionError, S3ConnError
from s3conn_magic.explorer import Children, Through, TreeEntry, transfers
from s3conn_magic.explorer.connections import ConnectionChildren, ConnectionObjects
from s3conn_magic.explorer.details import CodeSubject, cells, snippets
from s3conn_magic.explorer.tasks import DELETE_AT_MOST
from s3conn_magic.explorer.tree import Rows
from s3conn_magic.locations import Location
from s3conn_magic.objects import deleting, uploads
from s3conn_magic.objects.requests import presign
from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE, ODD, Keys
from s3conn_magic.secrets import Secret

CUSTOMER_KEY = base64.b64encode(bytes(range(32))).decode()
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def keys(upstream):
    return [one["Key"] for one in upstream.list_objects_v2(Bucket=EMPTY).get("Contents", [])]


# The panel


def test_the_panel_tells_what_an_object_is_and_what_is_in_it(explore):
    """Facts, metadata, tags and the first rows come one after the other, with the cost of reading them."""
    page = explore(f"s3://{LAKE}/sales/").show("customers.csv")
    head, details, preview = (page.last(kind) for kind in ("panel", "details", "preview"))
    assert (head["uri"], head["arn"]) == (
        f"s3://{LAKE}/sales/customers.csv",
        f"arn:aws:s3:::{LAKE}/sales/customers.csv",
    )
    facts = dict(details["facts"])
    assert facts["Storage class"] == "STANDARD"
    assert facts["Size"].endswith("bytes)")
    assert preview["kind"] == "table"
    assert len(preview["table"]["rows"]) == 100
    assert re.search(r"read [\d.]+ kB in \d request", preview["summary"])


def test_tags_are_told(explore):
    """The tags of an object are among its details."""
    page = explore(f"s3://{LAKE}/").show("README.txt")
    assert page.last("details")["tags"]


def test_an_image_comes_in_pieces(explore, upstream):
    """A picture's bytes arrive in buffers that put together are the object."""
    page = explore(f"s3://{LAKE}/reports/").show("revenue.png")
    exact = upstream.get_object(Bucket=LAKE, Key="reports/revenue.png")["Body"].read()
    page.until(lambda one: one["type"] == "image" and one["at"] + len(one["buffers"][0]) == one["total"])
    pieces = [one for one in page.got if one["type"] == "image"]
    assert b"".join(bytes(one["buffers"][0]) for one in pieces) == exact
    assert pieces[0]["mime"] == "image/png"


def test_a_version_has_a_preview_of_its_own(explore, upstream):
    """Each version can be chosen; what is shown then is that version's content."""
    key = next(one["Key"] for one in upstream.list_objects_v2(Bucket=ARCHIVE)["Contents"])
    listed = upstream.list_object_versions(Bucket=ARCHIVE, Prefix=key)["Versions"]
    folder, _, name = key.rpartition("/")
    page = explore(f"s3://{ARCHIVE}/{folder}/").show(name)
    versions = page.last("details")["versions"]
    assert [one["id"] for one in versions] == [one["VersionId"] for one in listed]
    old = next(one for one in versions if not one["latest"])
    page.got.clear()
    page.do("version", id=old["id"])
    page.until(lambda one: one["type"] == "preview" and not one.get("busy"))
    shown = page.last("preview")["text"]
    assert shown == upstream.get_object(Bucket=ARCHIVE, Key=key, VersionId=old["id"])["Body"].read().decode()
    assert all(old["id"] in code for _, code in page.last("panel")["snippets"])


def test_what_cannot_be_read_is_said_and_asked_again(explore, upstream):
    """A missing object is an error instead, and Retry shows it when it is there."""
    upstream.put_object(Bucket=EMPTY, Key="late.txt", Body=b"here")
    page = explore(f"s3://{EMPTY}/")
    upstream.delete_object(Bucket=EMPTY, Key="late.txt")
    page.show("late.txt")
    assert page.last("details")["error"]["message"] == page.last("preview")["error"]["message"]
    upstream.put_object(Bucket=EMPTY, Key="late.txt", Body=b"here")
    page.got.clear()
    page.do("retry")
    page.until(lambda one: one.get("text") == "here")


def test_an_answer_that_nobody_waits_for_is_not_shown(explore):
    """After another row was chosen, only that one's answers are told."""
    page = explore(f"s3://{LAKE}/sales/")
    page.do("show", place=page.place("customers.csv"))
    page.do("show", place=page.place("orders.csv"))
    serial = page.last("panel")["serial"]
    page.until(lambda one: one["type"] == "preview" and one["serial"] == serial and not one.get("busy"))
    told = [one for one in page.got if one["type"] in {"details", "preview"} and not one.get("busy")]
    assert {one["serial"] for one in told} == {serial}


def test_a_page_that_opens_again_gets_the_panel(explore):
    """Who loads the page anew sees the panel as it was, without another request."""
    page = explore(f"s3://{LAKE}/").show("README.txt")
    before = [one for one in page.got if one["type"] in {"panel", "details", "preview"} and not one.get("busy")]
    page.got.clear()
    page.do("begin", seq=1)
    assert [one for one in page.got if one["type"] in {"panel", "details", "preview"}] == before


def test_hostile_keys_are_visible_in_the_panel_and_exact_in_what_is_copied(explore, upstream):
    """No message of the panel holds a control or bidi character but in the exact URI, ARN and escaped code."""
    names = [one["Key"] for one in upstream.list_objects_v2(Bucket=ODD, EncodingType="url")["Contents"]]
    assert names
    page = explore(f"s3://{ODD}/")
    with page._navigator.lock:
        tree = page._navigator.tree
        places = [line.place for line in tree.lines(0, len(tree)) if not line.folder.rows.is_prefix(line.row)]
        exact = [tree.root.rows.location(row).uri for _, row in places]
    for place, uri in zip(places, exact, strict=True):
        page.do("show", place=list(place))
        head = page.last("panel")
        assert head["uri"] == uri
        shown = head["name"] + head["shown"] + "".join(code.replace("\n", "") for _, code in head["snippets"])
        assert not re.search("[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", shown)


# What is in a folder


def test_a_folder_is_summed_up_and_can_be_descended_into(explore):
    """Analyze counts what lies below, from where there is more than one folder; one that is chosen becomes the root."""
    page = explore(f"s3://{LAKE}/")
    page.do("show", place=page.place("events/"))
    page.do("analyze")
    data = page.until(lambda one: one["type"] == "analysis" and one.get("data"))["data"]
    listed = page._objects.frame(Location(LAKE, "events/"), recursive=True)
    assert data["total"]["objects"] == len(listed)
    assert data["total"]["bytes"] == listed["size"].sum()
    assert sum(one["bytes"] for one in data["groups"]) == listed["size"].sum()
    assert data["below"] == "year=2026/"
    page.do("descend", name=data["below"] + data["groups"][0]["name"])
    assert page._navigator.tree.root.location == Location(LAKE, f"events/year=2026/{data['groups'][0]['name']}")
    page.settled()


@pytest.fixture
def deep(upstream):
    """In the empty bucket: one folder in another, and in that objects of two sizes and a folder."""
    for key, size in {"a/b/large": 900, "a/b/small": 1, "a/b/c/1": 50, "a/b/c/2": 50, "z": 7}.items():
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"x" * size)


def _analysis(page, name):
    page.got.clear()
    page.do("show", place=page.place(name))
    page.do("analyze")
    return page.until(lambda one: one["type"] == "analysis" and one.get("data"))["data"]


def _sizes(page):
    rows = page._navigator.tree.lines(0, len(page._navigator.tree))
    return {line.folder.rows.names[line.row]: line.folder.rows.sizes[line.row] for line in rows if line.row >= 0}


@pytest.mark.usefixtures("deep")
def test_large_objects_are_blocks_and_single_folders_are_gone_through(explore):
    """Each object of the folder is a block of its own, named from where the ways part; choosing one shows it."""
    page = explore(f"s3://{EMPTY}/")
    data = _analysis(page, "a/")
    assert (data["below"], data["shown_below"]) == ("b/", "b/")
    assert {one["name"]: one["bytes"] for one in data["groups"]} == {"large": 900, "c/": 100, "small": 1}
    page.do("descend", name="b/large")
    assert page.until(lambda one: one["type"] == "panel" and one.get("name") == "large")["uri"].endswith("/a/b/large")


@pytest.mark.usefixtures("deep")
def test_sizes_stand_in_the_tree_once_they_were_counted(explore):
    """Of the folder, of each on the way and of those in it; what is changed in one makes its size unknown again."""
    page = explore(f"s3://{EMPTY}/")
    page.enter("a/")
    _analysis(page, "a/")
    page.enter("b/")
    _analysis(page, "a/")
    assert _sizes(page) == {"a/": 1001, "b/": 1001, "c/": 100, "large": 900, "small": 1, "z": 7}
    assert page.frame.set_index("key")["size"]["a/b/c/"] == 100
    page.choose("small")
    page.do("delete", id="gone")
    page.do("confirm", id="gone")
    page.task("gone", "done")
    page.until(lambda _: "small" not in page.names())
    assert _sizes(page) == {"a/": -1, "b/": -1, "c/": 100, "large": 900, "z": 7}


def test_sizes_of_the_roots_and_of_two_connections():
    """A bucket's row has its size, and only that of the connection which it was counted through."""
    rows = [TreeEntry(Location("lake"), is_prefix=True), TreeEntry(Location("other"), is_prefix=True)]
    page = Page(lambda *_, **__: Children(rows), title="t", first=Children(rows))
    page._navigator.sized(Location("lake"), {"s3://lake/": 5})
    assert _sizes(page) == {"lake/": 5, "other/": -1}
    page._navigator.sized(Through("other", connection="b"), {"s3://other/": 6})
    assert _sizes(page) == {"lake/": 5, "other/": -1}
    page.close()


def test_refresh_looks_at_the_object_in_the_panel_again(explore, upstream):
    """What somebody else has written since then is shown."""
    upstream.put_object(Bucket=EMPTY, Key="note.txt", Body=b"before")
    page = explore(f"s3://{EMPTY}/")
    page.show("note.txt")
    upstream.put_object(Bucket=EMPTY, Key="note.txt", Body=b"behind")
    page.got.clear()
    page.do("refresh", seq=1)
    assert page.until(lambda one: one["type"] == "preview" and one.get("kind"))["text"] == "behind"


def test_an_analysis_can_be_stopped_and_begun_again(explore):
    """Stop ends it at once and says so; Analyze begins again."""
    page = explore(f"s3://{LAKE}/")
    page.do("show", place=page.place("events/"))
    page.do("analyze")
    page.do("halt", id="")
    assert page.until(lambda one: one["type"] == "analysis" and one.get("error"))["error"]["message"] == "Stopped"
    page.do("analyze")
    page.until(lambda one: one["type"] == "analysis" and one.get("data"))


# Links and code


@pytest.mark.parametrize("seconds", [900, 3600, 43_200, 604_800])
def test_a_link_opens_the_object_and_says_when_it_ends(explore, rclone_server, seconds):
    """A link of each length opens exactly the object without credentials, and travels once, in answer to a click."""
    run = Statements()
    run(create("other", keys=rclone_server.keys, ENDPOINT=rclone_server.endpoint))
    page = explore(f"s3://{LAKE}/", run.connection("other")).show("README.txt")
    assert not [one for one in page.got if "Signature" in json.dumps(one, default=str)]
    page.do("link", id="l1", seconds=seconds)
    link = page.until(lambda one: one["type"] == "link")
    with urllib.request.urlopen(link["url"], timeout=20) as answer:
        assert answer.read() == (rclone_server.root / LAKE / "README.txt").read_bytes()
    ends = datetime.strptime(link["ends"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    assert abs(ends - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(minutes=2)
    page.got.clear()
    page.do("begin", seq=1)
    assert "Signature" not in json.dumps([page.got, page.get_state()], default=str)


def test_a_link_lasts_only_so_long_as_is_offered(explore):
    """A length that the panel does not offer makes no link."""
    page = explore(f"s3://{LAKE}/").show("README.txt")
    page.do("link", id="l1", seconds=86_400 * 365)
    page.do("link", id="l2", seconds=900)
    assert page.until(lambda one: one["type"] == "link")["id"] == "l2"


def test_a_link_of_temporary_credentials_says_so(sandbox):
    """With a session token the link ends with the credentials, and says it."""
    sts = client("sts", sandbox.endpoint, sandbox.admin)
    token = sts.get_session_token()["Credentials"]
    run = Statements()
    run(
        create(
            "short",
            AWS_ACCESS_KEY_ID=token["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=token["SecretAccessKey"],
            AWS_SESSION_TOKEN=token["SessionToken"],
            ENDPOINT=sandbox.endpoint,
            VALIDATE=False,
        )
    )
    link = presign(run.connection("short"), Location(LAKE, "README.txt"), 900)
    assert "temporary" in link.note
    assert token["SecretAccessKey"] not in repr(link) + link.url


def test_no_link_where_the_key_travels_with_each_request(connect):
    """With a customer's encryption key a link could not read the object, and is refused."""
    with pytest.raises(S3ConnError, match="encryption key"):
        presign(connect(ENCRYPTION_CUSTOMER_MANAGED_KEY=CUSTOMER_KEY), Location(LAKE, "README.txt"), 900)


@pytest.fixture
def pasted(sandbox, monkeypatch):
    """Runs code as it is pasted, in a kernel that has the connection; gives the names that it makes."""
    run = Statements()
    run(create('"my lake"', keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    monkeypatch.setattr("s3conn_magic._current_session", lambda: run.session)

    def made(one):
        if one.label == "%%upsql":
            return {"df": run(one.code.removeprefix("%%upsql\n"))}
        names = {}
        exec(one.code, names)
        assert sandbox.admin.secret_access_key.reveal() not in one.code
        assert "BytesIO" not in one.code
        return names

    return made


ROWS = pa.table({"n": pa.array(range(30), pa.int64()), "s": [f"text {number}" for number in range(30)]})


def _written(ending):
    """These rows as a file whose name ends so."""
    plain, *packed = ending.removeprefix(".").split(".")
    sink = io.BytesIO()
    frame = ROWS.to_pandas()
    if plain == "parquet":
        pq.write_table(ROWS, sink)
    elif plain == "orc":
        orc.write_table(ROWS, sink)
    elif plain == "arrow":
        feather.write_feather(ROWS, sink, compression="uncompressed")
    elif plain in {"csv", "tsv"}:
        sink.write(frame.to_csv(index=False, sep="\t" if plain == "tsv" else ",").encode())
    else:
        sink.write(frame.to_json(orient="records", lines=plain == "jsonl").encode())
    return gzip.compress(sink.getvalue()) if packed else sink.getvalue()


LABELS = {
    ".parquet": ["%%upsql", "pandas", "polars", "DuckDB", "boto3"],
    ".csv": ["%%upsql", "pandas", "polars", "DuckDB", "boto3"],
    ".csv.gz": ["%%upsql", "pandas", "polars", "DuckDB", "boto3"],
    ".tsv": ["%%upsql", "pandas", "polars", "DuckDB", "boto3"],
    ".jsonl": ["%%upsql", "pandas", "polars", "DuckDB", "boto3"],
    ".jsonl.gz": ["%%upsql", "pandas", "DuckDB", "boto3"],
    ".json": ["%%upsql", "pandas", "DuckDB", "boto3"],
    ".orc": ["%%upsql", "pandas", "boto3"],
    ".arrow": ["%%upsql", "pandas", "polars", "boto3"],
}


@pytest.mark.parametrize("ending", LABELS)
def test_code_runs_as_it_is_pasted(ending, pasted, upstream):
    """Each snippet for a file and for a folder of such, pasted, has their rows; a query stands first."""
    body = _written(ending)
    for name in ("a", "b/c"):
        upstream.put_object(Bucket=EMPTY, Key=f"code/{name}{ending}", Body=body)
    files = (
        CodeSubject("lake", Location(EMPTY, f"code/a{ending}")),
        CodeSubject("lake", Location(EMPTY, "code/"), ending=ending),
    )
    for what, count in zip(files, (30, 60), strict=True):
        found = snippets(what)
        assert [one.label for one in found] == LABELS[ending]
        for one in found:
            names = pasted(one)
            assert len(names["df"]) == count if "df" in names else "data" in names or len(names["keys"]) == 2, one.label
            if "df" in names:
                assert sorted(set(names["df"]["n"])) == [*range(30)]
    for name in ("a", "b/c"):
        upstream.delete_object(Bucket=EMPTY, Key=f"code/{name}{ending}")


@pytest.mark.parametrize("key", ["a b+c%20.csv", "q?x.csv", "[x]*.csv", "h#a.csv", "a::b.csv", "é.csv"])
def test_code_reads_every_key(key, pasted, upstream):
    """Whatever a key holds, the code reads that object and no other."""
    upstream.put_object(Bucket=EMPTY, Key=key, Body=_written(".csv"))
    found = snippets(CodeSubject("my lake", Location(EMPTY, key)))
    assert "pandas" in [one.label for one in found]
    for one in found:
        names = pasted(one)
        assert len(names.get("df", ROWS)) == 30, one.label
    upstream.delete_object(Bucket=EMPTY, Key=key)


def test_code_reads_the_version_that_is_shown(pasted, upstream):
    """The code for a version reads that one."""
    key = "contracts/code.csv"
    first = upstream.put_object(Bucket=ARCHIVE, Key=key, Body=_written(".csv"))["VersionId"]
    last = upstream.put_object(Bucket=ARCHIVE, Key=key, Body=b"n\n1\n")["VersionId"]
    found = snippets(CodeSubject("lake", Location(ARCHIVE, key), first))
    assert [one.label for one in found] == ["pandas", "boto3"]
    assert len(pasted(found[0])["df"]) == 30
    assert pasted(found[1])["data"].count(b"\n") == 31
    for version in (first, last):
        upstream.delete_object(Bucket=ARCHIVE, Key=key, VersionId=version)


def test_code_for_a_folder_of_unknown_content_lists_it(pasted):
    """Where no name says what is in it, the query is a listing; the names of the page say what is."""
    found = {one.label: one for one in snippets(CodeSubject("my lake", Location(LAKE, "reports/"), ending=""))}
    assert list(found) == ["%%upsql", "boto3"]
    assert sorted(pasted(found["%%upsql"])["df"]["key"]) == sorted(pasted(found["boto3"])["keys"])


def test_a_folder_says_what_is_in_it_for_its_code(explore):
    """The code for a folder is for what most of its objects are, by one more request, when it is looked at."""
    page = explore(f"s3://{LAKE}/")
    page.do("show", place=page.place("events/"))
    page.do("code")
    found = dict(page.part("code")["snippets"])
    assert "**/*.parquet" in found["%%upsql"]
    assert list(found) == ["%%upsql", "pandas", "polars", "DuckDB", "boto3"]


@pytest.mark.parametrize("key", ["a'b\n.csv", "\u202egnp.parquet", 'x"\\.jsonl.gz', "é.csv.zst", "plain"])
def test_code_is_ascii_and_compiles_for_every_key(key):
    """Whatever the key, the code is plain ASCII and valid Python that names the key exactly."""
    for what in (CodeSubject("c", Location("bucket", key)), CodeSubject("c", Location("bucket", key), ending=".csv")):
        for one in snippets(what):
            if one.label != "%%upsql":
                compile(one.code, one.label, "exec")
                assert one.code.isascii()


def test_cells_run_as_they_are_pasted(sandbox):
    """The query of a file and of a folder gives rows, and ANALYZE a folder's sums; without more to write."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    file = cells(CodeSubject("lake", Location(LAKE, "sales/customers.csv")))
    folder = cells(CodeSubject("lake", Location(LAKE, "events/year=2026/month=01/"), ending=".parquet"))
    assert set(file) == {"query"}
    for cell in (file["query"], folder["query"], folder["analyze"], folder["discover"]):
        assert len(run(cell.removeprefix("%%upsql\n")))


# Downloads


def test_a_download_is_the_object(explore, upstream):
    """The pieces of a download, put together, are the object, whatever its size."""
    body = bytes(range(256)) * 5_000
    upstream.put_object(Bucket=EMPTY, Key="a.bin", Body=body)
    upstream.put_object(Bucket=EMPTY, Key="nothing", Body=b"")
    page = explore(f"s3://{EMPTY}/")
    for name, exact in (("a.bin", body), ("nothing", b"")):
        page.show(name)
        page.do("download", id=name)
        page.task(name, "done")
        pieces = [one for one in page.got if one["type"] == "piece" and one["id"] == name]
        assert b"".join(bytes(one["buffers"][0]) for one in pieces) == exact
        assert all(len(one["buffers"][0]) <= 1024 * 1024 for one in pieces)
        assert [one["done"] for one in pieces] == [*[False] * (len(pieces) - 1), True]
        assert page.task(name, "done")["total"] == len(exact)


def test_a_download_can_be_stopped(explore, upstream):
    """Stop ends a download that waits for its turn."""
    upstream.put_object(Bucket=EMPTY, Key="a.bin", Body=b"x" * 6_000_000)
    page = explore(f"s3://{EMPTY}/").show("a.bin")
    page.do("download", id="d")
    page.until(lambda one: one["type"] == "piece")
    page.do("halt", id="d")
    page.gone("d")
    sent = sum(len(one["buffers"][0]) for one in page.got if one["type"] == "piece")
    assert sent < 6_000_000


def test_too_much_for_a_download_may_be_saved(explore, monkeypatch, tmp_path):
    """Above the bound nothing is sent to the page; it is asked whether to save it beside the notebook."""
    monkeypatch.setattr(transfers, "DOWNLOAD_AT_MOST", 10)
    monkeypatch.chdir(tmp_path)
    page = explore(f"s3://{LAKE}/").show("README.txt")
    page.do("download", id="d")
    assert "too large for a download" in page.task("d", "asking")["text"]
    page.do("confirm", id="d")
    assert str(tmp_path / "README.txt") in page.task("d", "done")["text"]
    assert "made up" in (tmp_path / "README.txt").read_text()
    assert not [one for one in page.got if one["type"] == "piece"]


# Uploads


def test_small_and_large_files_arrive_whole(explore, upstream, recorder):
    """A small file goes by one request, a large one in parts; both are the file, and the folder is listed afresh."""
    page = explore(f"s3://{EMPTY}/in/")
    large = bytes(range(251)) * 80_000
    page.upload("s", "small.txt", b"hello")
    page.upload("l", "lärge $x$.bin", large)
    page.upload("n", "nothing", b"")
    for each in "sln":
        page.task(each, "done")
    page.settled()
    assert keys(upstream) == ["in/lärge $x$.bin", "in/nothing", "in/small.txt"]
    assert upstream.get_object(Bucket=EMPTY, Key="in/lärge $x$.bin")["Body"].read() == large
    assert upstream.head_object(Bucket=EMPTY, Key="in/small.txt")["ContentType"] == "text/plain"
    assert page.shows("lärge $x$.bin", "nothing", "small.txt")
    assert sum(one.method == "POST" and "uploads" in one.query for one in recorder.requests) == 1
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


def test_an_object_is_replaced_only_after_a_question(explore, upstream):
    """A file of a name that is taken asks first; no keeps the old object, yes replaces it."""
    upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=b"old")
    page = explore(f"s3://{EMPTY}/")
    page.do("upload", id="no", name="a.txt", size=3, mime="")
    assert "already exists" in page.task("no", "asking")["text"]
    page.do("halt", id="no")
    page.gone("no")
    assert upstream.get_object(Bucket=EMPTY, Key="a.txt")["Body"].read() == b"old"
    page.do("upload", id="yes", name="a.txt", size=3, mime="")
    page.task("yes", "asking")
    page.do("confirm", id="yes")
    page.until(lambda one: any(t["id"] == "yes" and t["credit"] for t in one.get("tasks", [])))
    page.do("chunk", b"new", id="yes", at=0)
    page.task("yes", "done")
    assert upstream.get_object(Bucket=EMPTY, Key="a.txt")["Body"].read() == b"new"


def test_the_panel_shows_the_object_that_replaced_its_own(explore, upstream):
    """An upload over the object in the panel is looked at again, its details and its beginning."""
    upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=b"old text")
    page = explore(f"s3://{EMPTY}/").show("a.txt")
    assert "old text" in str(page.last("preview"))
    page.do("upload", id="u", name="a.txt", size=8, mime="")
    page.task("u", "asking")
    page.do("confirm", id="u")
    page.until(lambda one: any(t["id"] == "u" and t["credit"] for t in one.get("tasks", [])))
    page.do("chunk", b"new text", id="u", at=0)
    page.until(lambda one: one["type"] == "preview" and "new text" in str(one))


def test_an_object_written_meanwhile_is_not_replaced(connect, upstream):
    """Between the look and the write another writer may come: its object stays."""
    upload = uploads.Upload(connect(), Location(EMPTY, "race.txt"), 3)
    upload.write(b"two")
    upstream.put_object(Bucket=EMPTY, Key="race.txt", Body=b"one")
    with pytest.raises(S3ConnError, match="written in the meantime"):
        upload.finish()
    assert upstream.get_object(Bucket=EMPTY, Key="race.txt")["Body"].read() == b"one"


def test_a_stopped_upload_leaves_nothing(explore, upstream):
    """Stopping a multipart upload aborts it: no object and no part is left."""
    page = explore(f"s3://{EMPTY}/")
    page.do("upload", id="u", name="big", size=30_000_000, mime="")
    for number in range(10):
        page.until(lambda one, n=number: any(t["id"] == "u" and t["credit"] > n for t in one.get("tasks", [])))
        page.do("chunk", b"x" * 1024 * 1024, id="u", at=number)
    page.until(lambda one: any(t["id"] == "u" and t["done"] > 9_000_000 for t in one.get("tasks", [])))
    page.do("halt", id="u")
    page.gone("u")
    assert keys(upstream) == []
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


def test_closing_the_explorer_aborts_uploads(explore, upstream):
    """An explorer that is closed leaves neither an object nor a part of one."""
    page = explore(f"s3://{EMPTY}/")
    page.do("upload", id="u", name="big", size=30_000_000, mime="")
    for number in range(9):
        page.until(lambda one, n=number: any(t["id"] == "u" and t["credit"] > n for t in one.get("tasks", [])))
        page.do("chunk", b"x" * 1024 * 1024, id="u", at=number)
    page.until(lambda one: any(t["id"] == "u" and t["done"] > 8_000_000 for t in one.get("tasks", [])))
    page.close()
    page.gone("u")
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


def test_a_part_that_fails_aborts_the_upload(connect, upstream, recorder, sandbox):
    """When the server refuses a part, the upload is aborted and the error is the server's."""
    ask = passing_to(sandbox.endpoint)
    connection = connect()
    recorder.answer = lambda one: error(403, "AccessDenied") if one.query.get("partNumber") == "2" else ask(one)
    upload = uploads.Upload(connection, Location(EMPTY, "big"), 20_000_000)
    upload.write(b"x" * 20_000_000)
    with pytest.raises(S3ConnError, match="access denied"):
        upload.finish()
    assert any(one.method == "DELETE" and "uploadId" in one.query for one in recorder.requests)
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


def test_a_process_that_ends_leaves_no_parts(upstream, sandbox):
    """Python that exits in the middle of a multipart upload aborts it."""
    program = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from statements import Statements, create\nfrom s3conn_magic.sandbox import Sandbox\n"
        "from s3conn_magic.locations import Location\nfrom s3conn_magic.objects.uploads import Upload\n"
        "run = Statements()\nrun(create('lake', keys=Sandbox.admin, ENDPOINT=sys.argv[3], VALIDATE=False))\n"
        f"upload = Upload(run.connection('lake'), Location({EMPTY!r}, 'big'), 20_000_000)\n"
        "upload.write(b'x' * 9_000_000)\nprint(len(upload._parts))"
    )
    support = Path(__file__).parents[1] / "support"
    command = [sys.executable, "-c", program, str(support), str(support.parents[1]), sandbox.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("1", "")
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


def test_fewer_bytes_than_announced_write_nothing(connect, upstream):
    """A file that ends early is no object."""
    for size in (10, 9_000_000):
        upload = uploads.Upload(connect(), Location(EMPTY, "short"), size)
        upload.write(b"x" * (size - 1))
        with pytest.raises(S3ConnError, match="nothing was written"):
            upload.finish()
    assert keys(upstream) == []
    assert not upstream.list_multipart_uploads(Bucket=EMPTY).get("Uploads")


@pytest.mark.parametrize("size", [5, 9_000_000], ids=["single", "multipart"])
def test_encryption_goes_with_every_write(connect, recorder, sandbox, size):
    """SSE-KMS stands on the request that makes the object, SSE-C on each part as well."""

    def written(**options):
        recorder.requests.clear()
        upload = uploads.Upload(connect(VALIDATE=False, **options), Location(EMPTY, "k"), size, overwrite=True)
        upload.write(b"x" * size)
        upload.finish()
        client("s3", sandbox.endpoint, sandbox.admin).delete_object(Bucket=EMPTY, Key="k")
        return [one for one in recorder.requests if one.method in {"PUT", "POST"}]

    kms = written(ENCRYPTION_KMS_KEY=KMS_KEY)
    making = kms[0]
    assert making.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert making.headers["x-amz-server-side-encryption-aws-kms-key-id"] == KMS_KEY
    customer = written(ENCRYPTION_CUSTOMER_MANAGED_KEY=CUSTOMER_KEY)
    assert {one.headers.get("x-amz-server-side-encryption-customer-key") for one in customer} == {CUSTOMER_KEY}
    assert len(customer) == (1 if size < 9_000 else 4)


# Deletions


def test_a_deletion_counts_asks_and_deletes_exactly_that(explore, upstream):
    """Objects and folders are counted, named and, after a yes, deleted; what came later stays."""
    for number in range(7):
        upstream.put_object(Bucket=EMPTY, Key=f"old/deep/{number}", Body=b"12345")
    for key in ("a.txt", "keep.txt"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"1")
    page = explore(f"s3://{EMPTY}/").choose("old/", "a.txt")
    page.do("delete", id="d")
    asked = page.task("d", "asking")
    assert asked["confirm"] == "Delete 8 objects"
    assert "36 B" in asked["text"]
    named = ["a.txt", *(f"old/deep/{number}" for number in range(7))]
    assert (page.asked("d"), asked["count"]) == ([f"s3://{EMPTY}/{key}" for key in named], 8)
    upstream.put_object(Bucket=EMPTY, Key="old/deep/late", Body=b"1")
    page.do("confirm", id="d")
    assert page.task("d", "done")["text"] == "Deleted 8 objects"
    assert keys(upstream) == ["keep.txt", "old/deep/late"]
    page.settled()
    assert page.shows("old/", "keep.txt")


def test_a_no_deletes_nothing(explore, upstream, recorder):
    """Without the yes, no request deletes."""
    upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=b"1")
    page = explore(f"s3://{EMPTY}/").choose("a.txt")
    page.do("delete", id="d")
    page.task("d", "asking")
    page.do("halt", id="d")
    page.gone("d")
    assert not [one for one in recorder.requests if one.method == "DELETE" or "delete" in one.query]
    assert keys(upstream) == ["a.txt"]


def test_odd_keys_are_deleted_exactly(connect, upstream):
    """Keys that XML cannot hold go one by one, and no neighbour goes with them."""
    names = ["a\x1bb", "a\rb", "line\ufffe", "plain", "a b+c%20", "<x>&'\""]
    for key in names:
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"1")
    upstream.put_object(Bucket=EMPTY, Key="ab", Body=b"1")
    outcomes = list(deleting.delete(connect(), EMPTY, names, cancelled=lambda: False))
    assert sum(one.count for one in outcomes) == len(names)
    assert keys(upstream) == ["ab"]


def test_many_keys_go_in_batches(connect, recorder):
    """More than a thousand keys take a request for each thousand."""
    names = [f"k{number:04}" for number in range(2_100)]
    recorder.requests.clear()
    outcomes = list(deleting.delete(connect(VALIDATE=False), EMPTY, names, cancelled=lambda: False))
    assert [one.count for one in outcomes] == [1000, 1000, 100]
    assert [one.method for one in recorder.requests] == ["POST"] * 3


def test_keys_that_stay_are_named(explore, upstream, recorder, sandbox):
    """A key that the server keeps is told with the server's reason, and the others are gone."""
    for key in ("a", "b"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"1")
    page = explore(f"s3://{EMPTY}/").choose("a", "b")
    ask = passing_to(sandbox.endpoint)

    def answer(one):
        if "delete" not in one.query:
            return ask(one)
        reply = ask(type(one)(one.method, one.target, one.headers, one.body))
        body = reply.body.replace(b"<Deleted><Key>b</Key></Deleted>", b"")
        body = re.sub(rb"<Deleted>\s*<Key>b</Key>.*?</Deleted>", b"", reply.body, flags=re.DOTALL)
        kept = b"<Error><Key>b</Key><Code>AccessDenied</Code><Message>m</Message></Error></DeleteResult>"
        return type(reply)(reply.status, reply.headers, body.replace(b"</DeleteResult>", kept))

    recorder.answer = answer
    page.do("delete", id="d")
    page.task("d", "asking")
    page.do("confirm", id="d")
    failed = page.task("d", "failed")
    assert failed["text"] == "Deleted 1 of 2 objects"
    assert failed["hint"] == "Not deleted: b: AccessDenied"


def test_too_many_to_delete_are_refused(explore, monkeypatch):
    """Above the bound nothing is deleted and nothing is asked."""
    monkeypatch.setattr("s3conn_magic.explorer.tasks.DELETE_AT_MOST", 50)
    page = explore(f"s3://{LAKE}/").choose("events/")
    page.do("delete", id="d")
    assert "More than 50 objects" in page.task("d", "failed")["text"]
    assert DELETE_AT_MOST == 10_000


def test_buckets_are_not_deleted(connect, recorder):
    """A chosen bucket is refused without a request."""
    connection = connect()
    children = ConnectionChildren(lambda: connection)
    first = children(None, None, cancelled=lambda: False)
    page = Page(children, title="lake", first=first, objects=ConnectionObjects(lambda _: connection))
    recorder.requests.clear()
    page.choose(EMPTY).do("delete", id="d")
    assert "whole bucket" in page.task("d", "failed")["text"]
    assert recorder.requests == []


CHANGES = {
    "honoured": lambda _: None,
    "ignored": lambda one: without(one, "if-match"),
    "refused": lambda one: error(501, "NotImplemented") if conditional(one) else None,
    "unmet though it holds": lambda one: error(412, "PreconditionFailed") if conditional(one) else None,
    "one by one": lambda one: error(501, "NotImplemented") if "delete" in one.query else None,
    "by MD5": lambda one: (
        error(400, "InvalidRequest") if "delete" in one.query and "content-md5" not in one.headers else None
    ),
    "one by one, and no MD5": lambda one: error(400, "MissingContentMD5") if "delete" in one.query else None,
}
"""What servers make of the condition that an object be as it was seen, and of deleting several by one request."""


def conditional(one):
    return "if-match" in one.headers or (b"<ETag>" in one.body and "delete" in one.query)


def without(one, header):
    """The request as a server takes it that does not know a header, or an etag in DeleteObjects."""
    headers = {name: value for name, value in one.headers.items() if name != header}
    return type(one)(one.method, one.target, headers, one.body)


@pytest.fixture(params=CHANGES)
def server(request, recorder, sandbox):
    """A server that keeps conditions, ignores them, or refuses them."""
    ask, change = passing_to(sandbox.endpoint), CHANGES[request.param]

    def answer(one):
        changed = change(one)
        return ask(one) if changed is None else ask(changed) if isinstance(changed, type(one)) else changed

    recorder.answer = answer
    return recorder


@pytest.mark.parametrize("keys_chosen", [("a.txt", "b.txt", "odd\x1b"), ("in/",)], ids=["objects", "folder"])
def test_an_object_that_changed_since_it_was_shown_stays(explore, upstream, server, keys_chosen):
    """What was replaced after it was shown, or after the question, is not deleted, and is told; the rest is gone."""
    names = ("in/a.txt", "in/b.txt", "in/c.txt") if keys_chosen == ("in/",) else keys_chosen
    for key in names:
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"seen")
    page = explore(f"s3://{EMPTY}/")
    page.choose(*(name.replace("\x1b", "␛") for name in keys_chosen))
    page.do("delete", id="d")
    page.task("d", "asking")
    upstream.put_object(Bucket=EMPTY, Key=names[-1], Body=b"another")
    page.do("confirm", id="d")
    failed = page.task("d", "failed")
    assert failed["text"] == f"Deleted {len(names) - 1} of {len(names)} objects"
    assert failed["hint"].endswith(": changed since it was shown")
    assert keys(upstream) == [names[-1]]
    assert upstream.get_object(Bucket=EMPTY, Key=names[-1])["Body"].read() == b"another"
    assert server.requests


def test_what_is_gone_already_is_said(explore, upstream):
    """An object that somebody else deleted meanwhile is counted apart."""
    for key in ("a", "b"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"1")
    page = explore(f"s3://{EMPTY}/").choose("a", "b")
    page.do("delete", id="d")
    page.task("d", "asking")
    upstream.delete_object(Bucket=EMPTY, Key="a")
    page.do("confirm", id="d")
    assert page.task("d", "done")["text"] == "Deleted 1 object; 1 was not there any more"


def test_deleting_without_the_right_to_look(explore, upstream, recorder, sandbox):
    """Where no object may be looked at, a listing tells whether it is as it was shown."""
    for key in ("same", "other"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=b"1")
    page = explore(f"s3://{EMPTY}/").choose("same", "other")
    ask = passing_to(sandbox.endpoint)
    recorder.answer = lambda one: error(403, "AccessDenied") if one.method == "HEAD" else ask(one)
    upstream.put_object(Bucket=EMPTY, Key="other", Body=b"another")
    page.do("delete", id="d")
    page.do("confirm", id="d")
    assert page.task("d", "failed")["hint"] == "Not deleted: other: changed since it was shown"
    assert keys(upstream) == ["other"]


@pytest.mark.parametrize(
    ("status", "said"), [("Enabled", "a delete marker"), ("Suspended", "no new versions"), ("", "no versions")]
)
def test_what_deleting_means_is_said(explore, upstream, status, said):
    """The question tells whether the bucket keeps versions, and so whether anything can be brought back."""
    bucket = f"versions-{status.lower() or 'never'}"
    upstream.create_bucket(Bucket=bucket)
    try:
        if status:
            upstream.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        upstream.put_object(Bucket=bucket, Key="a", Body=b"1")
        page = explore(f"s3://{bucket}/").choose("a")
        page.do("delete", id="d")
        assert said in page.task("d", "asking")["text"]
        page.do("halt", id="d")
        page.gone("d")
    finally:
        for one in upstream.list_object_versions(Bucket=bucket).get("Versions", []):
            upstream.delete_object(Bucket=bucket, Key="a", VersionId=one["VersionId"])
        upstream.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("there", [None, b"old"], ids=["new", "replaced"])
def test_an_upload_replaces_only_what_the_question_named(explore, upstream, server, there):
    """An object that another wrote between the look, or the question, and the end of the upload stays."""
    if there:
        upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=there)
    page = explore(f"s3://{EMPTY}/")
    page.do("upload", id="u", name="a.txt", size=3, mime="")
    if there:
        assert "already exists: 3 B of " in page.task("u", "asking")["text"]
        page.do("confirm", id="u")
    page.until(lambda one: any(t["id"] == "u" and t["credit"] for t in one.get("tasks", [])))
    upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=b"another's")
    page.do("chunk", b"new", id="u", at=0)
    assert "written in the meantime" in page.task("u", "failed")["text"]
    assert upstream.get_object(Bucket=EMPTY, Key="a.txt")["Body"].read() == b"another's"
    assert server.requests


def test_a_stale_row_is_not_downloaded_without_a_word(explore, upstream):
    """An object that was replaced after the panel showed it is not downloaded, and that is said."""
    upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=b"seen")
    page = explore(f"s3://{EMPTY}/").show("a.txt")
    upstream.put_object(Bucket=EMPTY, Key="a.txt", Body=b"another")
    page.do("download", id="d")
    assert "has changed since it was shown" in page.task("d", "failed")["text"]
    assert not [one for one in page.got if one["type"] == "piece"]


@pytest.mark.parametrize("kind", ["download", "link", "version", "analyze", "descend"])
def test_an_action_of_the_panel_means_what_the_page_showed(explore, kind):
    """When the panel shows something else now, as another tab may make it, nothing is done, and that is said."""
    page = explore(f"s3://{LAKE}/").show("README.txt")
    stale = page.last("panel")["serial"]
    page.do("show", place=page.place("events/"))
    before, tree = dict(page._object_actions.panel._parts), page._navigator.tree
    what = {"version": {"id": None}, "descend": {"name": "year=2026/"}, "analyze": {}}.get(kind, {"id": "x"})
    page.do(kind, serial=stale, **what, **({"seconds": 900} if kind == "link" else {}))
    assert "something else now" in page.last("state")["said"][1]
    assert (page._object_actions.panel._parts, page._navigator.tree) == (before, tree)
    assert not [one for one in page.got if one["type"] in {"piece", "link"}]


def test_an_explorer_goes_on_with_the_connection_of_its_name(sandbox):
    """While there is none, each place says so; made again, a refresh is enough, and the rows stay all the time."""
    run = Statements()
    made = create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint)
    run(made)
    explorer = run(f"EXPLORE 's3://{LAKE}/'")
    page = Page(explorer._navigator._children, title="lake", location=Location(LAKE), objects=explorer._objects)
    page.do("begin", seq=1)
    names = page.settled().names()
    run("DROP CONNECTION lake")
    page.refresh()
    page.settled()
    assert page.names() == names
    assert "not up to date" in page.last("state")["summary"]
    assert "there is no connection lake" in json.dumps(page.last("rows")).lower()
    run(made)
    page.refresh()
    page.settled()
    assert page.names() == names
    assert "not up to date" not in page.last("state")["summary"]
    page.show("README.txt")
    page.close()


# READ_ONLY


def test_a_read_only_connection_writes_nothing(explore, connect, recorder):
    """The page is told why, and the kernel's side refuses upload and deletion before a request leaves."""
    page = explore(f"s3://{LAKE}/", connect(READ_ONLY=True)).choose("README.txt")
    assert page.last("state")["locked"] == "The connection lake is READ_ONLY"
    recorder.requests.clear()
    page.do("upload", id="u", name="a", size=1, mime="")
    page.do("delete", id="d")
    assert "READ_ONLY" in page.task("u", "failed")["text"]
    assert "READ_ONLY" in page.task("d", "failed")["text"]
    assert recorder.requests == []


def test_the_layer_below_refuses_as_well(connect, recorder):
    """Who goes around the explorer meets ReadOnlyConnectionError, and no request leaves."""
    connection, at = connect(READ_ONLY=True), Location(EMPTY, "a")
    recorder.requests.clear()
    with pytest.raises(ReadOnlyConnectionError):
        uploads.Upload(connection, at, 1)
    with pytest.raises(ReadOnlyConnectionError):
        list(deleting.delete(connection, EMPTY, ["a"], cancelled=lambda: False))
    with pytest.raises(ReadOnlyConnectionError):
        deleting.find(connection, [deleting.Chosen(at)], most=1, cancelled=lambda: False)
    assert recorder.requests == []


# Frames, and all connections


def test_to_frame_lists_the_location(sandbox):
    """One level as LIST gives it, and with `recursive` everything below, also of what is not open."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    explorer = run(f"EXPLORE 's3://{LAKE}/'")
    assert explorer.to_frame().equals(run(f"LIST 's3://{LAKE}/'"))
    assert explorer.to_frame(recursive=True).equals(run(f"LIST 's3://{LAKE}/' RECURSIVE"))


def test_all_connections_are_roots(sandbox):
    """Each connection opens to its display filters or buckets; below, everything goes through that connection."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    filters = [f"s3://{LAKE}/sales/", f"s3://{LAKE}/events/"]
    run(create("some", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, PATH_DISPLAY_FILTERS=filters, READ_ONLY=True))
    explorer = run("EXPLORE ALL CONNECTIONS")
    children = explorer._navigator._children
    page = Page(children, title="All connections", objects=explorer._objects)
    page.do("begin", seq=1)
    page.settled().enter("lake", "some")
    names = page.names()
    assert names[0] == "lake"
    assert names[-3:] == ["some", f"{LAKE}/events/", f"{LAKE}/sales/"]
    page.enter(f"{LAKE}/sales/")
    assert page.last("state")["crumbs"][0] == ["some", ""]
    assert page.last("state")["locked"] == "The connection some is READ_ONLY"
    page.show("orders.csv")
    assert page.last("panel")["uri"] == f"s3://{LAKE}/sales/orders.csv"
    codes = [code for _, code in page.last("panel")["snippets"]]
    assert all("connection('some')" in code or "s3://some@" in code for code in codes)
    assert len(page.to_frame(recursive=True)) == 2
    page.do("crumb", seq=2, index=1)
    page.do("go", seq=3, text=f"s3://{LAKE}/events/")
    page.settled()
    assert page.last("state")["crumbs"][0] == ["some", ""]
    run("DROP CONNECTION some")
    page.do("refresh", seq=4)
    page.until(lambda one: "there is no connection some" in json.dumps(one).lower())
    page.close()


def test_a_typed_location_needs_a_connection_where_there_are_several(sandbox):
    """With the roots shown and none chosen by the focus, a typed location says what to do."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    explorer = run("EXPLORE ALL CONNECTIONS")
    page = Page(explorer._navigator._children, title="All", objects=explorer._objects)
    page.do("begin", seq=1)
    page.settled()
    page.do("go", seq=2, text=f"s3://{LAKE}/sales/")
    page.settled()
    assert page.names() == ["customers.csv", "orders.csv"]
    assert page.last("state")["crumbs"][0] == ["lake", ""]
    page.close()


def test_statements_and_clicks_share_sockets(serve):
    """What a statement or a click asks for travels by the sockets of those before; a page costs one request."""
    accepted: list[object] = []

    class Counted(ObjectConnection):
        def connection_made(self, transport):
            accepted.append(transport)
            super().connection_made(transport)

    behaviour = Behaviour()
    endpoint = serve(StoredBucket(bodies={"a/b.csv": b"n\n1\n", "a/c/d.json": b'{"n": 1}'}), behaviour, Counted)
    run = Statements()
    keys = Keys("AKIASHARED", Secret("shared-secret"))
    run(create("lake", keys=keys, ENDPOINT=endpoint, REGION="us-east-1", VALIDATE=False))
    children = ConnectionChildren(lambda: run.connection("lake"))
    for _ in range(3):
        before, asked = len(accepted), behaviour.requests
        page = children(Location("bucket", "a/"), None, cancelled=lambda: False)
        assert [entry.location.key for entry in page.entries] == ["a/b.csv", "a/c/"]
        assert behaviour.requests == asked + 1
        assert before in (0, len(accepted))
    for _ in range(2):
        before = len(accepted)
        run("LIST 's3://bucket/' USING lake RECURSIVE")
        run("PREVIEW 's3://bucket/a/b.csv' USING lake")
        run("SELECT n FROM 's3://lake@bucket/a/b.csv'")
    assert before == len(accepted) <= 4
    run("DROP CONNECTION lake")


def test_everything_at_once_is_what_pages_give(connect, upstream):
    """Load all and a search give the same rows as page after page: names, sizes, dates, classes, and no marker."""
    for key in ("m/", "m/a", "m/b c/d", "m/é/x", "m/z.CSV"):
        upstream.put_object(Bucket=EMPTY, Key=key, Body=key.encode())
    children, at = ConnectionChildren(partial(connect)), Location(EMPTY, "m/")
    page = children(at, None, cancelled=lambda: False)
    by_page, at_once = Rows(at), Rows(at)
    by_page.extend(page.entries)
    for part in children.everything(at, cancelled=lambda: False):
        at_once.take(part)
    order = [at_once.names.index(name) for name in by_page.names]
    assert len(at_once) == len(by_page) == 4
    for name in ("names", "sizes", "times", "etags", "classes"):
        assert [getattr(at_once, name)[row] for row in order] == list(getattr(by_page, name))
    hits = Rows(at)
    for part in children.everything(at, matching="**/*.CSV", cancelled=lambda: False):
        hits.take(part)
    assert hits.names == ["z.CSV"]
