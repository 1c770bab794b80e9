"""
The archive: ended runs in SQL, for as long as you want to keep them.

Each end counts once, however often it arrives. Nothing here is loaded by apps without an archive.
"""
