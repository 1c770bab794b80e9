"""
Everything that stepflow raises, as one tree; the branch says what you can do about it.

    StepflowError
    ├── UsageError            your call: change the call
    │   ├── InvalidRunId, InvalidName and its NameTaken, ReservedHeader
    │   ├── InvalidOption, InvalidMachine, of a graph, InvalidDefinition, of a file, and
    │   │   UnknownPrice, of a call
    │   ├── UnsupportedValue, PayloadTooLarge, NotAnInteger, SignalMisfit, AnswerMisfit
    │   ├── StepOver, NotInStep, OutputOverflow
    │   ├── UnknownRunner, AppNotFound, WebhookRefused, NotReplayable, ResultMismatch
    │   ├── LifespanNotOpen, ResourceNotOpen
    │   ├── ArchiveMisconfigured, ArchiveConflict
    │   └── RunConflict and its SingletonTaken, GroupMismatch
    ├── RunStateError         this run's state: look at the run
    │   ├── RunNotFound, HookNotFound, NotRetryable, NotResumable, NotPausable, NotScheduled
    │   ├── NotDeletable, NotRunning, BulkNotFound, BulkGrown, ScheduleNotFound
    │   ├── GroupNotFound, GroupBusy, BreakerNotFound, BudgetNotFound, LimitFull, LimitNotFound
    │   ├── SignalRefused, MailboxFull, SpawnRefused, UnknownChild, UnknownStep
    │   ├── QuestionNotFound, QuestionClosed, NotArchived
    │   └── RunFailed, RunCancelled
    ├── DataError             data we cannot read
    │   ├── UnreadableValue and its UndecryptableValue, UnreadableOffload
    │   └── UnreadableRecord, PayloadMismatch, UnreadableHistory, UnreadableArchive
    ├── UnavailableError      try again (retryable)
    │   ├── RedisUnreachable
    │   ├── RedisRefused      and RightsMissing, of its user
    │   ├── ArchiveUnreachable, OffloadUnreachable
    │   ├── WorkerSilent      a worker did not answer what it is doing
    │   └── ReplyLost         the command may or may not have been carried out; its NotConfirmed
    │                         was, and may be lost yet
    ├── ServerUnfit           this Redis cannot carry stepflow: too old, a cluster
    ├── EmbeddedServerError   the embedded server could not be started or joined
    ├── LifespanFailed        what your app opens with its worker could not be opened
    ├── ResourceFailed        nor could what it sets up with its worker
    ├── ProcessDied           a child process ended during a call (retryable)
    ├── CancelRequested       this run was asked to stop: leave the step
    ├── CircuitOpen           a circuit breaker lets no call through now
    ├── BudgetExceeded        a budget has no room for what a step may cost
    ├── StepFailed            what a workflow sees of a step that failed for good
    ├── ChildFailed           what a workflow sees of a child that failed or was cancelled
    ├── JoinNotMet            what a workflow sees of a ctx.map or ctx.gather whose join is not met;
    │   └── MapNotMet         of children, which is a ChildFailed as well
    ├── DefinitionFailed      steps of a definition failed, after all others had ended
    ├── NotAnswered           stands for a branch without which a join was settled
    └── StepError             raised by your runners, read by the runtime
        ├── TransientError    try this step again
        │   └── RateLimited   not before a limit has rested
        └── PermanentError    end the run now
            ├── LimitTimeout      a step has waited in line for longer than its limit allows
            ├── WrongTransition   a machine's state chose one that its to= does not name
            ├── NoSuchValue       a reference of a definition leads nowhere
            └── InvalidExpression nor can an expression of one be worked out

Each class builds its own sentence from the facts that callers pass. Control flow that user code
must not swallow derives from BaseException: `ClaimLost`, `Postponed`. The branches have a module
each; import from here.
"""

