# An empty image for containers that are created and filled with files, but never started: Docker can
# copy files into a volume only through a container.
FROM scratch
CMD ["never-started"]
