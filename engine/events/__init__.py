"""The event journal and those who read it: streams, long polls and named consumers."""
