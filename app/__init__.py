"""What runs inside the containers; each folder is the build context of one image."""
