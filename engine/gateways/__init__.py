"""SMTP servers of the operator through which messages of any account may go."""
