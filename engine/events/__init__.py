"""The event journal and its readers: streams, long polls and named consumers."""
