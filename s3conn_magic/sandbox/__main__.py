"""The server process: `python -m s3conn_magic.sandbox`. It ends when its standard input closes.

Users, role, buckets and objects go straight into moto's backends, as thousands of requests would take seconds. A gate
in front of moto closes the gaps in its IAM.
"""

from __future__ import annotations

import hmac
import io
import json
import logging
import os
import re
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto import settings
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from werkzeug.wrappers import Response

from s3conn_magic.sandbox import (
    ACCOUNT,
    ADMIN,
    ANONYMOUS,
    REGION,
    RESTRICTED,
    RESTRICTED_LOCATION,
    ROLE,
    ROLE_ARN,
    ROLE_POLICY,
    TRUST_POLICY,
    USERS,
    Keys,
    User,
    data,
)
from s3conn_magic.sandbox.data import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from werkzeug.serving import BaseWSGIServer

_MOTO_OWN = ("/moto-api", "/latest/")
_REGIONS = {bucket.name: bucket.region for bucket in BUCKETS}
_FORBIDDEN = 403
_SCOPE_SLASHES = 3


class Gate:
    """Passes requests to moto, except where moto would fail or allow what AWS refuses.

    * moto fails on unsigned requests: they are signed here as the user `anonymous`, whose policy then decides.
    * moto ignores conditions on `s3:prefix`: a restricted listing outside its prefix is refused after moto has
      verified the signature.
    * moto checks an external ID only if one is sent, and a role only if it exists: assuming the role without an
      external ID, or any other role, is refused.
    * AWS names the bucket's region even when it refuses HeadBucket; moto does not.
    * moto's IAM does not know presigned URLs: signature and expiry are checked here, and the request passes as its
      signer's.
    * moto's own control pages, which could reset it, are closed.
    """

    def __init__(self, moto: WSGIApplication) -> None:
        self._moto = moto

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
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
    """Sign a request again, without the query parameters of a presigned URL."""
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
    """Return the keys that signed a valid presigned URL, or None if no user's did."""
    parameters = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    signer, _, scope = parameters.get("X-Amz-Credential", "").partition("/")
    keys = next((pair for pair in (ADMIN, RESTRICTED) if pair.access_key_id == signer), None)
    if keys is None or scope.count("/") != _SCOPE_SLASHES or "X-Amz-Date" not in parameters:
        return None
    url = f"http://{environ['HTTP_HOST']}{environ['RAW_URI']}"
    request = AWSRequest(environ["REQUEST_METHOD"], re.sub(r"&?X-Amz-Signature=[^&]*", "", url))
    request.context["timestamp"] = parameters["X-Amz-Date"]
    auth = S3SigV4QueryAuth(_credentials(keys), "s3", scope.split("/")[1])
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    holds = hmac.compare_digest(signature, parameters.get("X-Amz-Signature", "")) and not _has_expired(parameters)
    return keys if holds else None


def _has_expired(parameters: Mapping[str, str]) -> bool:
    signed_at = datetime.strptime(parameters["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return datetime.now(UTC) > signed_at + timedelta(seconds=int(parameters.get("X-Amz-Expires", "0")))


def _refused(environ: WSGIEnvironment) -> Response | None:
    """Return the refusal that moto would miss, or None."""
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
    parameters = parse_qs(body.decode(errors="replace"))
    is_allowed = parameters.get("RoleArn") == [ROLE_ARN] and "ExternalId" in parameters
    return parameters.get("Action") == ["AssumeRole"] and not is_allowed


def _lists_outside(environ: WSGIEnvironment) -> bool:
    signed_by = environ["HTTP_AUTHORIZATION"].partition("Credential=")[2].partition("/")[0]
    if signed_by != RESTRICTED.access_key_id or _bucket_alone(environ) != RESTRICTED_LOCATION.bucket:
        return False
    prefix = parse_qs(environ["QUERY_STRING"], keep_blank_values=True).get("prefix", [""])[0]
    return not prefix.startswith(RESTRICTED_LOCATION.key)


def _bucket_alone(environ: WSGIEnvironment) -> str:
    """Return the bucket of a request about a bucket, or an empty text for one about an object."""
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


_PARTITION = "aws"


def fill() -> None:
    """Create everything the sandbox holds, then let moto check every request."""
    iam = iam_backends[ACCOUNT][_PARTITION]
    for user in USERS:
        _add_user(iam, user)
    iam.create_role(ROLE, json.dumps(TRUST_POLICY), "/", None, "Reads the lake", [], "3600")
    iam.put_role_policy(ROLE, "reads", json.dumps(ROLE_POLICY))
    _add_objects(s3_backends[ACCOUNT][_PARTITION])
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0


def _add_user(iam: Any, user: User) -> None:
    iam.create_user(REGION, user.name)
    iam.put_user_policy(user.name, "rights", json.dumps(user.policy))
    key = iam.create_access_key(user.name)
    del iam.access_keys[key.physical_resource_id]
    key.access_key_id = user.keys.access_key_id
    key.secret_access_key = user.keys.secret_access_key.reveal()
    iam.access_keys[key.physical_resource_id] = key


def _add_objects(s3: Any) -> None:
    for bucket in sorted(data.BUCKETS, key=lambda bucket: bucket.name):
        created = s3.create_bucket(bucket.name, bucket.region)
        created.creation_date = data.START.replace(tzinfo=None)  # moto's times are naive UTC
        if bucket.versioned:
            s3.put_bucket_versioning(bucket.name, "Enabled")
    for put in data.puts():
        _add(s3, put)


def _add(s3: Any, put: data.Put) -> None:
    if put.body is None:
        s3.delete_object(put.bucket, put.key)
        stored = s3.get_bucket(put.bucket).keys[put.key]
    else:
        stored = s3.put_object(put.bucket, put.key, put.body, put.storage_class, disable_notification=True)
        stored.set_metadata(_headers(put))
        if put.tags:
            s3.put_object_tagging(stored, dict(put.tags))
    stored.last_modified = put.modified.replace(tzinfo=None)


def _headers(put: data.Put) -> dict[str, str]:
    metadata = {f"x-amz-meta-{name}": value for name, value in put.metadata.items()}
    return {"Content-Type": put.content_type, **metadata}


_CHUNK = 4096
_STDOUT, _STDERR = 1, 2


def main() -> None:
    """Serve on a free port of 127.0.0.1; the first line on standard output is the endpoint, once it answers."""
    # The launcher gives us our own session; on Windows, which has none, Ctrl-C would reach us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # First of all: a parent that dies while we start must not leave us behind.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    server = _server()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    # Nobody reads standard output any more, and a full pipe would block the server.
    os.dup2(_STDERR, _STDOUT)
    server.serve_forever()


def _exit_with_parent() -> None:
    # Not sys.stdin: its lock may be held at interpreter shutdown.
    while os.read(0, _CHUNK):
        pass
    os._exit(0)


def _server() -> BaseWSGIServer:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    fill()
    moto = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", 0, Gate(moto), threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
