# An empty image for containers that are created, filled with files and never started:
# the only way to put a file into a volume without a program to write it.
FROM scratch
CMD ["never-started"]
