"""What compiled loops of several floors share."""
