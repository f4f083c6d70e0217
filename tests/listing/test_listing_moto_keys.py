"""Hostile keys, exact through moto: in process without a socket, and over HTTP as a connection lists them."""

from __future__ import annotations

import re

import boto3
import pytest
from hostile_keys import HOSTILE
from moto import mock_aws
from servers import moto_server
from wires import PAIR, connect, new_session

import s3conn_magic
from s3conn_magic.listing import Listing, fetch_page
from s3conn_magic.transport.wire import Wire

KEYS = sorted(HOSTILE.values())
SIZES = {key: number for number, key in enumerate(KEYS)}
FOLDERS = sorted({"", *(key[: end + 1] for key in KEYS for end, sign in enumerate(key) if sign == "/")})
BUCKET = "hostile"
LINES = {name: key for name, key in HOSTILE.items() if "\n" in key}
"""Keys that moto's server does not take: its router's pattern for keys ends at a line feed. It lists them, though."""
STARTS = [key for key in KEYS if not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", key)]
"""Keys to start after: moto repeats `start-after` as it came, and with other characters its answer is no XML."""


def _pair():
    names = ("aws_access_key_id", "aws_secret_access_key")
    return dict(zip(names, (PAIR.access_key_id, PAIR.secret_access_key.reveal()), strict=True))


@pytest.fixture(scope="module")
def filled():
    """One bucket of moto's with every hostile key, the size of each its place among them."""
    mock = mock_aws()
    mock.start()
    client = boto3.client("s3", region_name="us-east-1", **_pair())
    client.create_bucket(Bucket=BUCKET)
    for key, size in SIZES.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x" * size)
    mock.stop(remove_data=False)
    yield mock
    mock.start()
    mock.stop()


@pytest.fixture
def in_process(filled, monkeypatch):
    """The bucket without a socket, as a connection has it within the mock."""

    def send(_wire, _request, **_options):
        raise AssertionError("a request is sent by a socket")

    new_session(monkeypatch)
    monkeypatch.setattr(Wire, "send", send)
    filled.start(reset=False)
    yield connect(REGION="us-east-1").target(BUCKET)
    filled.stop(remove_data=False)


@pytest.fixture(scope="module")
def endpoint(filled):
    """A server of moto's over the same bucket."""
    del filled
    with moto_server() as address:
        yield address


@pytest.fixture
def lake(endpoint, monkeypatch):
    """A connection to it, in a new session."""
    new_session(monkeypatch)
    return connect(ENDPOINT=endpoint, REGION="us-east-1")


def _keys(table):
    return table.column("key").to_pylist()


def _children(folder, keys):
    """What is in a folder: keys, and folders with their slash."""
    below = (key[len(folder) :].partition("/") for key in keys if key.startswith(folder))
    return sorted({folder + head + slash for head, slash, _ in below})


@pytest.mark.parametrize("page_keys", [2, 7, 1000])
def test_in_process(in_process, page_keys):
    """Every key and size comes exactly through botocore and moto in one process."""
    table = Listing(in_process, page_keys=page_keys).collect()
    assert dict(zip(_keys(table), table.column("size").to_pylist(), strict=True)) == SIZES


@pytest.mark.parametrize("page_keys", [1, 7])
def test_folders_in_process(in_process, page_keys):
    """The folders and keys of the root come exactly, however small the pages."""
    assert _keys(Listing(in_process, delimiter="/", page_keys=page_keys).collect()) == _children("", KEYS)


def test_a_statement_over_http(lake):
    """LIST … RECURSIVE gives every key and size, as boto3's paginator does."""
    frame = s3conn_magic.execute(f"LIST 's3://{BUCKET}/' RECURSIVE")
    assert dict(zip(frame["key"], frame["size"], strict=True)) == SIZES
    pages = lake.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    assert sorted(one["Key"] for page in pages for one in page["Contents"]) == frame["key"].tolist()


@pytest.mark.parametrize("page_keys", [1, 2, 7, 1000])
def test_pages_over_http(lake, page_keys):
    """Ranges, looks and tokens over real sockets lose and double no key, however small the pages."""
    assert _keys(Listing(lake.target(BUCKET), page_keys=page_keys, connections=4).collect()) == KEYS


@pytest.mark.parametrize("page_keys", [2, 7])
def test_folders_over_http(lake, page_keys):
    """A listing by delimiter gives the folders and keys of the root, page by page."""
    listing = Listing(lake.target(BUCKET), delimiter="/", page_keys=page_keys)
    assert _keys(listing.collect()) == _children("", KEYS)


def test_every_folder_over_http(lake):
    """LIST of each folder, whatever its name, gives what is in it and nothing else."""
    target = lake.target(BUCKET)
    found = {folder: _keys(Listing(target, folder, delimiter="/").collect()) for folder in FOLDERS}
    assert found == {folder: _children(folder, KEYS) for folder in FOLDERS}


def test_every_key_as_a_prefix(lake):
    """Each key is found by itself, so no character of a prefix is lost on the way."""
    target = lake.target(BUCKET)
    found = {key: _keys(Listing(target, key).collect()) for key in KEYS}
    assert found == {key: [one for one in KEYS if one.startswith(key)] for key in KEYS}


def test_every_key_as_a_start(lake):
    """A page after each key begins with the next one, so no character of `start-after` is lost on the way."""
    target = lake.target(BUCKET)
    assert len(STARTS) > 150
    for key in STARTS:
        page = fetch_page(target, delimiter="", start_after=key, max_keys=1)
        assert page.objects.column(0).to_pylist() == [one for one in KEYS if one > key][:1], ascii(key)


@pytest.mark.parametrize("name", LINES)
def test_keys_that_moto_s_server_does_not_take(lake, name):
    """The keys that are put into moto in process are those that its server refuses, and no others of that kind."""
    client = lake.client("s3")
    with pytest.raises(client.exceptions.ClientError):
        client.put_object(Bucket=BUCKET, Key=LINES[name], Body=b"")


def test_there_are_enough():
    """More than 160 keys, no two alike."""
    assert len(KEYS) == len({*KEYS}) > 160
