"""Composition roots for Procfile and docker-compose.yml: copy one, and add your own runners."""
