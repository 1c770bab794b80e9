"""The pages that list: runs, failures, queues, workers, questions, hooks, bulks, and what is now."""
