"""What the explorer does with versions, deleted and archived objects, buckets, folders, and several objects at once."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile

import pytest
from recording import error, passing_to

from s3conn_magic.explorer import transfers
from s3conn_magic.explorer.details import thaw_text
from s3conn_magic.explorer.transfers import free_name, member_names
from s3conn_magic.locations import Location
from s3conn_magic.objects import deleting, description
from s3conn_magic.objects.deleting import SeenObjects, thaws
from s3conn_magic.objects.description import Description
from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE


@pytest.fixture
def versioned(upstream):
    """Makes objects of several versions in the bucket that keeps them; they go again. None stands for a deletion."""
    made = []

    def make(key, *bodies):
        made.append(key)
        for body in bodies:
            if body is None:
                upstream.delete_object(Bucket=ARCHIVE, Key=key)
            else:
                upstream.put_object(Bucket=ARCHIVE, Key=key, Body=body, Metadata={"by": "us"})

    yield make
    for key in made:
        answer = upstream.list_object_versions(Bucket=ARCHIVE, Prefix=key)
        for one in [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]:
            upstream.delete_object(Bucket=ARCHIVE, Key=one["Key"], VersionId=one["VersionId"])


def body_of(upstream, key):
    return upstream.get_object(Bucket=ARCHIVE, Key=key)["Body"].read()


def test_versions_are_told_apart_by_the_second(explore, versioned):
    """Each version has its time to the second."""
    versioned("ways/a.txt", b"one", b"two")
    page = explore(f"s3://{ARCHIVE}/ways/").show("a.txt")
    assert [bool(re.search(r":\d\d:\d\d UTC$", one["when"])) for one in page.last("details")["versions"]] == [True] * 2


def test_a_version_is_restored_after_a_question(explore, versioned, upstream):
    """Nothing is written before the yes; then a copy of the version is the current one, and the others stay."""
    versioned("ways/a.txt", b"first", b"second one")
    page = explore(f"s3://{ARCHIVE}/ways/").show("a.txt")
    old = next(one for one in page.last("details")["versions"] if not one["latest"])
    page.do("restore", id="r", version=old["id"])
    asked = page.task("r", "asking")
    assert old["when"] in asked["text"]
    assert body_of(upstream, "ways/a.txt") == b"second one"
    page.got.clear()
    page.do("confirm", id="r", question=asked["question"])
    assert "Restored the version" in page.task("r", "done")["text"]
    assert body_of(upstream, "ways/a.txt") == b"first"
    assert upstream.head_object(Bucket=ARCHIVE, Key="ways/a.txt")["Metadata"] == {"by": "us"}
    page.until(lambda one: one["type"] == "preview" and one.get("text") == "first")
    assert len(page.last("details")["versions"]) == 3


ABOUT = {
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentEncoding": "identity",
    "ContentLanguage": "de",
    "ContentType": "text/x-test",
    "Metadata": {"by": "us", "odd": "a b+c"},
    "StorageClass": "STANDARD_IA",
}
MIB = 1024**2


@pytest.fixture
def in_parts(monkeypatch):
    """Has versions of any size copied in parts, of the least size that there may be."""
    monkeypatch.setattr(deleting, "_COPIED_AT_ONCE", 1)
    monkeypatch.setattr(deleting, "_COPIED_PART", 5 * MIB)


@pytest.mark.parametrize("how", ["by one request", "in parts"])
def test_a_restored_version_is_what_it_was(how, explore, versioned, upstream, request):
    """By one request or in parts, it has its bytes, type, metadata, class and tags."""
    body, tags = bytes(range(256)) * 4096 * 11, [{"Key": "team", "Value": "a=b +c@d"}, {"Key": "empty", "Value": ""}]
    if how == "in parts":
        request.getfixturevalue("in_parts")
    key = "ways/a.bin"
    versioned(key)
    old = upstream.put_object(Bucket=ARCHIVE, Key=key, Body=body, **ABOUT)["VersionId"]
    upstream.put_object_tagging(Bucket=ARCHIVE, Key=key, VersionId=old, Tagging={"TagSet": tags})
    upstream.put_object(Bucket=ARCHIVE, Key=key, Body=b"newer")
    page = explore(f"s3://{ARCHIVE}/ways/").show("a.bin")
    page.do("restore", id="r", version=old)
    page.do("confirm", id="r", question=page.task("r", "asking")["question"])
    page.task("r", "done")
    now = upstream.get_object(Bucket=ARCHIVE, Key=key)
    assert now["Body"].read() == body
    assert {name: now[name] for name in ABOUT} == ABOUT
    assert upstream.get_object_tagging(Bucket=ARCHIVE, Key=key)["TagSet"] == tags


@pytest.mark.parametrize("why", ["stopped", "refused"])
@pytest.mark.usefixtures("in_parts")
def test_a_copy_in_parts_that_ends_early_leaves_nothing(why, explore, versioned, upstream, recorder):
    """Stopped or refused in its midst, its parts are dropped, and what is current stays so."""
    versioned("ways/a.bin", bytes(11 * MIB), b"newer")
    page = explore(f"s3://{ARCHIVE}/ways/").show("a.bin")
    old = next(one for one in page.last("details")["versions"] if not one["latest"])
    pass_on = recorder.answer

    def answer(one):
        if "partNumber" in one.query and why == "stopped":
            page.do("halt", id="r")
        return error(403, "AccessDenied") if one.query.get("partNumber") == "2" and why == "refused" else pass_on(one)

    recorder.answer = answer
    page.do("restore", id="r", version=old["id"])
    page.do("confirm", id="r", question=page.task("r", "asking")["question"])
    if why == "stopped":
        page.gone("r")
    else:
        page.task("r", "failed")
    assert body_of(upstream, "ways/a.bin") == b"newer"
    assert upstream.list_multipart_uploads(Bucket=ARCHIVE).get("Uploads", []) == []


@pytest.mark.parametrize("how", ["no", "read-only"])
def test_nothing_is_restored_without_a_yes_or_by_a_reader(how, explore, connect, versioned, recorder):
    """A no, and a READ_ONLY connection, send no request that writes."""
    versioned("ways/a.txt", b"first", b"second one")
    connection = connect(**({"READ_ONLY": True} if how == "read-only" else {}))
    page = explore(f"s3://{ARCHIVE}/ways/", connection).show("a.txt")
    recorder.requests.clear()
    old = next(one for one in page.last("details")["versions"] if not one["latest"])
    page.do("restore", id="r", version=old["id"])
    if how == "no":
        page.task("r", "asking")
        page.do("halt", id="r")
        page.gone("r")
    else:
        assert "READ_ONLY" in page.task("r", "failed")["text"]
    assert {one.method for one in recorder.requests} <= {"GET", "HEAD"}


def test_deleted_objects_are_shown_on_demand_and_brought_back(explore, versioned, upstream):
    """What was deleted stands among the rows, marked; its versions can be looked at; its deletion is taken back."""
    versioned("ways/gone.txt", b"was here", None, None)
    versioned("ways/there.txt", b"is here")
    page = explore(f"s3://{ARCHIVE}/ways/")
    assert page.names() == ["there.txt"]
    page.do("deleted", shown=True)
    assert page.shows("gone.txt", "there.txt")
    rows = {row[5]: row[9] for one in page.got if one["type"] == "rows" for row in one["rows"] if row[2] == "row"}
    assert (rows["gone.txt"] & 16, rows["there.txt"] & 16) == (16, 0)
    page.choose("gone.txt")
    page.do("delete", id="none")
    assert "Choose" in page.task("none", "failed")["text"]
    page.show("gone.txt")
    details = page.last("details")
    assert (details["deleted"], sorted(one["marker"] for one in details["versions"])) == (True, [False, True, True])
    page.got.clear()
    page.do("version", id=next(one["id"] for one in details["versions"] if not one["marker"]))
    assert page.part("preview")["text"] == "was here"
    page.do("restore", id="b", version=None)
    page.do("confirm", id="b", question=page.task("b", "asking")["question"])
    assert page.task("b", "done")["text"] == "Brought back, 8 B"
    assert body_of(upstream, "ways/gone.txt") == b"was here"
    page.do("deleted", shown=False)
    assert page.shows("gone.txt", "there.txt")


def test_what_is_left_of_nothing_is_an_error(explore, versioned, upstream):
    """A deleted object whose versions have gone as well cannot be brought back, and that is said."""
    versioned("ways/gone.txt", b"x", None)
    page = explore(f"s3://{ARCHIVE}/ways/")
    page.do("deleted", shown=True)
    assert page.shows("gone.txt")
    answer = upstream.list_object_versions(Bucket=ARCHIVE, Prefix="ways/gone.txt")
    for one in answer["Versions"]:
        upstream.delete_object(Bucket=ARCHIVE, Key=one["Key"], VersionId=one["VersionId"])
    page.show("gone.txt")
    page.do("restore", id="b", version=None)
    page.do("confirm", id="b", question=page.task("b", "asking")["question"])
    assert "no version of" in page.task("b", "failed")["text"]


# Out of the archive

GIB = 2**30
PRICES = [
    ("GLACIER", None, {"Bulk": 0.0, "Standard": 100 * 0.01 + 0.05 / 1000, "Expedited": 100 * 0.03 + 10 / 1000}),
    ("DEEP_ARCHIVE", None, {"Bulk": 100 * 0.0025 + 0.025 / 1000, "Standard": 100 * 0.02 + 0.1 / 1000}),
    ("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", {"Bulk": 0.0, "Standard": 0.0, "Expedited": 0.0}),
    ("INTELLIGENT_TIERING", "DEEP_ARCHIVE_ACCESS", {"Bulk": 0.0, "Standard": 0.0}),
]


@pytest.mark.parametrize(("storage", "status", "usd"), PRICES)
def test_a_restore_has_its_price(storage, status, usd):
    """100 GiB cost what S3's list says of each class and speed, and a week of a copy in S3 Standard beside it."""
    known = Description("s3://b/k", "a", 100 * GIB, storage_class=storage, archive_status=status, archived=True)
    found = thaws(known)
    assert {each.tier: pytest.approx(each.usd) for each in found} == usd
    assert {round(each.usd_kept, 6) for each in found} == {0.0 if status else round(100 * 0.023 * 7 / 30, 6)}
    for each in found:
        text = thaw_text(each, known)
        assert "nothing" in text if not each.usd else f"${each.usd:,.2f}" in text


