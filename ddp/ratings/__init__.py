"""Ratings: their sources, the parts that are held out, and the deal of the rest to workers."""
