"""What every port that strangers reach needs, whatever they speak there: HTTP and the SMTP door are made of it."""
