"""Requests signed with a kept key carry the signature that botocore gives them."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from s3conn_magic.connections.signing import Signer, Template

_HEADERS = {"User-Agent": "a  b", "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "x-amz-request-payer": "requester"}
_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def _template(url: str) -> Template:
    return Template(url, _HEADERS, "eu-west-1", "s3", "s3v4")


def _by_botocore(template: Template, credentials: ReadOnlyCredentials, url: str, stamp: str) -> str:
    """The signature of a request that was sent at a time."""
    signer = S3SigV4Auth(credentials, template.signing_name, template.region)
    request = AWSRequest("GET", url, headers=dict(template.headers))
    request.context |= {"timestamp": stamp, "payload_signing_enabled": False}
    signer._modify_request_before_signing(request)
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/bucket", "https://bucket.s3.eu-west-1.amazonaws.com/"])
@pytest.mark.parametrize("token", [None, "a/session+token=="])
@given(prefix=_TEXTS, after=_TEXTS)
def test_the_signature_is_botocores(url, token, prefix, after):
    """First and later requests, with whatever prefix and position, are signed as botocore signs them."""
    template, credentials = _template(url), ReadOnlyCredentials("AKIDEXAMPLE", "secret/key+", token)
    signer = Signer(template, credentials)
    for query in (
        "list-type=2&prefix=",
        f"prefix={quote(prefix, safe='-_.~')}&start-after={quote(after, safe='-_.~')}",
    ):
        signed = signer.sign(query)
        expected = _by_botocore(template, credentials, signed.url, signed.headers["X-Amz-Date"])
        assert signed.headers["Authorization"].endswith(f"Signature={expected}")
        assert signed.url == f"{url}?{query}"
        assert signed.headers.get("X-Amz-Security-Token") == token


def test_where_the_signature_is_not_understood(monkeypatch):
    """Where botocore's signature is another than the one computed here, botocore signs every request."""
    signed = []
    add_auth = S3SigV4Auth.add_auth

    def other(self, request):
        add_auth(self, request)
        signed.append(request.url)
        request.headers["Authorization"] = re.sub("Signature=.", "Signature=x", request.headers["Authorization"])

    monkeypatch.setattr(S3SigV4Auth, "add_auth", other)
    signer = Signer(_template("http://127.0.0.1:9000/bucket"), ReadOnlyCredentials("AKIDEXAMPLE", "secret", None))
    for number in range(3):
        signer.sign(f"prefix={number}")
    assert [url.rpartition("=")[2] for url in signed] == ["0", "1", "2"]
