"""`python -m vantage`: the command line where a launcher wants a module, as torchrun does."""

from vantage.cli import main

if __name__ == "__main__":
    main()
