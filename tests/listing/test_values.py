"""A list for people reads no payloads and results, which may be large."""

from __future__ import annotations

from dataclasses import replace

from stepflow import PermanentError, Succeed


async def test_without_values_a_list_is_the_same_but_for_payloads_and_results(
    app, aclient, working
):
    @app.runner("job")
    async def job(step):
        if step.payload["fails"]:
            raise PermanentError("no good")
        return Succeed("x" * 1000)

    async with working(app):
        for fails in (True, False):
            run = await aclient.submit(
                "job", {"fails": fails}, headers={"a": "b"}, tags={"tenant": "acme"}
            )
            await run.wait(60)
    await aclient.submit("nobody", 1, run_id="waits")
    await aclient.cancel("waits", "not needed")
    whole = await aclient.list()
    outlined = await aclient.list(values=False)
    assert [run.payload for run in outlined] == [None] * 3
    assert list(outlined) == [replace(run, payload=None, result=None) for run in whole]


async def test_without_values_payloads_do_not_cross_the_wire(aclient, real):
    for number in range(5):
        await aclient.submit("nobody", "x" * 100_000, run_id=f"r{number}")

    async def sent(**options):
        before = int(real.info("stats")["total_net_output_bytes"])
        assert len(await aclient.list(**options)) == 5
        return int(real.info("stats")["total_net_output_bytes"]) - before

    assert await sent() > 500_000
    assert await sent(values=False) < 50_000
