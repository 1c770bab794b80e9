"""The pages that list: runs, failures, queues, workers, questions, hooks and bulks."""
