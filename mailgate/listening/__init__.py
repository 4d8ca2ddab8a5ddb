"""How clients come in, at every door: sockets, the PROXY header of a balancer before us, TLS from the first byte."""

from mailgate.listening.header import BadHeader, Header, parse_header, wanted
from mailgate.listening.listener import Listener, Make, Proxies, Tls, within

__all__ = ["BadHeader", "Header", "Listener", "Make", "Proxies", "Tls", "parse_header", "wanted", "within"]
