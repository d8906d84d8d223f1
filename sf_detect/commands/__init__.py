"""The commands, a module each; heavy imports happen inside the functions so that `--help` is instant."""