def test_what_is_not_archived_or_comes_already_has_no_restore():
    """Standard objects, restored ones, and those that are under way are not offered one."""
    for more in ({}, {"archived": True, "restore": "in progress"}, {"archived": False, "restore": "until 2026"}):
        assert thaws(Description("s3://b/k", "a", 1, storage_class="GLACIER", **more)) == []


def test_an_archived_object_is_asked_for_after_its_price(explore, upstream):
    """The panel offers each speed with its price; after a yes the object is asked for, and that it comes is seen."""
    upstream.put_object(Bucket=EMPTY, Key="cold.bin", Body=b"x" * 1000, StorageClass="GLACIER")
    page = explore(f"s3://{EMPTY}/").show("cold.bin")
    assert page.last("preview")["kind"] == "archived"
    assert [one["tier"] for one in page.last("details")["thaws"]] == ["Bulk", "Standard", "Expedited"]
    page.do("thaw", id="t", tier="Standard")
    asked = page.task("t", "asking")
    assert "It costs less than a cent, and less than a cent for a copy of 7 days" in asked["text"]
    assert "Restore" not in str(upstream.head_object(Bucket=EMPTY, Key="cold.bin").get("Restore"))
    page.do("confirm", id="t", question=asked["question"])
    assert page.task("t", "done")["text"].startswith("Asked for: it can be read in 3 to 5 hours")
    assert upstream.head_object(Bucket=EMPTY, Key="cold.bin")["Restore"]
    upstream.delete_object(Bucket=EMPTY, Key="cold.bin")


