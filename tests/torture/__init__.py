"""The real process under kill, hostile servers and races. A package of its own, beside the script of the same name."""
