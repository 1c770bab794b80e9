"""
Django: a run is submitted when the transaction that wrote its row is committed, and only then.

    stepflow worker examples.web.14_django:app & uvicorn examples.web.14_django:site
"""

import os
import sqlite3

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import close_old_connections, models, transaction
from django.http import JsonResponse
from django.urls import path

from stepflow import Client, Context, Stepflow

# in your own code: the settings, models, views and runs of a project
FILE = os.environ.get("ORDERS_FILE", "orders.sqlite3")
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FILE}}
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DATABASES=SQLITE)
django.setup()
with sqlite3.connect(FILE) as database:  # stands for a migration
    database.execute("CREATE TABLE IF NOT EXISTS shop_order (id INTEGER PRIMARY KEY, item, state)")

app, client = Stepflow(), Client()


class Order(models.Model):
    item, state = models.TextField(), models.TextField(default="new")

    class Meta:
        app_label = "shop"


def mark_paid(number: int) -> None:  # a plain function runs in a thread, where the ORM may be used
    close_old_connections()
    Order.objects.filter(pk=number).update(state="paid")


@app.workflow("order")
async def order(ctx: Context, number: int) -> None:
    await ctx.step(mark_paid, number)


@transaction.atomic
def buy(request, item):
    row = Order.objects.create(item=item)  # its id makes the submit safe to repeat
    transaction.on_commit(lambda: client.submit("order", row.pk, run_id=f"order-{row.pk}"))
    transaction.set_rollback(item == "nothing")
    return JsonResponse({"order": row.pk}, status=202)


def show(request, number):
    return JsonResponse({"state": Order.objects.get(pk=number).state})


urlpatterns = [path("buy/<item>", buy), path("orders/<int:number>", show)]
site = get_asgi_application()
