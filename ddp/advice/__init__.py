"""`advise=true`: predictions of which backend and how many workers are fastest."""
