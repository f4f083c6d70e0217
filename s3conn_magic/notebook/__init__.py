"""The cell magic."""
