"""
What of the acknowledged may be lost, and what makes it less.

The law of this package: who has not chosen to wait for the disk pays nothing for those who have.
"""
