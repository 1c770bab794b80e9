"""Groups as verbs: submit, carry on, retry, cancel, forget; what callers see of one."""
