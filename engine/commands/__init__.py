"""Commands of the command line that are clients of the API: each a module with the part of the parser it needs."""
