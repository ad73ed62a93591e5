"""The commands of `engine` that work on the data folder, one noun a file; `cli.py` calls `register` of each."""
