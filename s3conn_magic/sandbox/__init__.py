"""The embedded S3 server, filled with realistic data."""
