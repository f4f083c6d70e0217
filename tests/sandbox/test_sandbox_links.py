"""Presigned URLs in the sandbox."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from boto_clients import client

from s3conn_magic.sandbox import LAKE


def opened(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def link(sandbox, keys, key, **options):
    s3 = client("s3", sandbox.endpoint, keys)
    s3.meta.events.register_first("choose-signer.s3", lambda **_: "s3v4-query")
    return s3.generate_presigned_url("get_object", Params={"Bucket": LAKE, "Key": key}, **options)


def test_a_link_opens_what_its_signer_may_read(sandbox):
    """A link of the admin opens the object; one of a user who may not read it does not."""
    assert opened(link(sandbox, sandbox.admin, "README.txt")).startswith(b"Acme's data lake")
    assert opened(link(sandbox, sandbox.restricted, "sales/orders.csv"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        opened(link(sandbox, sandbox.restricted, "README.txt"))


def test_an_altered_or_ended_link_opens_nothing(sandbox, monkeypatch):
    """Another key, another length or signature, or a link that has ended, is refused."""
    good = link(sandbox, sandbox.admin, "README.txt", ExpiresIn=600)
    altered = [
        good.replace("README.txt", "sales/orders.csv"),
        good.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
    ]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: long_ago.replace(tzinfo=None))
    altered.append(link(sandbox, sandbox.admin, "README.txt", ExpiresIn=600))
    for url in altered:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            opened(url)
