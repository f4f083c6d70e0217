"""One object: its description, ranged reads, uploads, deletion, and files over it.

Large objects are never read completely without need; see `preview` for the bounds.
"""
