"""One program for each client: it runs the features that are named on its stdin."""
