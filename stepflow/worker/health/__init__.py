"""How a worker is: the worst of what the health checks of its resources answer."""
