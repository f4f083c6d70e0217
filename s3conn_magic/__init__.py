"""Amazon S3 connections, listings and a bucket explorer in SQL, as an IPython cell magic."""
