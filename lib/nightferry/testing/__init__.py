"""What others test with: the contract suites of the seams, a camera, two sites in a folder."""
