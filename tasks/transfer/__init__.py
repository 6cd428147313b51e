"""Moving a sweep between stores: `export` writes it as a file, `import` writes it back."""
