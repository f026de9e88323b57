"""The page to draw on: what runs in a browser, and how one file is made of it."""
