"""Where images come from: files, downloads, the built-in handwriting, a person's own pictures."""
