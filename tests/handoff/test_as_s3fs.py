"""Where the files of a connection answer as s3fs does, and where they are meant to differ, by calls of both."""

from __future__ import annotations

import io
import pickle

import fsspec
import pytest
from fsspec.generic import rsync
from shelf import shelved
from statements import Statements, create

from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

START = {
    "a.txt": b"hello",
    "a/x": b"x",
    "a/deep/y": b"yy",
    "both": b"file",
    "both/k": b"k",
    "empty/": b"",
    "odd//z": b"z",
}


@pytest.fixture(scope="module")
def served():
    """A server in memory, the recorder before it, and a connection."""
    with shelved("bucket") as (shelf, wire):
        run = Statements()
        run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=wire.endpoint, VALIDATE=False))
        yield shelf, wire, run.connection("lake")


@pytest.fixture
def objects(served):
    """The objects of the bucket, as each test begins with them."""
    shelf, wire, _ = served
    shelf.buckets.clear()
    wire.requests.clear()
    shelf.buckets["bucket"] = dict(START)
    return shelf.buckets["bucket"]


@pytest.fixture
def files(served, objects):
    """Files of the connection to the bucket as it begins."""
    assert objects
    return served[2].fsspec()


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda files: files.ls("bucket", detail=False)[:3], ["bucket/a", "bucket/a.txt", "bucket/both"]),
        (lambda files: files.cat("bucket/a.txt", recursive=True), b"hello"),
        (lambda files: files.cat("bucket/both", recursive=True), {"bucket/both": b"file", "bucket/both/k": b"k"}),
        (lambda files: files.sizes(["bucket/a.txt", "bucket/a"]), [5, 0]),
        (lambda files: isinstance(files.ukey("bucket/a"), str), True),
        (lambda files: files.open("bucket/a.txt").info()["size"], 5),
        (lambda files: files.open("bucket/a.txt").readuntil(b"l"), b"hel"),
        (lambda files: files.open("bucket/a.txt").loc, 0),
        (lambda files: files.open("bucket/a.txt").full_name, "s3conn://bucket/a.txt"),
    ],
)
def test_answers_are_those_of_s3fs(files, call, answer):
    """Names in order, one file as bytes, files with their details."""
    assert call(files) == answer


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda files: files.ls("bucket/empty"), []),
        (lambda files: files.find("bucket/empty", withdirs=True), []),
        (lambda files: files.find("", maxdepth=2)[:2], ["bucket/a.txt", "bucket/both"]),
        (lambda files: files.du(""), 14),
        (lambda files: files.cat_file("bucket/a.txt", 1, 3), b"el"),
        (lambda files: files.cat_file("bucket/a.txt", 3, 100), b"lo"),
        (lambda files: files.cat_file("bucket/a.txt", 0, 0), b""),
        (lambda files: files.glob("bucket/odd//*"), ["bucket/odd//z"]),
        (lambda files: files.find("bucket/odd", withdirs=True), ["bucket/odd", "bucket/odd//", "bucket/odd//z"]),
        (lambda files: list(files.walk("bucket/none")), []),
        (lambda files: files.glob("*"), ["bucket"]),
    ],
)
def test_answers_that_are_meant_to_differ(files, call, answer):
    """Empty folders are empty, bounds are those of a slice, keys are exact, and all buckets can be walked."""
    assert call(files) == answer


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (IsADirectoryError, lambda files: files.modified("bucket/a")),
        (IsADirectoryError, lambda files: files.rm_file("bucket")),
        (IsADirectoryError, lambda files: files.rm("bucket")),
        (IsADirectoryError, lambda files: files.mv("bucket/a", "bucket/b")),
        (FileNotFoundError, lambda files: files.rm("there-is-none")),
        (FileNotFoundError, lambda files: files.cat("bucket/none", recursive=True)),
        (FileNotFoundError, lambda files: files.open("bucket/a").read()),
        (FileExistsError, lambda files: files.pipe_file("bucket/a.txt", b"new", mode="create")),
        (ValueError, lambda files: files.open("x", "rb")),
        (ValueError, lambda files: files.open("", "rb")),
        (ValueError, lambda files: files.cat("B/key")),
        (ValueError, lambda files: files.open("bucket/a.txt").seek(0, 10)),
        (ValueError, lambda files: files.open("bucket/a.txt").seek(-6, 2)),
    ],
)
def test_what_is_not_done_is_an_error(files, objects, kind, call):
    """Nothing that was asked for is left out without a word, and nothing is changed."""
    with pytest.raises(kind):
        call(files)
    assert objects == START


