"""Real servers for tests, for playing by hand and for the live demo: installed once, started on free ports."""
