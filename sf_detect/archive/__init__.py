"""Results on disk as tables, and questions to them."""
