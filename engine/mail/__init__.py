"""Mail as data: addresses, header fields, whole messages, and plain text out of HTML.

Pure: strings and bytes in, bytes out. What a caller may put into a message is checked here and nowhere else, so every
byte that reaches the queue is already legal on the wire: CRLF line ends, lines of at most 998 octets, no header that
the caller did not ask for. Dot-stuffing and delivery belong to `engine.smtp`.
"""
