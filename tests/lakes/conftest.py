"""Buckets for tables, on two servers: see `lakes`."""

from lakes import lake

__all__ = ["lake"]
