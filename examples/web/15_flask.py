"""
Flask: a run asks a person, and a page of yours lists and answers what it asks.

    stepflow worker examples.web.15_flask:app & flask --app examples.web.15_flask:site run
"""

from flask import Flask, jsonify, request

from stepflow import Client, Context, Stepflow, StepflowError

app, client = Stepflow(), Client()  # in your own code two modules: the web needs a client only
site = Flask(__name__)


async def pay(amount: int) -> str:
    return f"paid {amount}"  # stands for the call of your bank


@app.workflow("expense")
async def expense(ctx: Context, amount: int) -> str:
    if amount > 100 and not await ctx.ask(bool, f"Pay {amount}?"):
        return "refused"
    return await ctx.step(pay, amount)


@site.errorhandler(StepflowError)
def away_or_conflict(error: StepflowError):
    return jsonify(detail=str(error)), 503 if error.retryable else 409


@site.post("/expenses")
def submit():  # the same key again finds the same run
    key = request.headers.get("idempotency-key")
    run = client.submit("expense", request.json["amount"], run_id=key)
    return jsonify(id=run.id, created=run.created), 202


@site.get("/expenses/<run_id>")
def show(run_id: str):
    if (run := client.status(run_id)) is None:
        return jsonify(detail="no such run"), 404
    return jsonify(state=run.state, result=run.result, waits_for=run.waits_for)


@site.get("/questions")
def questions():
    return jsonify([{"token": each.token, "prompt": each.prompt} for each in client.questions()])


@site.post("/questions/<token>")
def answer(token: str):
    client.answer(token, request.json["answer"], by=request.json["who"])
    return jsonify(answered=token)
