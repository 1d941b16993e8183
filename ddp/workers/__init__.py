"""A worker's job and its rounds, and the two interfaces, Exchange and Backend, that they are
written against.
"""
