"""Connections: settings, credentials, clients, and their registry."""
