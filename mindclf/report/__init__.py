"""Reports: plots, and the page that has them all."""
