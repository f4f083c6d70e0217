"""Listings, analyses and jobs on the workers of a `dask.distributed` scheduler.

A task that is repeated because its worker was lost yields its result once.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from s3conn_magic.cluster.scheduler import Cluster
    from s3conn_magic.cluster.sweep import ClusterScan
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.jobs.job import RemoteReader
    from s3conn_magic.language.reference import AnalyzeBy
    from s3conn_magic.language.session_settings import SettingValues
    from s3conn_magic.locations import Location


class Workers:
    """The cluster of a session, connected when it is set or first used.

    Args:
        settings: of the session; ENGINE and SCHEDULER are read at each use.
        note: shows the user a message.
    """

    def __init__(self, settings: SettingValues, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._note = note
        self._cluster: Cluster | None = None
        self._lock = threading.RLock()
        settings.on_change |= {name: partial(self._check, name) for name in ("ENGINE", "SCHEDULER")}

    def _check(self, name: str, value: Any) -> None:
        """Check a setting before it is set.

        Raises:
            ClusterError: the package `distributed` is missing, or the scheduler cannot be used.
        """
        wanted = {**self._settings, name: value}
        if wanted["ENGINE"] == "local":
            self.close()
        elif wanted["SCHEDULER"]:
            self._connected(wanted["SCHEDULER"])
        else:
            from s3conn_magic.cluster.scheduler import check_installed

            check_installed()

    def cluster(self) -> Cluster | None:
        """Return the cluster, or None if ENGINE is local.

        Raises:
            ClusterError: it cannot be used.
        """
        if self._settings.engine_is_local:
            return None
        if not self._settings["SCHEDULER"]:
            hint = "SET SCHEDULER = 'tcp://host:8786'; or SET ENGINE = 'local';"
            raise ClusterError("ENGINE is 'dask', and no scheduler is set", hint=hint)
        return self._connected(self._settings["SCHEDULER"])

    def _connected(self, address: str) -> Cluster:
        with self._lock:
            if self._cluster is None or self._cluster.address != address or not self._cluster.alive:
                from s3conn_magic.cluster.scheduler import Cluster

                reached = Cluster(address, self._note)
                self.close()
                self._cluster = reached
            return self._cluster

    def opened(self) -> Callable[..., Any] | None:
        """Return a function that opens the listing of a location, or None if ENGINE is local."""
        cluster = self.cluster()
        if cluster is None:
            return None
        from s3conn_magic.cluster.sweep import open_listing

        return partial(open_listing, cluster)

    def scan(
        self, connection: Connection, place: Location, by: AnalyzeBy, depth: int, connections: int
    ) -> Callable[[datetime], ClusterScan] | None:
        """Return a function from the reference time of ages to the scan of an analysis; None if this process scans."""
        cluster = self.cluster()
        if cluster is None or connection.target(place.bucket).is_stood_in:
            return None
        from s3conn_magic.cluster.sweep import ClusterScan
        from s3conn_magic.cluster.work import RangeTask

        task = RangeTask(place.key, connections, by=by, depth=depth)
        return lambda now: ClusterScan(cluster, connection, place, replace(task, now=now))

    def elsewhere(self) -> RemoteReader | None:
        """Return the reader of objects on workers, or None if ENGINE is local."""
        cluster = self.cluster()
        if cluster is None:
            return None
        from s3conn_magic.cluster.scheduler import GroupReader

        return GroupReader(cluster, self._note)

    def close(self) -> None:
        """Disconnect from the cluster."""
        with self._lock:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
