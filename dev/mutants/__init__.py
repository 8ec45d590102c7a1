"""Plant one mistake at a time in a copy of the product, and see whether the tests beside it notice."""
