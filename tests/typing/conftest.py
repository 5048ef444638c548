"""Keep pytest from importing these programs, some of which are wrong on purpose: type checkers read them."""

collect_ignore_glob = ["*.py"]
