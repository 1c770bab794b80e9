"""A file of definitions is read and checked: all that is wrong is said, with line and place."""
