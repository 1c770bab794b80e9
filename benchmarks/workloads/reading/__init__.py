"""Reading where much is kept: lists, pages, metrics, the doctor."""
