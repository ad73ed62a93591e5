"""Connections through SOCKS and HTTP proxies, and from a chosen local address."""
