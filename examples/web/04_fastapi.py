"""
FastAPI: submit, look, cancel. The web process talks to Redis only; the steps run in a worker.

    stepflow worker examples.web.04_fastapi:app & uvicorn examples.web.04_fastapi:api
"""

import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from stepflow import AsyncClient, Step, Stepflow, StepflowError, Succeed

app, client = Stepflow(), AsyncClient()  # in your own code two modules: the web needs a client only


class Report(BaseModel):
    customer: str
    pages: int = 3


@app.runner("report")
async def report(step: Step[Report]):  # the payload arrives as a Report, validated
    for _ in range(step.payload.pages):
        step.cancel.raise_if_set()
        await asyncio.sleep(0.1)  # stands for the work
    return Succeed(f"{step.payload.pages} pages for {step.payload.customer}")


@asynccontextmanager
async def lifespan(api: FastAPI):
    async with client:
        yield


async def away_or_conflict(request: Request, error: StepflowError):
    return JSONResponse({"detail": str(error)}, 503 if error.retryable else 409)


api = FastAPI(lifespan=lifespan, exception_handlers={StepflowError: away_or_conflict})


@api.post("/runs", status_code=202)
async def submit(body: Report, request: Request):  # the same key again finds the same run
    run = await client.submit("report", body, run_id=request.headers.get("idempotency-key"))
    return {"id": run.id, "created": run.created}


@api.get("/runs/{run_id}")
async def status(run_id: str):
    if (run := await client.status(run_id)) is None:
        return JSONResponse({"detail": "no such run"}, 404)
    return {"state": run.state, "result": run.result}


@api.post("/runs/{run_id}/cancel")
async def cancel(run_id: str):
    return {"cancelled": await client.cancel(run_id, reason="asked for over HTTP")}
