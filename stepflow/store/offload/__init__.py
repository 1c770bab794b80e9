"""
Keeps large values outside of Redis, in a folder or a bucket.

The law: a path is written once and never again, so whoever deletes what nobody needs any more
cannot meet a writer. What is read is compared with its digest before anybody sees it.
"""
