"""The Lua scripts; `source` reads them and says how they are written."""
