-- Make a run, its step 0 and the RQ job that delivers it: all, or nothing where the run id is taken.
-- Caller: store/runs.py submit_run, and store/fork.py submit_fork.
-- Names: in lib/submit.
-- Gives {1} made (also to the second arrival of the same request), or {0, the fields of the run that
-- is there}; these are none when the source of a fork is not as the fork's caller saw it.
--@ include submit
return submit()
