"""
Everything stepflow raises, as one tree; the branch says whose move it is.

    StepflowError
    ├── UsageError            your call: change the call
    │   ├── InvalidRunId, InvalidName, InvalidOption, ReservedHeader
    │   ├── UnsupportedValue, PayloadTooLarge, NotAnInteger, SignalMisfit, AnswerMisfit, StepOver
    │   ├── UnknownRunner, AppNotFound, WebhookRefused, NotReplayable
    │   └── RunConflict
    ├── RunStateError         this run's state: look at the run
    │   ├── RunNotFound, HookNotFound, NotRetryable, NotResumable
    │   ├── SignalRefused, MailboxFull, SpawnRefused, UnknownStep
    │   ├── QuestionNotFound, QuestionClosed
    │   └── RunFailed, RunCancelled
    ├── DataError             data we cannot read
    │   └── UnreadableValue, UnreadableRecord, PayloadMismatch, UnreadableHistory
    ├── UnavailableError      try again (retryable)
    │   ├── RedisUnreachable
    │   ├── RedisRefused      and RightsMissing, of its user
    │   └── ReplyLost         the command may or may not have been carried out
    ├── ServerUnfit           this Redis cannot carry stepflow: too old, a cluster
    ├── EmbeddedServerError   the embedded server could not be started or joined
    ├── StepFailed            what a workflow sees of a step that failed for good
    ├── ChildFailed           what a workflow sees of a child that failed or was cancelled
    └── StepError             raised by your runners, read by the runtime
        ├── TransientError    try this step again
        └── PermanentError    end the run now

The class builds the sentence, callers pass facts. Control flow that user code must not swallow
derives from BaseException: `ClaimLost`.
"""

from stepflow.errors.base import StepflowError
from stepflow.errors.data import (
    DataError,
    EmbeddedServerError,
    PayloadMismatch,
    RedisRefused,
    RedisUnreachable,
    ReplyLost,
    RightsMissing,
    ServerUnfit,
    UnavailableError,
    UnreadableHistory,
    UnreadableRecord,
    UnreadableValue,
)
from stepflow.errors.state import (
    HookNotFound,
    MailboxFull,
    NotResumable,
    NotRetryable,
    QuestionClosed,
    QuestionNotFound,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunStateError,
    SignalRefused,
    SpawnRefused,
    UnknownStep,
)
from stepflow.errors.steps import (
    ChildFailed,
    ClaimLost,
    PermanentError,
    StepError,
    StepFailed,
    TransientError,
)
from stepflow.errors.usage import (
    AnswerMisfit,
    AppNotFound,
    InvalidName,
    InvalidOption,
    InvalidRunId,
    NotAnInteger,
    NotReplayable,
    PayloadTooLarge,
    ReservedHeader,
    RunConflict,
    SignalMisfit,
    StepOver,
    UnknownRunner,
    UnsupportedValue,
    UsageError,
    WebhookRefused,
)

__all__ = [
    "AnswerMisfit",
    "AppNotFound",
    "QuestionNotFound",
    "QuestionClosed",
    "ChildFailed",
    "ClaimLost",
    "DataError",
    "EmbeddedServerError",
    "HookNotFound",
    "InvalidName",
    "InvalidOption",
    "InvalidRunId",
    "MailboxFull",
    "NotAnInteger",
    "NotReplayable",
    "NotResumable",
    "NotRetryable",
    "PayloadMismatch",
    "PayloadTooLarge",
    "PermanentError",
    "RedisRefused",
    "RedisUnreachable",
    "ReplyLost",
    "ReservedHeader",
    "RightsMissing",
    "RunCancelled",
    "RunConflict",
    "RunFailed",
    "RunNotFound",
    "RunStateError",
    "ServerUnfit",
    "SignalMisfit",
    "SignalRefused",
    "SpawnRefused",
    "StepError",
    "StepFailed",
    "StepOver",
    "StepflowError",
    "TransientError",
    "UnavailableError",
    "UnknownRunner",
    "UnknownStep",
    "UnreadableHistory",
    "UnreadableRecord",
    "UnreadableValue",
    "UnsupportedValue",
    "UsageError",
    "WebhookRefused",
]
