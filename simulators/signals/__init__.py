"""What healthy sensors show: models per utility, and the weather and habits that they share."""
