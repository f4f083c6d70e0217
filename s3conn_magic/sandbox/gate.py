"""A WSGI application in front of moto that closes what moto's IAM leaves open."""

from __future__ import annotations

import hmac
import io
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Response

from s3conn_magic.sandbox.data import BUCKETS
from s3conn_magic.sandbox.identities import (
    ADMIN,
    ANONYMOUS,
    REGION,
    RESTRICTED,
    RESTRICTED_LOCATION,
    ROLE_ARN,
    Keys,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_MOTO_OWN = ("/moto-api", "/latest/")
_REGIONS = {bucket.name: bucket.region for bucket in BUCKETS}
_FORBIDDEN = 403
_SCOPE_SLASHES = 3


class Gate:
    """Passes requests to moto, except where moto would allow what AWS refuses, or fail.

    * moto fails on an unsigned request: it is signed here as the user `anonymous`, whose policy then decides.
    * moto ignores conditions on `s3:prefix`: a restricted listing outside its prefix is refused after moto has
      verified the signature.
    * moto checks an external id only when one is sent, and a role only when it exists: assuming the role without an
      external id, or any other role, is refused.
    * AWS names the bucket's region even when it refuses HeadBucket; moto does not.
    * moto's IAM does not know presigned URLs: the signature and the end of one are checked here, and the request goes
      on as its signer's.
    * moto's own control pages, which could reset it, are closed.
    """

    def __init__(self, moto: WSGIApplication) -> None:
        self._moto = moto

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        return self._answer(environ)(environ, start_response)

    def _answer(self, environ: WSGIEnvironment) -> Response:
        if environ["PATH_INFO"].startswith(_MOTO_OWN):
            return _refusal("Access Denied")
        if "HTTP_AUTHORIZATION" not in environ:
            _sign_as(_presigned_by(environ) or ANONYMOUS, environ)
        refused = _refused(environ)
        answer = Response.from_app(self._moto, environ, buffered=True)
        if refused and answer.status_code < 300:  # noqa: PLR2004 - moto's own refusal says more
            return refused
        return _with_region(environ, answer)


def _sign_as(keys: Keys, environ: WSGIEnvironment) -> None:
    """Sign a request anew, without what a presigned URL has in its query."""
    path, _, query = environ["RAW_URI"].partition("?")
    environ["QUERY_STRING"] = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-"))
    environ["RAW_URI"] = environ["REQUEST_URI"] = f"{path}?{environ['QUERY_STRING']}".removesuffix("?")
    url = f"http://{environ['HTTP_HOST']}{environ['RAW_URI']}"
    request = AWSRequest(environ["REQUEST_METHOD"], url, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    S3SigV4Auth(_credentials(keys), "s3", REGION).add_auth(request)
    for name, value in request.headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value


def _credentials(keys: Keys) -> Credentials:
    return Credentials(keys.access_key_id, keys.secret_access_key.reveal())


def _presigned_by(environ: WSGIEnvironment) -> Keys | None:
    """Who signed a URL that still holds; None where nobody of the sandbox's users did."""
    said = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    signer, _, scope = said.get("X-Amz-Credential", "").partition("/")
    keys = next((one for one in (ADMIN, RESTRICTED) if one.access_key_id == signer), None)
    if keys is None or scope.count("/") != _SCOPE_SLASHES or "X-Amz-Date" not in said:
        return None
    url = f"http://{environ['HTTP_HOST']}{environ['RAW_URI']}"
    request = AWSRequest(environ["REQUEST_METHOD"], re.sub(r"&?X-Amz-Signature=[^&]*", "", url))
    request.context["timestamp"] = said["X-Amz-Date"]
    auth = S3SigV4QueryAuth(_credentials(keys), "s3", scope.split("/")[1])
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    holds = hmac.compare_digest(signature, said.get("X-Amz-Signature", "")) and not _has_ended(said)
    return keys if holds else None


def _has_ended(said: Mapping[str, str]) -> bool:
    begun = datetime.strptime(said["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return datetime.now(UTC) > begun + timedelta(seconds=int(said.get("X-Amz-Expires", "0")))


def _refused(environ: WSGIEnvironment) -> Response | None:
    """The refusal that moto would miss, or None."""
    if _assumes_wrongly(environ):
        return _refusal("User is not authorized to perform: sts:AssumeRole", sts=True)
    if _lists_outside(environ):
        return _refusal("Access Denied")
    return None


def _assumes_wrongly(environ: WSGIEnvironment) -> bool:
    if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] != "/":
        return False
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    asked = parse_qs(body.decode(errors="replace"))
    well = asked.get("RoleArn") == [ROLE_ARN] and "ExternalId" in asked
    return asked.get("Action") == ["AssumeRole"] and not well


def _lists_outside(environ: WSGIEnvironment) -> bool:
    signed_by = environ["HTTP_AUTHORIZATION"].partition("Credential=")[2].partition("/")[0]
    if signed_by != RESTRICTED.access_key_id or _bucket_alone(environ) != RESTRICTED_LOCATION.bucket:
        return False
    prefix = parse_qs(environ["QUERY_STRING"], keep_blank_values=True).get("prefix", [""])[0]
    return not prefix.startswith(RESTRICTED_LOCATION.key)


def _bucket_alone(environ: WSGIEnvironment) -> str:
    """The bucket of a request about a bucket, empty for one about an object."""
    bucket, _, key = unquote(environ["PATH_INFO"]).removeprefix("/").partition("/")
    return "" if key else bucket


def _with_region(environ: WSGIEnvironment, answer: Response) -> Response:
    region = _REGIONS.get(_bucket_alone(environ))
    if region and environ["REQUEST_METHOD"] == "HEAD" and answer.status_code == _FORBIDDEN:
        answer.headers["x-amz-bucket-region"] = region
    return answer


def _refusal(message: str, *, sts: bool = False) -> Response:
    error = f"<Error><Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
    body: Any = f"<ErrorResponse>{error}</ErrorResponse>" if sts else error
    return Response(body, _FORBIDDEN, content_type="application/xml")
