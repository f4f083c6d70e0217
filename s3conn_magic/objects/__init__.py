"""One object, looked at by range reads: what it is, and the beginning of what is in it.

    describe(connection, location)                what a HEAD, the tags and the versions say
    preview(connection, location, rows=100)       the beginning as a table, text, image or bytes
    formats                                       THE table of formats, for PREVIEW, SELECT and COPY
    PinnedObject, RangedObject                    ranged GETs of one object as it was first seen, and what they gave
    ReadableFile, RangeReader                     the same as files, for queries and previews
    ConnectionFileSystem                          an fsspec filesystem over connections

Never the whole of a large object is read; see `preview` for the bounds.
"""
