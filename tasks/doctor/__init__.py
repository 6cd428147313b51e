"""What others edited, deleted or added: found for `verify`, explained and mended for `doctor`."""
