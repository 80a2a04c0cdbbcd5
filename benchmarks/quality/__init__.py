"""Detection figures: what the standard rules find, miss and invent, against labelled truth."""
