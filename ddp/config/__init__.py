"""The settings of a run: their schema, the rules that they keep, and the seed's random streams."""
