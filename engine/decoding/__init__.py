"""The JSON of a request as its Struct, or everything that is wrong with it. It knows no HTTP."""