def test_a_whole_bucket_is_fetched(files, objects, tmp_path):
    """Every object, in folders as its key says."""
    del objects["both"], objects["odd//z"]  # no file of this machine can be beside the folder of its name
    files.get("bucket", str(tmp_path / "all"), recursive=True)
    found = {
        str(path.relative_to(tmp_path / "all")): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert found == {key: body for key, body in objects.items() if not key.endswith("/")}


def test_an_object_beside_the_folder_of_its_name(files, objects):
    """It can be made where nothing is replaced, and deleted alone."""
    with files.open("bucket/a", "xb") as file:
        file.write(b"beside")
    assert objects["a"] == b"beside"
    files.rm("bucket/both")
    assert "both" not in objects
    assert objects["both/k"] == b"k"


def test_s3_s_own_parameters_go_along(files, served, tmp_path):
    """What an object is said to be, or is by its name, is kept with it, however it is written."""
    path = tmp_path / "page.html"
    path.write_text("<p>")
    with files.open("bucket/k", "wb", ContentType="text/x", Metadata={"a": "b"}) as file:
        file.write(b"1")
    files.pipe_file("bucket/k", b"1", ContentType="text/y", CacheControl="no-cache")
    files.put_file(path, "bucket/page.html")
    files.put(str(path), "bucket/page.html", ContentType="text/z")
    files.copy("bucket/k", "bucket/j", StorageClass="STANDARD_IA")
    said = [one.headers for one in served[1].requests if one.method == "PUT"]
    assert [one.get("content-type") for one in said[:4]] == ["text/x", "text/y", "text/html", "text/z"]
    assert (said[0]["x-amz-meta-a"], said[1]["cache-control"]) == ("b", "no-cache")
    assert said[4]["x-amz-storage-class"] == "STANDARD_IA"


@pytest.mark.parametrize("cache", ["blockcache", "filecache", "simplecache"])
@pytest.mark.usefixtures("objects")
def test_caches_of_fsspec_read_through_the_connection(served, tmp_path, cache):
    """By blocks, whole, or whole and forgotten."""
    where = {"s3": served[2].storage_options("fsspec"), cache: {"cache_storage": str(tmp_path)}}
    for _ in range(2):
        with fsspec.open(f"{cache}::s3://bucket/a.txt", **where) as file:
            assert (file.read(2), file.seek(3), file.read()) == (b"he", 3, b"lo")


def test_an_open_file_goes_to_where_it_is_pickled_to(files):
    """It is opened anew, where it stood."""
    file = files.open("bucket/a.txt")
    file.seek(2)
    assert pickle.loads(pickle.dumps(file)).read() == b"llo"


@pytest.mark.parametrize(
    ("mode", "use"),
    [
        ("wb", lambda file: file.write(b"2")),
        ("rb", lambda file: file.read()),
        ("rb", lambda file: file.read(1)),
        ("rb", lambda file: file.readinto(bytearray(1))),
        ("rb", lambda file: file.readline()),
        ("rb", list),
        ("rb", lambda file: file.seek(0)),
        ("rb", lambda file: file.tell()),
        ("rb", lambda file: file.peek()),
        ("rb", lambda file: file.readuntil(b"l")),
        ("rb", lambda file: file.cat_ranges([(0, 1)])),
        ("r", lambda file: file.read()),
        ("w", lambda file: file.write("2")),
    ],
)
def test_a_closed_file_says_so(files, objects, mode, use):
    """What is asked of it afterwards is Python's own error; what was written before is there, and no more."""
    file = files.open("bucket/k" if "w" in mode else "bucket/a.txt", mode)
    if "w" in mode:
        file.write("1" if mode == "w" else b"1")
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        use(file)
    assert objects.get("k") == (b"1" if "w" in mode else None)


@pytest.mark.parametrize(
    ("mode", "use"),
    [
        ("wb", lambda file: file.read()),
        ("wb", lambda file: file.readline()),
        ("wb", lambda file: file.seek(0)),
        ("rb", lambda file: file.write(b"1")),
        ("rb", lambda file: file.writelines([b"1"])),
        ("rb", lambda file: file.truncate()),
        ("w", lambda file: file.read()),
        ("r", lambda file: file.write("1")),
    ],
)
def test_a_file_does_what_its_mode_says(files, mode, use):
    """Anything else is the error that files of Python give."""
    with files.open("bucket/a.txt", mode) as file, pytest.raises(io.UnsupportedOperation):
        use(file)


def test_a_file_that_is_being_written_goes_nowhere(files):
    """Pickled it would be half an object, and is refused."""
    with files.open("bucket/k", "wb") as file, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(file)


@pytest.mark.parametrize("scheme", ["s3", "s3conn"])
@pytest.mark.usefixtures("objects")
def test_names_keep_the_scheme_that_was_asked_for(served, tmp_path, scheme):
    """Libraries that look the filesystem of each name up again, as fsspec's rsync, find the connection's."""
    options = served[2].storage_options("fsspec")
    (tmp_path / "one").write_bytes(b"1")
    files = fsspec.filesystem(scheme, **options)
    assert files.unstrip_protocol("bucket/a.txt") == f"{scheme}://bucket/a.txt"
    assert pickle.loads(pickle.dumps(files)).unstrip_protocol("bucket/a") == f"{scheme}://bucket/a"
    rsync(
        f"file://{tmp_path}",
        f"{scheme}://bucket/synced",
        inst_kwargs={"default_method": "options", "storage_options": {scheme: options}},
    )
    assert files.cat("bucket/synced/one") == b"1"
