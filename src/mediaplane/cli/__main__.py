"""`python -m mediaplane.cli`: the same as `mediaplane`, for child processes."""

from mediaplane.cli import main

if __name__ == "__main__":
    main()
