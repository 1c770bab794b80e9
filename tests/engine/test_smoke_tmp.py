from stepflow import Succeed, Continue

async def test_a(app, aclient, working):
    @app.runner("x")
    async def x(step):
        return Succeed(step.payload)
    async with working(app):
        run = await aclient.submit("x", 5)
        assert await run.result(5) == 5
