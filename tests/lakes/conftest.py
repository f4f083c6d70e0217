"""Buckets for tables, on two servers: see `lakes`."""

from lakes import lake, rclone_lake

__all__ = ["lake", "rclone_lake"]
