"""A catalog of Iceberg's REST protocol: the endpoints of its specification that tables are made and changed by."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import boto3
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableRequest
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata
from recording import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Mapping


class RestCatalog:
    """Namespaces and tables; metadata files are written below the tables' folders, as such servers do.

    `lost` has the answers to so many commits lost, by 500, after they were done; after `silent_after` commits, where
    it is not 0, nothing is answered any more.
    """

    def __init__(self) -> None:
        self.namespaces: set[str] = set()
        self.tables: dict[tuple[str, str], tuple[str, TableMetadata]] = {}
        self.commits, self.lost, self.silent_after = 0, 0, 0

    def answer(self, request: Request) -> Reply:
        """The answer to a request."""
        silent = self.silent_after and self.commits >= self.silent_after
        return _refused(500, "InternalServerError") if silent else self._answered(request)

    def _answered(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")[1:]
        match (request.method, *parts):
            case ("GET", "config"):
                return _json({"defaults": {}, "overrides": {}})
            case ("POST", "namespaces"):
                return self._namespace(json.loads(request.body)["namespace"])
            case ("GET", "namespaces", within, "tables"):
                named = [{"namespace": [space], "name": name} for space, name in self.tables if space == within]
                return _json({"identifiers": named})
            case ("POST", "namespaces", within, "tables"):
                return self._create(within, CreateTableRequest.model_validate_json(request.body))
            case (method, "namespaces", within, "tables", name) if (within, name) in self.tables:
                return self._table(method, (within, name), request.body)
        return _refused(404, "NoSuchTableException")

    def _namespace(self, parts: list[str]) -> Reply:
        if parts[0] in self.namespaces:
            return _refused(409, "AlreadyExistsException")
        self.namespaces.add(parts[0])
        return _json({"namespace": parts, "properties": {}})

    def _create(self, within: str, asked: CreateTableRequest) -> Reply:
        if (within, asked.name) in self.tables:
            return _refused(409, "AlreadyExistsException")
        spec, location = asked.partition_spec, str(asked.location)
        made = new_table_metadata(asked.table_schema, spec, UNSORTED_SORT_ORDER, location, asked.properties)
        return self._kept((within, asked.name), made, 0)

    def _table(self, method: str, which: tuple[str, str], body: bytes) -> Reply:
        where, metadata = self.tables[which]
        if method == "DELETE":
            del self.tables[which]
            return Reply(204)
        if method == "GET":
            return _described(where, metadata)
        asked = CommitTableRequest.model_validate_json(body)
        try:
            for requirement in asked.requirements:
                requirement.validate(metadata)
        except CommitFailedException:
            return _refused(409, "CommitFailedException")
        self.commits += 1
        number = int(where.rpartition("/")[2].partition("-")[0]) + 1
        reply = self._kept(which, update_table_metadata(metadata, asked.updates, metadata_location=where), number)
        if self.lost or self.silent_after:
            self.lost = max(0, self.lost - 1)
            return _refused(500, "InternalServerError")
        return reply

    def _kept(self, which: tuple[str, str], metadata: TableMetadata, number: int) -> Reply:
        where = f"{metadata.location}/metadata/{number:05}-{uuid.uuid4()}.metadata.json"
        bucket, _, key = where.removeprefix("s3://").partition("/")
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=metadata.model_dump_json().encode())
        self.tables[which] = (where, metadata)
        return _described(where, metadata)


def _described(where: str, metadata: TableMetadata) -> Reply:
    return _json({"metadata-location": where, "metadata": json.loads(metadata.model_dump_json()), "config": {}})


def _json(content: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _refused(status: int, kind: str) -> Reply:
    return _json({"error": {"message": f"as the test says: {kind}", "type": kind, "code": status}}, status)
