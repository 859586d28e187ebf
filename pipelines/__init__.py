"""The four jobs and the command-line tools: composition only."""
