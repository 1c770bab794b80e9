"""The page of a run that is a machine's."""

from __future__ import annotations

from tests.kits.machine import loans


async def test_the_page_of_a_run_shows_the_states_it_entered(app, aclient, working, look):
    """[M1]"""
    app.machine(loans.loan)
    async with working(app):
        run = await aclient.submit("loan", loans.Loan(5))
        await run.result()
    page = await look(f"runs/{run.id}")
    assert all(label in page for label in ("validate", "score[0]", "done"))
    place = (await aclient.steps(run.id)).steps[0].place
    assert "validate" in await look(f"runs/{run.id}", step=place)
