"""What an engine needs of ours."""
