"""An embedded S3 on 127.0.0.1, filled with realistic data, for first use, the notebooks and the tests.

Importing this package imports neither moto nor boto3; they load in the server's own process.
"""

from __future__ import annotations

from s3conn_magic.sandbox.identities import EXTERNAL_ID, RESTRICTED, ROLE_ARN, Keys
from s3conn_magic.sandbox.launch import Sandbox

__all__ = ["EXTERNAL_ID", "RESTRICTED", "ROLE_ARN", "Keys", "Sandbox"]
