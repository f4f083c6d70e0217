"""Jobs on the embedded engine.

Jobs(engine, connections)   the session's jobs: create, run, drop, what they did
copying                     COPY FROM S3: each object once, all of its rows or none
inserting                   INSERT INTO S3: one object, whole or not at all
"""
