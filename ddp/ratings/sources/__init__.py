"""Readers of ratings: MovieLens sets, files with separated columns, and synthetic ratings."""
