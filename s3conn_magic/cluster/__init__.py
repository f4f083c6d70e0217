"""Listings, analyses and jobs on the workers of a `dask.distributed` scheduler.

Cluster(address)    the connection to the scheduler, and tasks of one statement
access              what a worker is told of a connection: short-lived credentials where they can be had
sweep               ranges of keys listed by workers until none is left
work                what runs on a worker

What arrives is joined here: a task that is repeated because its worker was lost gives its result once.
"""
