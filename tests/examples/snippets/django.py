"""What the reader of docs/how-to/django.md has at hand: a project with one model."""

import os

import django
from django.conf import settings
from django.db import connection, models, transaction
from django.http import JsonResponse

from stepflow import Stepflow

app = Stepflow()
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # the blocks run on the loop of a test
if not settings.configured:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        DATABASES={"default": database}, DEFAULT_AUTO_FIELD="django.db.models.AutoField"
    )
    django.setup()


class Order(models.Model):
    item = models.TextField()
    state = models.TextField(default="new")

    class Meta:
        app_label = "shop"

    def __str__(self):
        return self.item


with connection.schema_editor() as editor:
    editor.create_model(Order)


class Recorder:
    def __init__(self):
        self.submitted = []

    def submit(self, *args, run_id):
        self.submitted.append((*args, run_id, transaction.get_connection().in_atomic_block))


async def check(h, space):
    space["client"] = recorder = Recorder()
    assert space["buy"](None, "a kite").content == b'{"order": 1}'
    assert recorder.submitted == [("order", "a kite", "order-1", False)]
    space["submit_what_is_missing"]()
    assert len(recorder.submitted) == 2
    space["mark_paid"](1)
    assert Order.objects.get().state == "paid"


__all__ = ["JsonResponse"]
