"""The session: how each family of statements is executed."""
