"""`advise=true`: predicts the fastest backend and number of workers for a job on this machine."""
