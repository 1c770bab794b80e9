"""Workflow code that uses what asyncio and anyio give it."""
