"""More than one process at work on the same documents: real processes, on a real PostgreSQL, S3 and SQS."""
