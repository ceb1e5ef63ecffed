"""Recipes: complete settings, one function a row of a table, and the one place where the names of all parts meet."""
