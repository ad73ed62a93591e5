"""Mail as data: addresses, header fields, whole messages, and plain text from HTML.

Pure: strings and bytes in, bytes out. What a caller may put into a message is checked here and nowhere else, so every
byte that reaches the queue is already legal in SMTP: CRLF line ends, lines of at most 998 octets, no header that the
caller did not request. Dot-stuffing and delivery belong to `engine.smtp`.
"""
