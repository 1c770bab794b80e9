"""Values to bytes and back: msgpack, what it lacks, and digests of equal input."""
