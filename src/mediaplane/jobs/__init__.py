"""Work waiting to be done: enqueue, worker loop, retries, periodic tasks."""