from stepflow.errors.archive import (
    ArchiveConflict,
    ArchiveMisconfigured,
    ArchiveUnreachable,
    NotArchived,
    UnreadableArchive,
)
from stepflow.errors.base import (
    StepflowError,
    did_you_mean,
    shown,
    stands,
)
from stepflow.errors.data import (
    DataError,
    PayloadMismatch,
    UndecryptableValue,
    UnreadableHistory,
    UnreadableRecord,
    UnreadableValue,
)
from stepflow.errors.definitions import (
    DefinitionFailed,
    InvalidDefinition,
    InvalidExpression,
    NoSuchValue,
)
from stepflow.errors.joins import JoinNotMet, MapNotMet, NotAnswered
from stepflow.errors.offload import OffloadUnreachable, UnreadableOffload
from stepflow.errors.run_state import (
    BreakerNotFound,
    BudgetNotFound,
    BulkGrown,
    BulkNotFound,
    GroupBusy,
    GroupNotFound,
    HookNotFound,
    LimitFull,
    LimitNotFound,
    MailboxFull,
    NotDeletable,
    NotPausable,
    NotResumable,
    NotRetryable,
    NotRunning,
    NotScheduled,
    QuestionClosed,
    QuestionNotFound,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunStateError,
    ScheduleNotFound,
    SignalRefused,
    SpawnRefused,
    UnknownChild,
    UnknownStep,
)
from stepflow.errors.server import (
    EmbeddedServerError,
    NoServer,
    NotConfirmed,
    RedisRefused,
    RedisUnreachable,
    ReplyLost,
    RightsMissing,
    ServerUnfit,
    UnavailableError,
    WorkerSilent,
)
from stepflow.errors.usage import (
    AnswerMisfit,
    AppNotFound,
    GroupMismatch,
    InvalidMachine,
    InvalidName,
    InvalidOption,
    InvalidRunId,
    LifespanNotOpen,
    NameTaken,
    NotAnInteger,
    NotInStep,
    NotReplayable,
    OutputOverflow,
    PayloadTooLarge,
    ReservedHeader,
    ResourceNotOpen,
    ResultMismatch,
    RunConflict,
    SignalMisfit,
    SingletonTaken,
    StepOver,
    UnknownPrice,
    UnknownRunner,
    UnsupportedValue,
    UsageError,
    WebhookRefused,
)
from stepflow.errors.user_code import (
    BudgetExceeded,
    CancelRequested,
    ChildFailed,
    CircuitOpen,
    ClaimLost,
    LifespanFailed,
    LimitTimeout,
    PermanentError,
    Postponed,
    ProcessDied,
    RateLimited,
    ResourceFailed,
    StepError,
    StepFailed,
    TransientError,
    WrongTransition,
)

__all__ = [
    "AnswerMisfit",
    "AppNotFound",
    "ArchiveConflict",
    "ArchiveMisconfigured",
    "ArchiveUnreachable",
    "BreakerNotFound",
    "BudgetExceeded",
    "BudgetNotFound",
    "BulkGrown",
    "BulkNotFound",
    "CancelRequested",
    "ChildFailed",
    "CircuitOpen",
    "ClaimLost",
    "DataError",
    "DefinitionFailed",
    "EmbeddedServerError",
    "GroupBusy",
    "GroupMismatch",
    "GroupNotFound",
    "HookNotFound",
    "InvalidDefinition",
    "InvalidExpression",
    "InvalidMachine",
    "InvalidName",
    "InvalidOption",
    "InvalidRunId",
    "JoinNotMet",
    "LifespanFailed",
    "LifespanNotOpen",
    "LimitFull",
    "LimitNotFound",
    "LimitTimeout",
    "MailboxFull",
    "MapNotMet",
    "NameTaken",
    "NoServer",
    "NoSuchValue",
    "NotAnInteger",
    "NotAnswered",
    "NotArchived",
    "NotConfirmed",
    "NotDeletable",
    "NotInStep",
    "NotPausable",
    "NotReplayable",
    "NotResumable",
    "NotRetryable",
    "NotRunning",
    "NotScheduled",
    "OffloadUnreachable",
    "OutputOverflow",
    "PayloadMismatch",
    "PayloadTooLarge",
    "PermanentError",
    "Postponed",
    "ProcessDied",
    "QuestionClosed",
    "QuestionNotFound",
    "RateLimited",
    "RedisRefused",
    "RedisUnreachable",
    "ReplyLost",
    "ReservedHeader",
    "ResourceFailed",
    "ResourceNotOpen",
    "ResultMismatch",
    "RightsMissing",
    "RunCancelled",
    "RunConflict",
    "RunFailed",
    "RunNotFound",
    "RunStateError",
    "ScheduleNotFound",
    "ServerUnfit",
    "SignalMisfit",
    "SignalRefused",
    "SingletonTaken",
    "SpawnRefused",
    "StepError",
    "StepFailed",
    "StepOver",
    "StepflowError",
    "TransientError",
    "UnavailableError",
    "UndecryptableValue",
    "UnknownChild",
    "UnknownPrice",
    "UnknownRunner",
    "UnknownStep",
    "UnreadableArchive",
    "UnreadableHistory",
    "UnreadableOffload",
    "UnreadableRecord",
    "UnreadableValue",
    "UnsupportedValue",
    "UsageError",
    "WebhookRefused",
    "WorkerSilent",
    "WrongTransition",
    "did_you_mean",
    "shown",
    "stands",
]

# a traceback names them by where you import them from
for _name in __all__:
    globals()[_name].__module__ = __name__
