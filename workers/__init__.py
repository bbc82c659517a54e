"""Workers: the Celery side. Tasks are doorbells that call one verb; rows hold the truth."""
