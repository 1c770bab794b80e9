"""stepflow: durable step runs on Redis; the public names, each loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; `_EXPORTS` says the same at run time
    from stepflow.archive.values import ArchivedPage as ArchivedPage
    from stepflow.archive.values import ArchivedRun as ArchivedRun
    from stepflow.archive.values import ArchivedStep as ArchivedStep
    from stepflow.archive.values import ArchiveHealth as ArchiveHealth
    from stepflow.archive.values import Pruned as Pruned
    from stepflow.archive.values import Snapshot as Snapshot
    from stepflow.client import AsyncClient as AsyncClient
    from stepflow.client import AsyncRunHandle as AsyncRunHandle
    from stepflow.client import AsyncSessionReader as AsyncSessionReader
    from stepflow.client import Client as Client
    from stepflow.client import RunHandle as RunHandle
    from stepflow.client import SessionReader as SessionReader
    from stepflow.client.archived import ArchiveConditions as ArchiveConditions
    from stepflow.client.archived import Archives as Archives
    from stepflow.client.archived import AsyncArchives as AsyncArchives
    from stepflow.client.archived.both import ListOptions as ListOptions
    from stepflow.client.around.breakers import AsyncBreakers as AsyncBreakers
    from stepflow.client.around.breakers import Breakers as Breakers
    from stepflow.client.around.budgets import AsyncBudgets as AsyncBudgets
    from stepflow.client.around.budgets import Budgets as Budgets
    from stepflow.client.around.shared import AsyncSharedValues as AsyncSharedValues
    from stepflow.client.around.shared import SharedValues as SharedValues
    from stepflow.client.groups import AsyncGroups as AsyncGroups
    from stepflow.client.groups import Groups as Groups
    from stepflow.client.hook_info import HookInfo as HookInfo
    from stepflow.client.limits import AsyncLimits as AsyncLimits
    from stepflow.client.limits import LimitOptions as LimitOptions
    from stepflow.client.limits import Limits as Limits
    from stepflow.client.options import SubmitOptions as SubmitOptions
    from stepflow.client.schedules import AsyncSchedules as AsyncSchedules
    from stepflow.client.schedules import Schedules as Schedules
    from stepflow.core.backoff import RetryPolicy as RetryPolicy
    from stepflow.core.breakers.breaker import Breaker as Breaker
    from stepflow.core.budgets.budget import Budget as Budget
    from stepflow.core.budgets.budget import Spending as Spending
    from stepflow.core.budgets.budget import budget as budget
    from stepflow.core.budgets.cost import Cost as Cost
    from stepflow.core.cancel import CancelToken as CancelToken
    from stepflow.core.events import Event as Event
    from stepflow.core.events import EventType as EventType
    from stepflow.core.fanout.group import GroupState as GroupState
    from stepflow.core.fanout.join import Failed as Failed
    from stepflow.core.fanout.join import Join as Join
    from stepflow.core.fanout.join import JoinAll as JoinAll
    from stepflow.core.fanout.join import JoinFirst as JoinFirst
    from stepflow.core.fanout.join import JoinSlots as JoinSlots
    from stepflow.core.limits.limit import Limit as Limit
    from stepflow.core.limits.limit import LimitRequest as LimitRequest
    from stepflow.core.memos.memo import Memo as Memo
    from stepflow.core.memos.memo import SharedValue as SharedValue
    from stepflow.core.outcomes import Cancel as Cancel
    from stepflow.core.outcomes import Continue as Continue
    from stepflow.core.outcomes import ErrorFrame as ErrorFrame
    from stepflow.core.outcomes import ErrorInfo as ErrorInfo
    from stepflow.core.outcomes import Fail as Fail
    from stepflow.core.outcomes import Outcome as Outcome
    from stepflow.core.outcomes import Succeed as Succeed
    from stepflow.core.output import OutputEnd as OutputEnd
    from stepflow.core.output import OutputEvent as OutputEvent
    from stepflow.core.output import OutputGap as OutputGap
    from stepflow.core.output import OutputItem as OutputItem
    from stepflow.core.output import OutputReset as OutputReset
    from stepflow.core.output import OutputView as OutputView
    from stepflow.core.output import emit as emit
    from stepflow.core.run import Priority as Priority
    from stepflow.core.run import RunOutcome as RunOutcome
    from stepflow.core.run import RunState as RunState
    from stepflow.core.run import RunStatus as RunStatus
    from stepflow.core.runner import Effects as Effects
    from stepflow.core.runner import Step as Step
    from stepflow.core.runner import StepRunner as StepRunner
    from stepflow.core.runner import TypedRunner as TypedRunner
    from stepflow.core.runner import WorkflowContext as WorkflowContext
    from stepflow.engine.breakers.info import BreakerInfo as BreakerInfo
    from stepflow.engine.breakers.info import BreakerState as BreakerState
    from stepflow.engine.budgets.info import BudgetInfo as BudgetInfo
    from stepflow.engine.budgets.info import Spent as Spent
    from stepflow.engine.events.telemetry import Telemetry as Telemetry
    from stepflow.engine.groups.info import GroupFailure as GroupFailure
    from stepflow.engine.groups.info import GroupInfo as GroupInfo
    from stepflow.engine.hooks.context import HookContext as HookContext
    from stepflow.engine.inspect import QueueInfo as QueueInfo
    from stepflow.engine.inspect import WorkerInfo as WorkerInfo
    from stepflow.engine.lanes.look import LaneInfo as LaneInfo
    from stepflow.engine.limits.info import LimitHolder as LimitHolder
    from stepflow.engine.limits.info import LimitInfo as LimitInfo
    from stepflow.engine.listing import Page as Page
    from stepflow.engine.observing.facts import ObservedCall as ObservedCall
    from stepflow.engine.observing.facts import ObservedRun as ObservedRun
    from stepflow.engine.observing.facts import ObservedStep as ObservedStep
    from stepflow.engine.observing.observer import Observer as Observer
    from stepflow.engine.observing.ready import JsonlObserver as JsonlObserver
    from stepflow.engine.observing.ready import LogObserver as LogObserver
    from stepflow.engine.once.options import Debounce as Debounce
    from stepflow.engine.once.options import Singleton as Singleton
    from stepflow.engine.questions import Question as Question
    from stepflow.engine.schedules.info import FiringInfo as FiringInfo
    from stepflow.engine.schedules.info import NextTime as NextTime
    from stepflow.engine.schedules.info import ScheduleInfo as ScheduleInfo
    from stepflow.engine.schedules.info import ScheduleState as ScheduleState
    from stepflow.engine.schedules.spec import ScheduleOptions as ScheduleOptions
    from stepflow.engine.schedules.why import ScheduleWhy as ScheduleWhy
    from stepflow.engine.shared.verbs import SharedValueInfo as SharedValueInfo
    from stepflow.engine.spec import RunSpec as RunSpec
    from stepflow.engine.stats import FailureGroup as FailureGroup
    from stepflow.engine.stats import RunnerStats as RunnerStats
    from stepflow.engine.stats import Stats as Stats
    from stepflow.engine.stats import StatsPeriod as StatsPeriod
    from stepflow.engine.steering.bulk import BulkInfo as BulkInfo
    from stepflow.engine.steering.bulk import Preview as Preview
    from stepflow.engine.steering.queues import QueuePause as QueuePause
    from stepflow.engine.timeline import FailedAttempt as FailedAttempt
    from stepflow.engine.timeline import StepKind as StepKind
    from stepflow.engine.timeline import StepState as StepState
    from stepflow.engine.timeline import StepStatus as StepStatus
    from stepflow.engine.timeline import Timeline as Timeline
    from stepflow.engine.timeline.beside import JournalPage as JournalPage
    from stepflow.engine.timeline.beside import Mail as Mail
    from stepflow.engine.user_code.lifespan import Lifespan as Lifespan
    from stepflow.engine.user_code.middleware import CallNext as CallNext
    from stepflow.engine.user_code.middleware import UserCall as UserCall
    from stepflow.engine.user_code.resources.health import Health as Health
    from stepflow.engine.user_code.resources.health import HealthState as HealthState
    from stepflow.engine.user_code.resources.resource import Resource as Resource
    from stepflow.engine.user_code.resources.resource import inject as inject
    from stepflow.engine.user_code.resources.supplying import ResourceDecorator as ResourceDecorator
    from stepflow.engine.versions.runners import RunnerInfo as RunnerInfo
    from stepflow.engine.why import Why as Why
    from stepflow.engine.why.model import WhyWord as WhyWord
    from stepflow.engine.why.now import BlockedLoop as BlockedLoop
    from stepflow.engine.why.now import Now as Now
    from stepflow.engine.why.now import NowStep as NowStep
    from stepflow.errors import AnswerMisfit as AnswerMisfit
    from stepflow.errors import AppNotFound as AppNotFound
    from stepflow.errors import ArchiveConflict as ArchiveConflict
    from stepflow.errors import ArchiveMisconfigured as ArchiveMisconfigured
    from stepflow.errors import ArchiveUnreachable as ArchiveUnreachable
    from stepflow.errors import BreakerNotFound as BreakerNotFound
    from stepflow.errors import BudgetExceeded as BudgetExceeded
    from stepflow.errors import BudgetNotFound as BudgetNotFound
    from stepflow.errors import BulkGrown as BulkGrown
    from stepflow.errors import BulkNotFound as BulkNotFound
    from stepflow.errors import CancelRequested as CancelRequested
    from stepflow.errors import ChildFailed as ChildFailed
    from stepflow.errors import CircuitOpen as CircuitOpen
    from stepflow.errors import ClaimLost as ClaimLost
    from stepflow.errors import DataError as DataError
    from stepflow.errors import DefinitionFailed as DefinitionFailed
    from stepflow.errors import EmbeddedServerError as EmbeddedServerError
    from stepflow.errors import GroupBusy as GroupBusy
    from stepflow.errors import GroupMismatch as GroupMismatch
    from stepflow.errors import GroupNotFound as GroupNotFound
    from stepflow.errors import HookNotFound as HookNotFound
    from stepflow.errors import InvalidDefinition as InvalidDefinition
    from stepflow.errors import InvalidExpression as InvalidExpression
    from stepflow.errors import InvalidMachine as InvalidMachine
    from stepflow.errors import InvalidName as InvalidName
    from stepflow.errors import InvalidOption as InvalidOption
    from stepflow.errors import InvalidRunId as InvalidRunId
    from stepflow.errors import JoinNotMet as JoinNotMet
    from stepflow.errors import LifespanFailed as LifespanFailed
    from stepflow.errors import LifespanNotOpen as LifespanNotOpen
    from stepflow.errors import LimitFull as LimitFull
    from stepflow.errors import LimitNotFound as LimitNotFound
    from stepflow.errors import LimitTimeout as LimitTimeout
    from stepflow.errors import MailboxFull as MailboxFull
    from stepflow.errors import MapNotMet as MapNotMet
    from stepflow.errors import NameTaken as NameTaken
    from stepflow.errors import NoServer as NoServer
    from stepflow.errors import NoSuchValue as NoSuchValue
    from stepflow.errors import NotAnInteger as NotAnInteger
    from stepflow.errors import NotAnswered as NotAnswered
    from stepflow.errors import NotArchived as NotArchived
    from stepflow.errors import NotConfirmed as NotConfirmed
    from stepflow.errors import NotDeletable as NotDeletable
    from stepflow.errors import NotInStep as NotInStep
    from stepflow.errors import NotPausable as NotPausable
    from stepflow.errors import NotReplayable as NotReplayable
    from stepflow.errors import NotResumable as NotResumable
    from stepflow.errors import NotRetryable as NotRetryable
    from stepflow.errors import NotRunning as NotRunning
    from stepflow.errors import NotScheduled as NotScheduled
    from stepflow.errors import OffloadUnreachable as OffloadUnreachable
    from stepflow.errors import OutputOverflow as OutputOverflow
    from stepflow.errors import PayloadMismatch as PayloadMismatch
    from stepflow.errors import PayloadTooLarge as PayloadTooLarge
    from stepflow.errors import PermanentError as PermanentError
    from stepflow.errors import Postponed as Postponed
    from stepflow.errors import ProcessDied as ProcessDied
    from stepflow.errors import QuestionClosed as QuestionClosed
    from stepflow.errors import QuestionNotFound as QuestionNotFound
    from stepflow.errors import RateLimited as RateLimited
    from stepflow.errors import RedisRefused as RedisRefused
    from stepflow.errors import RedisUnreachable as RedisUnreachable
    from stepflow.errors import ReplyLost as ReplyLost
    from stepflow.errors import ReservedHeader as ReservedHeader
    from stepflow.errors import ResourceFailed as ResourceFailed
    from stepflow.errors import ResourceNotOpen as ResourceNotOpen
    from stepflow.errors import ResultMismatch as ResultMismatch
    from stepflow.errors import RightsMissing as RightsMissing
    from stepflow.errors import RunCancelled as RunCancelled
    from stepflow.errors import RunConflict as RunConflict
    from stepflow.errors import RunFailed as RunFailed
    from stepflow.errors import RunNotFound as RunNotFound
    from stepflow.errors import RunStateError as RunStateError
    from stepflow.errors import ScheduleNotFound as ScheduleNotFound
    from stepflow.errors import ServerUnfit as ServerUnfit
    from stepflow.errors import SignalMisfit as SignalMisfit
    from stepflow.errors import SignalRefused as SignalRefused
    from stepflow.errors import SingletonTaken as SingletonTaken
    from stepflow.errors import SpawnRefused as SpawnRefused
    from stepflow.errors import StepError as StepError
    from stepflow.errors import StepFailed as StepFailed
    from stepflow.errors import StepflowError as StepflowError
    from stepflow.errors import StepOver as StepOver
    from stepflow.errors import TransientError as TransientError
    from stepflow.errors import UnavailableError as UnavailableError
    from stepflow.errors import UndecryptableValue as UndecryptableValue
    from stepflow.errors import UnknownChild as UnknownChild
    from stepflow.errors import UnknownPrice as UnknownPrice
    from stepflow.errors import UnknownRunner as UnknownRunner
    from stepflow.errors import UnknownStep as UnknownStep
    from stepflow.errors import UnreadableArchive as UnreadableArchive
    from stepflow.errors import UnreadableHistory as UnreadableHistory
    from stepflow.errors import UnreadableOffload as UnreadableOffload
    from stepflow.errors import UnreadableRecord as UnreadableRecord
    from stepflow.errors import UnreadableValue as UnreadableValue
    from stepflow.errors import UnsupportedValue as UnsupportedValue
    from stepflow.errors import UsageError as UsageError
    from stepflow.errors import WebhookRefused as WebhookRefused
    from stepflow.errors import WorkerSilent as WorkerSilent
    from stepflow.errors import WrongTransition as WrongTransition
    from stepflow.hooks.webhook import Webhook as Webhook
    from stepflow.jobs import Job as Job
    from stepflow.jobs import JobDecorator as JobDecorator
    from stepflow.kits.app import Stepflow as Stepflow
    from stepflow.kits.definition.definitions import Definitions as Definitions
    from stepflow.kits.definition.model import Definition as Definition
    from stepflow.kits.flow.calls.agents import RouteOptions as RouteOptions
    from stepflow.kits.flow.calls.agents import ToolLoopOptions as ToolLoopOptions
    from stepflow.kits.flow.calls.batch import BatchOptions as BatchOptions
    from stepflow.kits.flow.calls.children import MapOptions as MapOptions
    from stepflow.kits.flow.calls.children import SpawnOptions as SpawnOptions
    from stepflow.kits.flow.calls.pages import Cursor as Cursor
    from stepflow.kits.flow.calls.pages import PageOptions as PageOptions
    from stepflow.kits.flow.calls.polls import PollOptions as PollOptions
    from stepflow.kits.flow.calls.steps import StepCaller as StepCaller
    from stepflow.kits.flow.calls.steps import StepOptions as StepOptions
    from stepflow.kits.flow.calls.sync_children import SyncChild as SyncChild
    from stepflow.kits.flow.calls.sync_children import SyncSession as SyncSession
    from stepflow.kits.flow.calls.sync_children import SyncTypedVariable as SyncTypedVariable
    from stepflow.kits.flow.calls.sync_children import SyncVariables as SyncVariables
    from stepflow.kits.flow.calls.sync_pages import SyncCursor as SyncCursor
    from stepflow.kits.flow.calls.sync_steps import SyncStepCaller as SyncStepCaller
    from stepflow.kits.flow.commands.child import Child as Child
    from stepflow.kits.flow.commands.poll import Pending as Pending
    from stepflow.kits.flow.commands.question import Asked as Asked
    from stepflow.kits.flow.commands.variable import Session as Session
    from stepflow.kits.flow.commands.variable import TypedVariable as TypedVariable
    from stepflow.kits.flow.commands.variable import Variables as Variables
    from stepflow.kits.flow.context import Context as Context
    from stepflow.kits.flow.current import current as current
    from stepflow.kits.flow.current_step import CurrentStep as CurrentStep
    from stepflow.kits.flow.current_step import current_step as current_step
    from stepflow.kits.flow.sync_context import SyncContext as SyncContext
    from stepflow.kits.machine.context import More as More
    from stepflow.kits.machine.context import StateContext as StateContext
    from stepflow.kits.machine.machine import Machine as Machine
    from stepflow.kits.machine.typed import MachineResult as MachineResult
    from stepflow.kits.machine.typed import RouterDecorator as RouterDecorator
    from stepflow.kits.machine.typed import StateDecorator as StateDecorator
    from stepflow.logs import StepFilter as StepFilter
    from stepflow.logs import StepLog as StepLog
    from stepflow.logs import log as log
    from stepflow.settings import Settings as Settings

#: the public names of each module
_EXPORTS = {
    "archive.values": "ArchivedPage ArchivedRun ArchivedStep ArchiveHealth Pruned Snapshot",
    "client": "AsyncClient AsyncRunHandle AsyncSessionReader Client RunHandle SessionReader",
    "client.hook_info": "HookInfo",
    "client.options": "SubmitOptions",
    "client.archived": "ArchiveConditions Archives AsyncArchives",
    "client.archived.both": "ListOptions",
    "client.limits": "AsyncLimits LimitOptions Limits",
    "client.groups": "AsyncGroups Groups",
    "client.around.breakers": "AsyncBreakers Breakers",
    "client.around.budgets": "AsyncBudgets Budgets",
    "client.around.shared": "AsyncSharedValues SharedValues",
    "client.schedules": "AsyncSchedules Schedules",
    "core.backoff": "RetryPolicy",
    "core.breakers.breaker": "Breaker",
    "core.budgets.budget": "Budget Spending budget",
    "core.budgets.cost": "Cost",
    "core.cancel": "CancelToken",
    "core.events": "Event EventType",
    "core.fanout.group": "GroupState",
    "core.fanout.join": "Failed Join JoinAll JoinFirst JoinSlots",
    "core.limits.limit": "Limit LimitRequest",
    "core.outcomes": "Cancel Continue ErrorFrame ErrorInfo Fail Outcome Succeed",
    "core.output": "OutputEnd OutputEvent OutputGap OutputItem OutputReset OutputView emit",
    "core.run": "Priority RunOutcome RunState RunStatus",
    "core.memos.memo": "Memo SharedValue",
    "core.runner": "Effects Step StepRunner TypedRunner WorkflowContext",
    "engine.hooks.context": "HookContext",
    "engine.breakers.info": "BreakerInfo BreakerState",
    "engine.budgets.info": "BudgetInfo Spent",
    "engine.inspect": "QueueInfo WorkerInfo",
    "engine.lanes.look": "LaneInfo",
    "engine.once.options": "Debounce Singleton",
    "engine.observing.facts": "ObservedCall ObservedRun ObservedStep",
    "engine.observing.observer": "Observer",
    "engine.observing.ready": "JsonlObserver LogObserver",
    "engine.questions": "Question",
    "engine.groups.info": "GroupFailure GroupInfo",
    "engine.schedules.info": "FiringInfo NextTime ScheduleInfo ScheduleState",
    "engine.schedules.spec": "ScheduleOptions",
    "engine.schedules.why": "ScheduleWhy",
    "engine.shared.verbs": "SharedValueInfo",
    "engine.spec": "RunSpec",
    "engine.limits.info": "LimitHolder LimitInfo",
    "engine.listing": "Page",
    "engine.stats": "FailureGroup RunnerStats Stats StatsPeriod",
    "engine.steering.queues": "QueuePause",
    "engine.events.telemetry": "Telemetry",
    "engine.timeline": "FailedAttempt StepKind StepState StepStatus Timeline",
    "engine.timeline.beside": "JournalPage Mail",
    "engine.user_code.lifespan": "Lifespan",
    "engine.user_code.middleware": "CallNext UserCall",
    "engine.user_code.resources.health": "Health HealthState",
    "engine.user_code.resources.resource": "Resource inject",
    "engine.user_code.resources.supplying": "ResourceDecorator",
    "engine.versions.runners": "RunnerInfo",
    "engine.why": "Why",
    "engine.why.model": "WhyWord",
    "engine.why.now": "BlockedLoop Now NowStep",
    "engine.steering.bulk": "BulkInfo Preview",
    "errors": """
        AnswerMisfit AppNotFound ArchiveConflict ArchiveMisconfigured ArchiveUnreachable
        BreakerNotFound BudgetExceeded BudgetNotFound BulkGrown BulkNotFound CancelRequested
        ChildFailed CircuitOpen ClaimLost DataError DefinitionFailed EmbeddedServerError GroupBusy
        GroupMismatch GroupNotFound HookNotFound InvalidDefinition InvalidExpression InvalidMachine
        InvalidName InvalidOption InvalidRunId JoinNotMet LifespanFailed LifespanNotOpen LimitFull
        LimitNotFound LimitTimeout MailboxFull MapNotMet NameTaken NoServer NoSuchValue NotAnInteger
        NotAnswered NotArchived NotConfirmed NotDeletable NotInStep NotPausable NotReplayable
        NotResumable NotRetryable NotRunning NotScheduled OffloadUnreachable OutputOverflow
        PayloadMismatch PayloadTooLarge PermanentError Postponed ProcessDied QuestionClosed
        QuestionNotFound RateLimited RedisRefused RedisUnreachable ReplyLost ReservedHeader
        ResourceFailed ResourceNotOpen ResultMismatch RightsMissing RunCancelled RunConflict
        RunFailed RunNotFound RunStateError ScheduleNotFound ServerUnfit SignalMisfit SignalRefused
        SingletonTaken SpawnRefused StepError StepFailed StepOver StepflowError TransientError
        UnavailableError UndecryptableValue UnknownChild UnknownPrice UnknownRunner UnknownStep
        UnreadableArchive UnreadableHistory UnreadableOffload UnreadableRecord UnreadableValue
        UnsupportedValue UsageError WebhookRefused WorkerSilent WrongTransition
    """,
    "hooks.webhook": "Webhook",
    "jobs": "Job JobDecorator",
    "kits.app": "Stepflow",
    "kits.flow.calls.agents": "RouteOptions ToolLoopOptions",
    "kits.flow.calls.batch": "BatchOptions",
    "kits.flow.calls.pages": "Cursor PageOptions",
    "kits.flow.calls.sync_pages": "SyncCursor",
    "kits.flow.commands.poll": "Pending",
    "kits.flow.commands.question": "Asked",
    "kits.flow.calls.children": "MapOptions SpawnOptions",
    "kits.flow.calls.polls": "PollOptions",
    "kits.flow.calls.steps": "StepCaller StepOptions",
    "kits.flow.calls.sync_children": "SyncChild SyncSession SyncTypedVariable SyncVariables",
    "kits.flow.calls.sync_steps": "SyncStepCaller",
    "kits.flow.commands.child": "Child",
    "kits.flow.commands.variable": "Session TypedVariable Variables",
    "kits.flow.context": "Context",
    "kits.flow.current": "current",
    "kits.flow.current_step": "CurrentStep current_step",
    "kits.flow.sync_context": "SyncContext",
    "kits.definition.definitions": "Definitions",
    "kits.definition.model": "Definition",
    "kits.machine.context": "More StateContext",
    "kits.machine.machine": "Machine",
    "kits.machine.typed": "MachineResult RouterDecorator StateDecorator",
    "logs": "StepFilter StepLog log",
    "settings": "Settings",
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stepflow' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"stepflow.{_HOMES[name]}"), name)
    return value
