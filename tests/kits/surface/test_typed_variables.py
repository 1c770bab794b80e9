"""`ctx.vars.typed`: one variable of a run or a session as a validated object [K14]."""

from dataclasses import dataclass

import pytest
from pydantic import BaseModel, Field

from stepflow import RunFailed


class Cart(BaseModel):
    items: list[str] = []
    total: int = Field(default=0, ge=0)


class SpecialCart(Cart):
    gift: bool = False


@dataclass
class Place:
    city: str


async def test_an_object_is_written_and_read_as_its_type(app, aclient, working):
    """[K14] Of a run and of a session, in `async def` and plain workflows."""

    @app.workflow("async")
    async def flow(ctx):
        seen = []
        for variables in (ctx.vars, ctx.session("user").vars):
            cart, place = variables.typed(Cart), variables.typed(Place, name="home")
            seen.append(await cart.get())
            seen.append((await cart.get(Cart(total=3))).total)
            await cart.set(Cart(items=["a"], total=1))
            before = await cart.get()
            assert type(before) is Cart
            after = Cart(items=["a", "b"], total=2)
            seen.append(await cart.compare_and_set(before, after))
            seen.append(await cart.compare_and_set(before, Cart()))
            seen.append((await cart.get()).items)
            await place.set(Place("Bern"))
            seen.append((await place.get()).city)
            await place.set(None)
            seen.append(await place.get())
        return seen

    @app.workflow("plain")
    def plain(ctx):
        cart = ctx.session("user").vars.typed(Cart)
        total = cart.get(Cart()).total
        cart.set(Cart(total=total + 1))
        return [total, cart.get().total, cart.compare_and_set(None, Cart())]

    async with working(app):
        run = await aclient.submit("async")
        assert await run.result(60) == [None, 3, True, False, ["a", "b"], "Bern", None] * 2
        assert await (await aclient.submit("plain")).result(60) == [2, 3, False]
    assert await aclient.vars(run.id) == {"Cart": {"items": ["a", "b"], "total": 2}}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (lambda: Cart.model_construct(items=["a"], total=-1), "total: Input should be greater"),
        (lambda: Place("Bern"), "it is a Place, annotated as Cart"),
        (lambda: 7, "would not be valid"),
        (lambda: SpecialCart(gift=True), "gift"),
    ],
    ids=["of the type", "of another", "a number", "of a subclass"],
)
async def test_what_would_not_be_valid_is_not_written(app, aclient, working, value, problem):
    """[K14] Nor what would lose something when it is read back."""

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.vars.typed(Cart).set(value())

    async with working(app):
        run = await aclient.submit("flow")
        with pytest.raises(RunFailed, match=problem):
            await run.result(60)
    assert await aclient.vars(run.id) == {}


async def test_what_somebody_else_has_written_there_is_an_error(app, aclient, working):
    """[K14]"""

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.vars.set("Cart", {"items": 3})
        await ctx.vars.typed(Cart).get()

    async with working(app):
        with pytest.raises(RunFailed, match=r"variable 'Cart' is .* not of the type asked for"):
            await (await aclient.submit("flow")).result(60)
