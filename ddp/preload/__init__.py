"""What a worker imports, imported once: each module here is loaded by the server that workers are forked from."""
