"""The loopback server: login, routes, answers, the page."""