# A bucket, and a folder


def test_a_bucket_tells_how_it_is_set_up(explore, upstream):
    """Region, versions, encryption, public access, lifecycle and policy, each in words."""
    rules = [
        {
            "ID": "old",
            "Status": "Enabled",
            "Filter": {"Prefix": "logs/"},
            "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
            "Expiration": {"Days": 365},
        }
    ]
    upstream.put_bucket_lifecycle_configuration(Bucket=ARCHIVE, LifecycleConfiguration={"Rules": rules})
    blocks = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    upstream.put_public_access_block(Bucket=ARCHIVE, PublicAccessBlockConfiguration=blocks)
    try:
        page = explore("")
        page.do("show", place=page.place(ARCHIVE))
        page.do("properties")
        facts = dict(page.part("properties")["facts"])
    finally:
        upstream.delete_bucket_lifecycle(Bucket=ARCHIVE)
        upstream.delete_public_access_block(Bucket=ARCHIVE)
    assert facts["Versioning"] == "Enabled"
    assert facts["Public access"] == "blocked"
    assert facts["Lifecycle"] == "logs/: to GLACIER after 30 days, deleted after 365 days"
    assert facts["Policy"] == "none"
    assert list(facts) == ["Region", "Versioning", "Encryption", "Public access", "Lifecycle", "Policy"]


