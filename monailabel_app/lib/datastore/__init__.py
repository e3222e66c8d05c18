"""The studies and the uploads: names, files and the stock routes to them."""
