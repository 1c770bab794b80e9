"""
The seven verbs, a file each: submit, claim, execute, commit, notify, cancel, recover.

And the loop that drives them.
"""
