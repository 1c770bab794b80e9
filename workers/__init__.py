"""
Composition roots: what Procfile and docker-compose.yml start. Copy one, and put your own runners
into it.
"""
