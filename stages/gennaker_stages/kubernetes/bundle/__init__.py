"""What is to be deployed: a bundle's objects, read, checked and in order."""
