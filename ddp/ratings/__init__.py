"""Ratings: where they come from, which are held out, and how the rest is dealt to workers."""
