-- Add one entry to the run's journal under the claim; leaves rev alone, so many steps may write in
-- one pipeline. The caller says which entry this is: a second arrival finds it there and is
-- answered as the first.
-- Caller: store/journal.py add_entry, for the flow kit.
-- Names: cleanup: what the run has left to do from now on, or ''.
-- Gives 1 written, 0 refused: the claim is not the caller's any more, or another has written there.
--@ keys run journal
--@ args token index entry cleanup
--@ insert runs/add_entry
return 1
