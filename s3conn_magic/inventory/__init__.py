"""Reports of S3 Inventory as listings, for buckets that are too large to list.

Manifest         what a report says of itself, by its manifest.json
Inventory        its data files, read several at once, as the table that a listing would give
"""
