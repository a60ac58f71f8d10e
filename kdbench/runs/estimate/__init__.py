"""What runs will cost, from real steps on random images. Nothing here makes a record."""