def test_what_may_not_be_seen_of_a_bucket_is_said(explore, recorder, sandbox):
    """Each property that is refused names the action, and the others are told."""
    page, ask = explore(""), passing_to(sandbox.endpoint)
    refused = {"lifecycle", "encryption", "policyStatus"}
    recorder.answer = lambda one: error(403, "AccessDenied") if refused & one.query.keys() else ask(one)
    page.do("show", place=page.place(EMPTY))
    page.do("properties")
    facts = dict(page.part("properties")["facts"])
    assert facts["Lifecycle"] == "s3:GetLifecycleConfiguration is not allowed"
    assert facts["Encryption"] == "s3:GetEncryptionConfiguration is not allowed"
    assert facts["Policy"] == "s3:GetBucketPolicyStatus is not allowed"
    assert facts["Versioning"] == "never kept versions"


def test_a_property_that_does_not_come_is_said_and_the_others_are_told(explore, recorder, sandbox, monkeypatch):
    """After a while it is not waited for any more; Stop ends the wait at once."""
    released, ask = threading.Event(), passing_to(sandbox.endpoint)
    recorder.answer = lambda one: (released.wait(60) if "lifecycle" in one.query else None, ask(one))[1]
    page = explore("")
    page.do("show", place=page.place(EMPTY))
    page.do("properties")
    page.until(lambda one: one["type"] == "properties" and one.get("busy"))
    page.do("halt", id="")
    assert page.part("properties")["error"]["message"] == "Stopped"
    monkeypatch.setattr(description, "_PATIENCE", 1.0)
    page.got.clear()
    page.do("properties")
    facts = dict(page.part("properties")["facts"])
    released.set()
    assert facts["Lifecycle"] == "no answer within 1 seconds"
    assert facts["Versioning"] == "never kept versions"


def test_datasets_of_a_folder_are_found_in_the_panel(explore):
    """What DISCOVER says of a folder stands in the panel, and each query runs as it is copied."""
    page = explore(f"s3://{LAKE}/")
    page.do("show", place=page.place("events/"))
    page.do("discover")
    part = page.part("datasets")
    assert len(part["found"]) == 1
    (found,) = part["found"]
    assert "Parquet" in found["headline"]
    assert dict(found["lines"]).keys() >= {"partitions", "columns", "why"}
    assert found["query"].startswith("%%upsql\nSELECT * FROM 's3://lake@acme-lake/events/")


# Several at once


def unpacked(page, id):  # noqa: A002 - the message's own name
    """The members of the ZIP file that a page was given."""
    parts = [one for one in page.got if one["type"] == "piece" and one["id"] == id]
    with zipfile.ZipFile(io.BytesIO(b"".join(bytes(one["buffers"][0]) for one in parts))) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.fixture
