"""Parquet files whose columns are encrypted, some or all, with a footer in plain text or not."""

from __future__ import annotations

import base64
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

ENCRYPTABLE = pa.table({"id": [1, 2], "name": ["a", "b"], "at": [{"x": 1, "y": "s"}, None], "n": [1.5, None]})


class Vault(pe.KmsClient):
    """Keys that are wrapped by nothing: what is tested is a reader that has none."""

    def wrap_key(self, key, _):
        return base64.b64encode(key).decode()

    def unwrap_key(self, key, _):
        return base64.b64decode(key)


def encrypted(*columns, plaintext_footer=True, algorithm="AES_GCM_V1", **options):
    """A file of `ENCRYPTABLE` some of whose columns (all, where none is named) are encrypted."""
    config = pe.EncryptionConfiguration(
        footer_key="footer",
        column_keys={"column": [*columns]},
        plaintext_footer=plaintext_footer,
        encryption_algorithm=algorithm,
    )
    connection = pe.KmsConnectionConfig(custom_kms_conf={})
    properties = pe.CryptoFactory(lambda _: Vault()).file_encryption_properties(connection, config)
    file = io.BytesIO()
    pq.write_table(ENCRYPTABLE, file, encryption_properties=properties, **options)
    return file.getvalue()
