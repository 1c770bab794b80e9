"""The seven verbs, a file each: submit, claim, execute, commit, notify, cancel, recover; and the loop that drives them."""
