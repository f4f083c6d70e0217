"""Listings, analyses and jobs on the workers of a `dask.distributed` scheduler.

Cluster(address)    the connection to the scheduler, and tasks of one statement
sweep               ranges of keys listed by workers until none is left
work                what runs on a worker, and what that is told of a connection, for as short a time as can be

What arrives is joined here: a task that is repeated because its worker was lost gives its result once.
"""
