"""Connections handed on to other libraries.

Connection       the handle that Python code works with: clients, filesystems, stores, storage options
"""
