// Response codes of the protocol, and what each refusal of the core is called here.
import type { CoreErrorCode } from '../../broker/face.ts'

/** PROTOCOL.adoc, "Response Codes", and the two that came later for a second login. */
export const Code = {
  Ok: 1,
  StreamDoesNotExist: 2,
  SubscriptionIdAlreadyExists: 3,
  SubscriptionIdDoesNotExist: 4,
  StreamAlreadyExists: 5,
  StreamNotAvailable: 6,
  SaslMechanismNotSupported: 7,
  AuthenticationFailure: 8,
  SaslError: 9,
  VirtualHostAccessFailure: 12,
  UnknownFrame: 13,
  FrameTooLarge: 14,
  InternalError: 15,
  AccessRefused: 16,
  PreconditionFailed: 17,
  PublisherDoesNotExist: 18,
  NoOffset: 19,
  SaslCannotChangeMechanism: 20,
  SaslCannotChangeUsername: 21,
} as const
export type Code = (typeof Code)[keyof typeof Code]

export const coreCodes = {
  NotFound: Code.StreamDoesNotExist,
  AlreadyExists: Code.StreamAlreadyExists,
  Mismatch: Code.PreconditionFailed,
  AccessDenied: Code.AccessRefused,
  Unauthenticated: Code.AuthenticationFailure,
  TooLarge: Code.PreconditionFailed,
  Throttled: Code.StreamNotAvailable,
  Full: Code.PreconditionFailed,
  Unavailable: Code.StreamNotAvailable,
  Fenced: Code.PreconditionFailed,
  OutOfRange: Code.NoOffset,
  Invalid: Code.PreconditionFailed,
  Unsupported: Code.PreconditionFailed,
  Internal: Code.InternalError,
} as const satisfies Record<CoreErrorCode, Code>

/** A request that is answered with a code alone; thrown by handlers, caught once where requests are dispatched. */
export class Refusal extends Error {
  readonly code: Code
  /** The connection ends behind the answer. */
  readonly closes: boolean

  constructor(code: Code, reason: string, closes = false) {
    super(reason)
    this.code = code
    this.closes = closes
  }
}

/** Bytes that are no frame of the protocol: they end the connection. */
export class MalformedFrame extends Error {}
