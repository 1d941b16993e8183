"""Ways to start workers and to carry vectors between them: serial, thread, process and shm."""
