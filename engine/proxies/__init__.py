"""Connections through somebody else: SOCKS and HTTP proxies, and from which address of this machine one leaves."""