def several(upstream):
    """A folder of objects, which go again."""
    bodies = {"zip/a.txt": b"a" * 3_000_000, "zip/deep/b.bin": bytes(range(256)) * 300, "zip/deep/empty": b""}
    for key, body in bodies.items():
        upstream.put_object(Bucket=EMPTY, Key=key, Body=body)
    yield bodies
    for key in bodies:
        upstream.delete_object(Bucket=EMPTY, Key=key)


def test_several_are_downloaded_as_one_zip(explore, connect, several):
    """Objects and folders that are chosen, also by a READ_ONLY connection, are members by their names below."""
    page = explore(f"s3://{EMPTY}/zip/", connect(READ_ONLY=True)).choose("a.txt", "deep/")
    assert page.last("state")["summary"].endswith("2 selected · 3 MB and what is in 1 folder")
    page.do("zip", id="z")
    page.task("z", "done")
    assert unpacked(page, "z") == {key.removeprefix("zip/"): body for key, body in several.items()}


def test_a_zip_is_whole_or_not_there(explore, several, upstream):
    """An object that was replaced since it was seen ends it, with its name, and the page is given no file."""
    page = explore(f"s3://{EMPTY}/zip/").choose("a.txt", "deep/")
    upstream.put_object(Bucket=EMPTY, Key="zip/a.txt", Body=b"another")
    page.do("zip", id="z")
    assert "zip/a.txt has changed" in page.task("z", "failed")["text"]
    assert not [one for one in page.got if one["type"] == "piece" and one["done"]]
    del several


def test_several_are_saved_beside_the_notebook(explore, several, tmp_path, monkeypatch):
    """The file lies in the kernel's folder, whole, in place of none that was there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zip.zip").write_text("mine")
    page = explore(f"s3://{EMPTY}/").choose("zip/")
    page.do("zip", id="z", save=True)
    assert str(tmp_path / "zip (2).zip") in page.task("z", "done")["text"]
    assert (tmp_path / "zip.zip").read_text() == "mine"
    with zipfile.ZipFile(tmp_path / "zip (2).zip") as archive:
        assert sorted(archive.namelist()) == ["a.txt", "deep/b.bin", "deep/empty"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["zip (2).zip", "zip.zip"]
    del several


def test_a_page_that_is_gone_has_downloaded_nothing(explore, monkeypatch):
    """That a file was downloaded is said when its page says that it has it; of one that was loaded again, it is not."""
    monkeypatch.setattr(transfers, "TAKEN_WITHIN", 0.3)
    page = explore(f"s3://{LAKE}/").show("README.txt")
    page.takes = False
    page.do("download", id="d")
    assert "nothing was downloaded" in page.task("d", "failed")["text"]
    assert "Downloaded" not in json.dumps([one for one in page.got if one["type"] == "tasks"])


KEYS = [
    "../../etc/passwd",
    "/abs",
    "a//b",
    "C:\\x",
    "con\x1bsole",
    "A",
    "a",
    "a.",
    "..",
    "é",
    "folder/",
    "\u202egnp.exe",
]


def test_names_within_a_zip_stay_within_it():
    """No member's name leads out of the folder it is unpacked to, and none is there twice, whatever the system."""
    seen = SeenObjects()
    for key in KEYS:
        seen.add("bucket", key, 1, None)
    names = list(member_names(seen).values())
    assert len(names) == len(KEYS) - 1
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        parts = name.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert not re.search(r'[<>:"\\|?*\x00-\x1f\u202e]', name)


def test_a_file_that_is_saved_lies_in_its_folder(tmp_path):
    """Whatever an object is called, its file lies in the folder, by a name that was free."""
    for name in (*KEYS, "x" * 400 + ".csv"):
        path = free_name(tmp_path, name)
        assert path.parent == tmp_path
        path.write_text("")
        assert free_name(tmp_path, name) != path
    assert Location("b").bucket
