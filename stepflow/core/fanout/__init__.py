"""Work that fans out: when it is settled, and what it has come to. Pure, like all of core."""
