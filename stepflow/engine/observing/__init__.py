"""Observers: objects of an app that are told what its runs do, after the fact and beside them."""
