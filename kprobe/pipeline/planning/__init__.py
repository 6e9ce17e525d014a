"""Planning a job: all that can go wrong is found before it runs."""
