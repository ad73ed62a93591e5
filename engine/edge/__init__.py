"""What every port open to strangers needs, whatever its protocol: the HTTP server and the SMTP door are built from
it."""
