"""What another product has stored, brought over in one commit."""
