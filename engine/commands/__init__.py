"""The commands of `engine`, one noun a file: on the data folder, or as clients of the API; `cli.py` registers them."""
