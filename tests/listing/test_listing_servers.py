"""Servers that differ from AWS: in their order, their XML, their encoding, their permissions."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import boto3
import pandas as pd
import pytest
import requests
from hostile_keys import HOSTILE
from layouts import keys_of
from listing_targets import FakeTarget, SignedTarget
from moto import mock_aws
from recording import Reply, recording
from statements import Statements, create
from synthetic import Behaviour, Bucket, Connection, Rows, xml_text

from s3conn_magic.connections.probe import below
from s3conn_magic.errors import AccessDeniedError, EndpointError, IncompleteListingError, ThrottledError
from s3conn_magic.listing import Listing, fetch_page
from s3conn_magic.listing.table import VERSIONS
from s3conn_magic.locations import Location
from s3conn_magic.transport import Response, Transport, wire

KEYS = keys_of("words", 1500)
HOSTILE_KEYS = sorted(HOSTILE.values())
SPACED = sorted(f"{word} {sign} {number}" for word in ("a", "b+c", "d") for sign in "+%&" for number in range(20))


def _keys(table):
    return table.column("key").to_pylist()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_refuses_forever(serve):
    """A server that never stops refusing is asked five times."""
    target = SignedTarget(serve(Bucket(KEYS), Behaviour(rate=1e-9)))
    with pytest.raises(ThrottledError) as caught:
        Listing(target).collect()
    assert caught.value.attempts == len(target.asked) == 5


class _IgnoresStartAfter(Bucket):
    def page(self, query):
        return super().page({name: value for name, value in query.items() if name != "start-after"})


def _unencoded(keys, token, write=xml_text, kind=""):
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    rows = Rows.of(keys, write).text.decode()
    return f"<ListBucketResult>{kind}{more or '<IsTruncated>false</IsTruncated>'}{rows}</ListBucketResult>".encode()


class _ByUtf16(Bucket):
    """Keys in the order of UTF-16, as some servers written in Java keep them."""

    def page(self, query):
        token = query.get("continuation-token")
        after = bytes.fromhex(token).decode() if token else query.get("start-after", "")
        ranked = sorted((key for key in self.keys if key.startswith(query["prefix"])), key=_utf16)
        keys, most = [key for key in ranked if _utf16(key) > _utf16(after)], int(query["max-keys"])
        return _unencoded(keys[:most], keys[most - 1].encode().hex() if len(keys) > most else "")


def _utf16(key):
    return key.encode("utf-16-be")


@pytest.mark.parametrize("make", [_IgnoresStartAfter, _ByUtf16])
def test_a_server_whose_order_cannot_be_relied_on(make, serve):
    """A server that ignores `start-after`, or keeps another order, is listed exactly by its own tokens."""
    keys = sorted([*KEYS, *HOSTILE_KEYS])
    assert _keys(Listing(SignedTarget(serve(make(keys))), page_keys=40).collect()) == keys


class _Shuffled(Bucket):
    """A directory bucket: keys in no order, known by their number."""

    def page(self, query):
        assert "start-after" not in query
        at, most = int(query.get("continuation-token", "0")), int(query["max-keys"])
        return _unencoded(self.keys[at : at + most], str(at + most) if at + most < len(self.keys) else "")


def test_a_directory_bucket():
    """A bucket that is known to have no order is listed page by page, and sorted in the end."""
    shuffled = _Shuffled(random.Random(7).sample(KEYS, len(KEYS)))
    assert _keys(Listing(FakeTarget(shuffled, ordered=False), page_keys=70).collect()) == KEYS
    limited = Listing(FakeTarget(shuffled, ordered=False), page_keys=70, limit=100)
    assert len(limited.collect()) == 100
    assert limited.truncated


class _Writes(Bucket):
    """A server that percent-encodes in its own way."""

    def __init__(self, keys, write):
        super().__init__(keys)
        self._write = write

    def page(self, query):
        at, most = int(query.get("continuation-token", "0")), int(query["max-keys"])
        token = str(at + most) if at + most < len(self.keys) else ""
        if query.get("encoding-type") != "url":
            return _unencoded(self.keys[at : at + most], token)
        kind = "<EncodingType>url</EncodingType>"
        return _unencoded(self.keys[at : at + most], token, lambda key: xml_text(self._write(key)), kind)


ENCODINGS = {
    "as AWS": lambda key: quote_plus(key, safe="/*"),
    "space as %20": lambda key: quote(key, safe="/"),
    "plus left alone": lambda key: quote(key, safe="/+"),
    "lower case": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "only percent and space": lambda key: key.replace("%", "%25").replace(" ", "%20"),
}


@pytest.mark.parametrize("page_keys", [1, 3, 1000])
@pytest.mark.parametrize(
    "keys", [SPACED, ["a b", "a+b"], ["a b"], ["a+b"], HOSTILE_KEYS], ids=["spaced", "both", "space", "plus", "all"]
)
@pytest.mark.parametrize("name", ENCODINGS)
def test_ways_to_write_a_space_and_a_plus(name, keys, page_keys):
    """A space is a space and a plus a plus, however the server writes them; to learn it costs one request at most."""
    target = FakeTarget(_Writes(keys, ENCODINGS[name]))
    assert _keys(Listing(target, page_keys=page_keys).collect()) == keys
    assert sum("encoding-type" not in dict(query) for query in target.asked) <= 1


VERSION_PAGES = {
    "": """<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>
      <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
      <NextKeyMarker>a%2Fb+c%2B</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>
      <DeleteMarker><Key>a%2Fb+c%2B</Key><VersionId>v3</VersionId><IsLatest>true</IsLatest>
        <LastModified>2024-03-01T00:00:00.000Z</LastModified><Owner><ID>me</ID></Owner></DeleteMarker>
      <Version><Key>a%2Fb+c%2B</Key><VersionId>v2</VersionId><IsLatest>false</IsLatest>
        <LastModified>2024-02-01T00:00:00.000Z</LastModified><ETag>&quot;e2&quot;</ETag><Size>2</Size>
        <StorageClass>GLACIER</StorageClass><Owner><ID>me</ID></Owner></Version></ListVersionsResult>""",
    "a/b c+": """<ListVersionsResult><Name>bucket</Name><EncodingType>url</EncodingType>
      <IsTruncated>false</IsTruncated>
      <Version><Key>a%2Fb+c%2B</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest>
        <LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;e1&quot;</ETag><Size>1</Size>
        <StorageClass>STANDARD</StorageClass></Version>
      <Version><Key>d</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>
        <LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>0</Size>
        <StorageClass>STANDARD</StorageClass></Version></ListVersionsResult>""",
}


class _Versions(FakeTarget):
    def send(self, query):
        asked = dict(query)
        assert "versions" in asked
        assert ("key-marker" in asked) is ("version-id-marker" in asked)
        return Response(200, {}, VERSION_PAGES[asked.get("key-marker", "")].encode())


def test_versions():
    """Versions and delete markers come in S3's order, the newest of a key first, across pages."""
    table = Listing(_Versions(Bucket([])), versions=True).collect()
    assert table.schema.equals(VERSIONS)
    columns = ["key", "version_id", "is_latest", "is_delete_marker", "size", "etag"]
    assert [tuple(row.values()) for row in table.select(columns).to_pylist()] == [
        ("a/b c+", "v3", True, True, None, None),
        ("a/b c+", "v2", False, False, 2, "e2"),
        ("a/b c+", "v1", False, False, 1, "e1"),
        ("d", "null", True, False, 0, "e"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_versions_within_a_limit(limit):
    """A limit counts versions."""
    listing = Listing(_Versions(Bucket([])), versions=True, limit=limit)
    assert len(listing.collect()) == min(limit, 4)
    assert listing.truncated is (limit < 4)


class _Moto(FakeTarget):
    """A bucket of moto within this process, which answers requests without a socket."""

    def send(self, query):
        answer = requests.get("https://bucket.s3.amazonaws.com/", params=list(query), timeout=10)
        return Response(answer.status_code, {}, answer.content)


@pytest.fixture(scope="module")
def moto_bucket():
    """A bucket of hostile keys in moto, the size of each its place among them."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
        client.create_bucket(Bucket="bucket")
        for number, key in enumerate(HOSTILE_KEYS):
            client.put_object(Bucket="bucket", Key=key, Body=b"x" * number)
        yield


@pytest.mark.parametrize("page_keys", [1, 2, 7, 1000])
@pytest.mark.usefixtures("moto_bucket")
def test_hostile_keys_of_moto_in_process(page_keys):
    """Every hostile key that moto holds comes exactly, without a socket."""
    found = Listing(_Moto(Bucket([])), page_keys=page_keys).collect()
    assert _keys(found) == HOSTILE_KEYS
    assert found.column("size").to_pylist() == list(range(len(HOSTILE_KEYS)))


@pytest.mark.parametrize("page_keys", [1, 2, 7, 1000])
@pytest.mark.usefixtures("moto_bucket")
def test_folders_of_moto_in_process(page_keys):
    """The folders that moto's hostile keys make come exactly."""
    found = Listing(_Moto(Bucket([])), delimiter="/", page_keys=page_keys).collect()
    parts = [key.partition("/") for key in HOSTILE_KEYS]
    assert _keys(found) == sorted({head + slash for head, slash, _ in parts})


class _NoDelimiter(Connection):
    """Allows listing, and not by delimiter, as a policy can."""

    def answer(self, method, target):
        if "delimiter" in target:
            return "403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"
        return super().answer(method, target)


def test_a_policy_that_forbids_the_delimiter(serve):
    """Where only listings without a delimiter are allowed a recursive one works, and one by delimiter says why not."""
    target = SignedTarget(serve(Bucket(KEYS), connection=_NoDelimiter))
    assert _keys(Listing(target, page_keys=30).collect()) == KEYS
    with pytest.raises(AccessDeniedError):
        Listing(target, delimiter="/").collect()


def test_a_proxy(serve):
    """Requests go through the transport's proxy."""
    seen = []

    class Proxy(Connection):
        def answer(self, method, target):
            seen.append(target)
            return super().answer(method, "/" + target.split("/", 3)[3])

    proxy = serve(Bucket(KEYS), connection=Proxy)
    target = SignedTarget("http://bucket.invalid", transport=Transport(proxy=proxy))
    assert len(fetch_page(target, delimiter="")) == 1000
    assert seen[0].startswith("http://bucket.invalid/bucket?")


@pytest.mark.usefixtures("impatient")
def test_a_body_without_end_is_cut(monkeypatch, serve):
    """A body that is larger than any page can be is an error before it fills the memory."""
    monkeypatch.setattr(wire, "_LARGEST", 10000)
    with pytest.raises(EndpointError, match="OversizedError"):
        fetch_page(SignedTarget(serve(Bucket(KEYS))), delimiter="")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n"])
def test_a_list_without_rows(mark):
    """An empty list is empty, with or without a byte order mark and a declaration."""

    class Empty(FakeTarget):
        def send(self, query):
            del query
            return Response(200, {}, mark + b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    assert len(Listing(Empty(Bucket([]))).collect()) == 0


@pytest.mark.usefixtures("impatient")
def test_a_row_that_is_empty():
    """A row without anything in it is an error, not nothing."""

    class Empty(FakeTarget):
        def send(self, query):
            del query
            body = b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>"
            return Response(200, {}, body)

    with pytest.raises(IncompleteListingError, match="no Key"):
        Listing(Empty(Bucket([]))).collect()


def test_pages_from_many_threads(serve):
    """Pages of one target may be fetched from many threads at once."""
    target, found = SignedTarget(serve(Bucket(KEYS))), []
    threads = [threading.Thread(target=lambda: found.append(len(fetch_page(target, delimiter="")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1000] * 8


_AT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
TIMES = {
    "2024-01-02T03:04:05.1234567Z": _AT.replace(microsecond=123456),
    "2024-01-02T03:04:05.123456789Z": _AT.replace(microsecond=123456),
    "2024-01-02T03:04:05": _AT,
    "2024-01-02 03:04:05.5": _AT.replace(microsecond=500_000),
    "2024-01-02T05:04:05+0200": _AT,
    "Tue, 02 Jan 2024 03:04:05 GMT": _AT,
    "": None,
    None: None,
}


@pytest.mark.parametrize("counted", [1, 2])
@pytest.mark.parametrize("sent", TIMES)
def test_times_in_every_form_and_both_counts(sent, counted):
    """A time is read to the microsecond, of UTC, or missing; KeyCount counts folders or does not."""
    told = "" if sent is None else f"<LastModified>{sent}</LastModified>"
    body = (
        f"<ListBucketResult><Name>bucket</Name><Delimiter>/</Delimiter><KeyCount>{counted}</KeyCount>"
        f"<IsTruncated>false</IsTruncated><Contents><Key>a</Key>{told}<Size>3</Size></Contents>"
        "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    with recording(lambda _: Reply(200, {}, body.encode())) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        frame = run("LIST 's3://bucket/'").set_index("key")
    assert set(frame.index) == {"a", "b/"}
    time = frame["last_modified"]["a"]
    assert (None if pd.isna(time) else time.to_pydatetime()) == TIMES[sent]


ODD = {
    "<Size> 12\n</Size>": ("size", 12),
    "<Size>+12</Size>": ("size", 12),
    "<Size>12.0</Size>": ("size", 12),
    "<Size>5497558138880</Size>": ("size", 5497558138880),
    '<ETag>W/"x"</ETag>': ("etag", "x"),
    "<ETag>W/&quot;x&quot;</ETag>": ("etag", "x"),
    '<ETag> "x" </ETag>': ("etag", "x"),
    "<ETag>x-5</ETag>": ("etag", "x-5"),
    "<LastModified>20240102T030405Z</LastModified>": ("last_modified", _AT),
    "<LastModified>2024-01-02 03:04:05 UTC</LastModified>": ("last_modified", _AT),
    "<LastModified>1704164645</LastModified>": ("last_modified", _AT),
    "<LastModified>1704164645000</LastModified>": ("last_modified", _AT),
    "<LastModified>2024-01-02</LastModified>": ("last_modified", datetime(2024, 1, 2, tzinfo=UTC)),
    "<LastModified>0000-00-00T00:00:00Z</LastModified>": ("last_modified", None),
    "<Owner/>": ("key", "a"),
    "<Owner><ID>x</ID><DisplayName>y &amp; z</DisplayName></Owner>": ("key", "a"),
    "<Owner><Key>other</Key></Owner>": ("key", "a"),
}
INVISIBLE = ["\x01", "&#x01;", "&#1;", "\x0b", "\x1f", "\ufffe", "&#xFFFF;"]


def _page(row, around="", key="a"):
    size = "" if "<Size>" in row else "<Size>1</Size>"
    return (
        f"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{around}"
        f"<Contents><Key>{key}</Key>{row}{size}</Contents></ListBucketResult>"
    )


class _Says(FakeTarget):
    """Answers each request by the next of these bodies."""

    def __init__(self, *bodies):
        super().__init__(Bucket([]))
        self._bodies = [*bodies]
        self.seen = []

    def send(self, query):
        self.seen.append(dict(query))
        return Response(200, {}, self._bodies.pop(0).encode())


@pytest.mark.parametrize("row", ODD)
def test_a_row_in_another_form(row):
    """Sizes, etags and times in whatever form a server sends them are what they mean; owners are left."""
    name, value = ODD[row]
    table = Listing(_Says(_page(row))).collect()
    assert table.column(name).to_pylist() == [value]


@pytest.mark.parametrize("written", INVISIBLE)
@pytest.mark.parametrize("field", ["StartAfter", "Marker", "Prefix", "ContinuationToken", "RequestId"])
def test_an_echo_that_xml_cannot_hold(field, written):
    """A character that XML has no way to write is read where it is an echo, raw or as a reference, and so are keys."""
    body = _page("", f"<{field}>{written}</{field}>", f"{written}k")
    character = chr(int(written.strip("&#;").replace("x", "0x"), 0)) if "&" in written else written
    listing = Listing(_Says(body), prefix=character if field == "Prefix" else "")
    assert _keys(listing.collect()) == [f"{character}k"]


@pytest.mark.parametrize("written", INVISIBLE)
def test_a_token_and_folders_that_xml_cannot_hold(written):
    """A token goes back as it came, and folders are named exactly, whatever their characters."""
    character = chr(int(written.strip("&#;").replace("x", "0x"), 0)) if "&" in written else written
    more = f"<NextContinuationToken>t{written}</NextContinuationToken><CommonPrefixes><Prefix>{written}/</Prefix>"
    first = _page("", f"{more}</CommonPrefixes>").replace("false", "true")
    target = _Says(first, _page("", key="\U0001f600"))
    table = Listing(target, delimiter="/").collect()
    assert target.seen[1]["continuation-token"] == f"t{character}"
    assert set(_keys(table)) == {"a", "\U0001f600", f"{character}/"}


def test_a_character_that_stands_in_for_none_is_kept():
    """What would be mistaken for a character that XML cannot hold is no guess: the answer is refused."""
    body = _page("", "<StartAfter>\x01\U0010f701</StartAfter>")
    with pytest.raises(IncompleteListingError):
        Listing(_Says(*[body] * 5)).collect()


class _Older:
    """A server that knows ListObjects alone: it passes over what only the newer form has, or refuses that.

    Args:
        keys: in order.
        refuses: an error's status and code for `list-type=2`, or None.
        names_next: whether it says NextMarker where there is a delimiter.
    """

    def __init__(self, keys, *, refuses=None, names_next=True, most=7):
        self.keys, self.refuses, self.names_next, self.most = keys, refuses, names_next, most
        self.asked = []

    def __call__(self, request):
        """The page that is asked for."""
        query = request.query
        if request.method != "GET" or (request.path.count("/") > 1 and request.path.strip("/").count("/")):
            return Reply(200, {"Content-Length": "1", "ETag": '"e"'}, b"1")
        self.asked.append(query)
        if self.refuses and "list-type" in query:
            status, code = self.refuses
            return Reply(status, {}, f"<Error><Code>{code}</Code></Error>".encode() if code else b"")
        if "versions" in query:
            return Reply(501, {}, b"<Error><Code>NotImplemented</Code></Error>")
        return Reply(200, {}, self._page(query).encode())

    def _page(self, query):
        prefix, delimiter, marker = (query.get(name, "") for name in ("prefix", "delimiter", "marker"))
        rows = []
        for key in self.keys:
            if not key.startswith(prefix):
                continue
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            name = f"{prefix}{head}{cut}" if cut else key
            skipped = name <= marker or (cut and marker.startswith(name))
            if not skipped and (name, bool(cut)) not in rows:
                rows.append((name, bool(cut)))
        most = min(self.most, int(query.get("max-keys", 1000)))
        more, rows = len(rows) > most, rows[:most]
        named = f"<NextMarker>{quote(rows[-1][0])}</NextMarker>" if more and delimiter and self.names_next else ""
        url = "<EncodingType>url</EncodingType>" if query.get("encoding-type") else ""
        written = "".join(
            f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
            if folder
            else f"<Contents><Key>{quote(name)}</Key><Size>1</Size></Contents>"
            for name, folder in rows
        )
        return (
            f"<ListBucketResult><Name>bucket</Name><Prefix>{quote(prefix)}</Prefix><Marker>{quote(marker)}</Marker>{url}"
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{named}{written}</ListBucketResult>"
        )


_ROW = "<Contents><Key>{}</Key><Size>1</Size></Contents>"
_A, _B = _ROW.format("a"), _ROW.format("b")
_MORE = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
_OVER = "<IsTruncated>false</IsTruncated>"
_FOLDER = "<CommonPrefixes><Prefix>f/</Prefix></CommonPrefixes>"
FORMS = {
    "what is said stands behind the rows": ([_A + _B + _OVER], ["a", "b"]),
    "no name of the bucket": ([_OVER + _A], ["a"]),
    "an empty last page": ([_MORE + _A + _B, _OVER], ["a", "b"]),
    "a folder on each page": ([_MORE + _A + _FOLDER, _OVER + _FOLDER + _B.replace(">b<", ">g<")], ["a", "f/", "g"]),
    "capitals": (["<IsTruncated>False</IsTruncated>" + _A], ["a"]),
    "an empty token at the end": (["<NextContinuationToken/>" + _OVER + _A], ["a"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_page_in_another_form(form):
    """Whatever the order and the envelope of a page, its rows and folders come once each."""
    pages, names = FORMS[form]
    target = _Says(*(f"<ListBucketResult>{page}</ListBucketResult>" for page in pages))
    assert sorted(_keys(Listing(target, delimiter="/").collect())) == names


@pytest.mark.parametrize("time", ["", "soon", "2024-05-01T10:00:00.123456789Z", None])
def test_buckets_and_objects_whose_times_are_odd(time):
    """A time of a bucket or an object that is none is missing, and costs no row."""
    created = "" if time is None else f"<CreationDate>{time}</CreationDate>"
    named = f"<Buckets><Bucket><Name>bucket</Name>{created}</Bucket></Buckets>"
    headers = {"ETag": '"e"'} | ({} if time is None else {"Last-Modified": time})

    def answer(request):
        if request.path == "/":
            return Reply(200, {}, f"<ListAllMyBucketsResult>{named}</ListAllMyBucketsResult>".encode())
        return Reply(200, headers, b"id\n1\n")

    with recording(answer) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        (row,) = run("SHOW BUCKETS").itertuples()
        assert (row.bucket, pd.isna(row.created_at)) == ("bucket", time in {"", "soon", None})
        assert run("PREVIEW 's3://bucket/a.csv'").frame["id"].tolist() == [1]
        assert run("SELECT * FROM 's3://bucket/a.csv'")["id"].tolist() == [1]


class _SaysNothing(Bucket):
    """Escapes keys in a way of its own, or not at all, and says nothing of it; groups them as it likes."""

    def __init__(self, keys, write, groups=lambda name: name):
        super().__init__(keys)
        self._write, self._groups = write, groups

    def page(self, query):
        prefix, after = query["prefix"], bytes.fromhex(query.get("continuation-token", "")).decode()
        names = dict.fromkeys(self._named(key, prefix, query.get("delimiter")) for key in self.keys)
        left = sorted(name for name in names if name.startswith(prefix) and name > after)
        shown, most = left[: int(query["max-keys"])], int(query["max-keys"])
        kept = [xml_text(self._write(name)) for name in shown if name in self.keys]
        grouped = [xml_text(self._write(self._groups(name))) for name in shown if name not in self.keys]
        rows = "".join(_ROW.format(key) for key in kept)
        rows += "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in grouped)
        token = f"<NextContinuationToken>{shown[-1].encode().hex()}</NextContinuationToken>" if left[most:] else ""
        more = f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>{token}"
        echo = f"<Prefix>{xml_text(self._write(prefix))}</Prefix>"
        return f"<ListBucketResult>{echo}{more}{rows}</ListBucketResult>".encode()

    def _named(self, key, prefix, delimiter):
        head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter and self._groups else (key, "", "")
        return f"{prefix}{head}{cut}" if cut and key.startswith(prefix) else key


UNSAID = {
    "Æther Realm/[2011] Odin/cover.jpg": "Æther Realm/",
    "a%20b/100%25": "a%20b/",
    "a b/100%": "a b/",
    "c++/main+.cpp": "c++/",
    "c  /main .cpp": "c  /",
    "plain/a": "plain/",
    "q=1&r=2/x": "q=1&r=2/",
}
WRITINGS = {**ENCODINGS, "raw": lambda key: key}


@pytest.mark.parametrize("page_keys", [1, 1000])
@pytest.mark.parametrize("name", WRITINGS)
@pytest.mark.parametrize("keys", [[*UNSAID], *([key] for key in UNSAID)], ids=["all", *UNSAID])
def test_a_server_that_does_not_say_whether_it_escapes(name, keys, page_keys):
    """Keys and folders are exact though no EncodingType tells how they are written; to learn it takes two requests."""
    for prefix in ["", *(UNSAID[key] for key in keys)]:
        wanted = sorted(key for key in keys if key.startswith(prefix))
        target = FakeTarget(_SaysNothing(keys, WRITINGS[name]))
        assert _keys(Listing(target, prefix, page_keys=page_keys).collect()) == wanted
        pages = -(-len(wanted) // page_keys) + 1
        assert len(target.asked) <= pages + 2 * (page_keys == 1) * pages + 2
    target = FakeTarget(_SaysNothing(keys, WRITINGS[name]))
    folders = _keys(Listing(target, delimiter="/", page_keys=page_keys).collect())
    assert folders == sorted({key[: key.index("/") + 1] for key in keys})


@pytest.mark.parametrize("page_keys", [1, 2, 1000])
@pytest.mark.parametrize(
    "groups", [str, lambda name: name[:-1], None], ids=["as S3", "without the slash", "not at all"]
)
def test_folders_however_a_server_groups(groups, page_keys):
    """Common prefixes without their delimiter are folders, and so is what a server that ignores it lists below them."""
    keys = ["a", "b/", "b/1", "b/2/3", "b/2/4", "c/d/e"]
    found = {}
    for prefix in ("", "b/", "b/2/"):
        target = FakeTarget(_SaysNothing(keys, str, groups))
        found[prefix] = _keys(Listing(target, prefix, delimiter="/", page_keys=page_keys).collect())
    assert found == {"": ["a", "b/", "c/"], "b/": ["b/", "b/1", "b/2/"], "b/2/": ["b/2/3", "b/2/4"]}


class _NamesNoWay:
    """A server that knows `start-after`, and does not say how to go on."""

    def __init__(self, keys, *, truncated=True, token="", counts=True, heeds=True):
        self.keys, self.truncated, self.token, self.counts, self.heeds = keys, truncated, token, counts, heeds

    def __call__(self, request):
        query = request.query
        after, prefix = query.get("start-after", "") if self.heeds else "", query.get("prefix", "")
        names = []
        for key in self.keys:
            head, slash, _ = key[len(prefix) :].partition("/") if query.get("delimiter") else (key, "", "")
            name = f"{prefix}{head}/" if slash else key
            if key.startswith(prefix) and key > after and name not in names:
                names.append(name)
        page, folder = names[:7], query.get("delimiter")
        rows = "".join(
            f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
            if folder and name.endswith("/")
            else f"<Contents><Key>{name}</Key><Size>1</Size></Contents>"
            for name in page
        )
        said = f"<IsTruncated>{str(len(names) > 7).lower()}</IsTruncated>" if self.truncated else ""
        said += f"<KeyCount>{len(page)}</KeyCount>" if self.counts else ""
        return Reply(200, {}, f"<ListBucketResult>{rows}{said}{self.token}</ListBucketResult>".encode())


NO_WAY = {
    "says that more follows, and no token": {},
    "gives an empty token": {"token": "<NextContinuationToken></NextContinuationToken>"},
    "counts nothing": {"counts": False},
    "does not say whether more follows": {"truncated": False},
    "says nothing but rows": {"truncated": False, "counts": False},
}


@pytest.mark.parametrize("kind", NO_WAY)
def test_a_server_that_does_not_say_how_to_go_on(kind):
    """Every statement that lists goes on behind the last key, exact, until nothing comes; folders come once."""
    with recording(_NamesNoWay(OLD_KEYS, **NO_WAY[kind])) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        assert list(run("LIST 's3://bucket/' RECURSIVE")["key"]) == OLD_KEYS
        tops = sorted({key.partition("/")[0] + "/" if "/" in key else key for key in OLD_KEYS})
        assert sorted(run("LIST 's3://bucket/'")["key"]) == tops
        assert run("ANALYZE 's3://bucket/' BY PREFIX")["objects"].sum() == len(OLD_KEYS)
        target, token, names = run.connection("lake").target("bucket"), None, []
        while page := fetch_page(target, prefix="", delimiter="/", token=token):
            names += [*page.prefixes, *page.objects.column(0).to_pylist()]
            if (token := page.next_token) is None:
                break
    assert sorted(names) == tops


@pytest.mark.usefixtures("impatient")
def test_a_server_that_can_be_asked_in_no_way_is_refused():
    """Where `start-after` is passed over as well, the listing is an error with a way on, and no circle."""
    with recording(_NamesNoWay(OLD_KEYS, heeds=False)) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        for text in ("LIST 's3://bucket/' RECURSIVE", "LIST 's3://bucket/'"):
            failed = run.fails(text, IncompleteListingError)
            assert "TEST CONNECTION" in failed.hint


OLDER = {
    "passes over it": {},
    "names no next": {"names_next": False},
    "refuses it": {"refuses": (501, "NotImplemented")},
    "does not know it": {"refuses": (400, "InvalidArgument")},
    "refuses it without a word": {"refuses": (400, "")},
}
OLD_KEYS = sorted(
    {f"d{number % 9}/e{number % 4}/k {number:03}" for number in range(60)} | {f"f+{number}" for number in range(20)}
)


@pytest.mark.parametrize("kind", OLDER)
def test_a_server_that_knows_list_objects_alone(kind):
    """Every statement that lists goes on by `marker` where a server has no other way; VERSIONS says what it lacks."""
    with recording(server := _Older(OLD_KEYS, **OLDER[kind])) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        run(create("shown", ENDPOINT=wire.endpoint, PATH_DISPLAY_FILTER="s3://bucket/d1/", **pair))
        checks = run("TEST CONNECTION lake LOCATION 's3://bucket/d1/'").set_index("action")["allowed"]
        assert checks["list"]
        folders = below(run.connection("lake"), Location("bucket", ""), "d")
        assert folders.names[:2] == ("d0/", "d1/")
        assert list(run("LIST 's3://bucket/' RECURSIVE USING lake")["key"]) == OLD_KEYS
        run("USE CONNECTION lake")
        tops = sorted({key.partition("/")[0] + "/" if "/" in key else key for key in OLD_KEYS})
        assert sorted(run("LIST 's3://bucket/'")["key"]) == tops
        assert (
            list(run("LIST 's3://bucket/d3/' RECURSIVE LIMIT 5")["key"]) == [k for k in OLD_KEYS if k[:2] == "d3"][:5]
        )
        assert len(run("LIST 's3://bucket/' RECURSIVE MATCHING '**/k *5'")) == sum(
            k.endswith("5") and "/" in k for k in OLD_KEYS
        )
        assert run("ANALYZE 's3://bucket/' BY PREFIX")["objects"].sum() == len(OLD_KEYS)
        found = run.connection("lake").fsspec().find("bucket")
        assert sorted(found) == [f"bucket/{key}" for key in OLD_KEYS]
        failed = run.fails("LIST 's3://bucket/' VERSIONS", EndpointError)
        assert "LIST without VERSIONS" in failed.hint
    assert any("marker" in query for query in server.asked)


def test_the_explorer_pages_by_marker():
    """Pages that are asked for one by one, as the explorer asks, go on where the one before ended."""
    with recording(_Older(OLD_KEYS)) as wire:
        run = Statements()
        pair = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "b"}
        run(create("lake", ENDPOINT=wire.endpoint, VALIDATE=False, **pair))
        target, token, names = run.connection("lake").target("bucket"), None, []
        while page := fetch_page(target, prefix="", delimiter="/", token=token):
            names += [*page.prefixes, *page.objects.column(0).to_pylist()]
            if (token := page.next_token) is None:
                break
    assert sorted(names) == sorted({key.partition("/")[0] + "/" if "/" in key else key for key in OLD_KEYS})
