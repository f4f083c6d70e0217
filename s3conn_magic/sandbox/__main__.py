"""The server's own process: `python -m s3conn_magic.sandbox`. It ends when its standard input does.

Users, role, buckets and objects are put straight into moto's backends: thousands of requests would take seconds.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from moto import settings
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from s3conn_magic.sandbox import data
from s3conn_magic.sandbox.identities import ACCOUNT, REGION, ROLE, ROLE_POLICY, TRUST_POLICY, USERS, User

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

_PARTITION = "aws"


def fill() -> None:
    """Make everything the sandbox holds, and have moto check every request from then on."""
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
        made = s3.create_bucket(bucket.name, bucket.region)
        made.creation_date = data.START.replace(tzinfo=None)  # moto's times are naive UTC
        if bucket.versioned:
            s3.put_bucket_versioning(bucket.name, "Enabled")
    for put in data.puts():
        _add(s3, put)


def _add(s3: Any, put: data.Put) -> None:
    if put.body is None:
        s3.delete_object(put.bucket, put.key)
        made = s3.get_bucket(put.bucket).keys[put.key]
    else:
        made = s3.put_object(put.bucket, put.key, put.body, put.storage_class, disable_notification=True)
        made.set_metadata(_headers(put))
        if put.tags:
            s3.put_object_tagging(made, dict(put.tags))
    made.last_modified = put.modified.replace(tzinfo=None)


def _headers(put: data.Put) -> dict[str, str]:
    named = {f"x-amz-meta-{name}": value for name, value in put.metadata.items()}
    return {"Content-Type": put.content_type, **named}


_CHUNK = 4096
_STDOUT, _STDERR = 1, 2


def main() -> None:
    """Serve on a free port of 127.0.0.1; the first line of standard output is the endpoint, once it answers."""
    # The launcher gives us a session of our own; where there are none (Windows), Ctrl-C would reach us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Begun first: a parent that dies while we start must not leave us behind.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    server = _server()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    # Nobody reads standard output from here on, and a full pipe would stop the server.
    os.dup2(_STDERR, _STDOUT)
    server.serve_forever()


def _exit_with_parent() -> None:
    # Not sys.stdin: its lock may be held when the interpreter goes down.
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

    from s3conn_magic.sandbox.gate import Gate

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    fill()
    moto = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", 0, Gate(moto), threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
