"""`python -m stepflow`: the command line."""

from stepflow.cli import main

if __name__ == "__main__":
    main()
