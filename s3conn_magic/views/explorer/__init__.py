"""The bucket tree."""
