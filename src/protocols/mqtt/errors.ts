/** Reason codes (MQTT 5.0, 2.4), the return codes of older versions, and which of them each error of the core is. */
import { CoreError, type CoreErrorCode } from '../../broker/face.ts'

export const Reason = {
  Success: 0x00,
  DisconnectWithWill: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  Reauthenticate: 0x19,
  Unspecified: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  UnsupportedVersion: 0x84,
  ClientIdNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdInUse: 0x91,
  PacketIdNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  QuotaExceeded: 0x97,
  PayloadFormatInvalid: 0x99,
  MaximumConnectTime: 0xa0,
} as const
export type Reason = (typeof Reason)[keyof typeof Reason]

/** What a client did wrong: ends its connection, with this reason where its version can say one. */
export class MqttError extends Error {
  readonly reason: Reason

  constructor(reason: Reason, message: string) {
    super(message)
    this.reason = reason
  }
}

const reasons = {
  NotFound: Reason.NoMatchingSubscribers,
  AlreadyExists: Reason.Unspecified,
  Mismatch: Reason.Unspecified,
  AccessDenied: Reason.NotAuthorized,
  Unauthenticated: Reason.BadUserNameOrPassword,
  TooLarge: Reason.PacketTooLarge,
  Throttled: Reason.QuotaExceeded,
  Full: Reason.QuotaExceeded,
  Unavailable: Reason.Unspecified,
  Fenced: Reason.Unspecified,
  OutOfRange: Reason.Unspecified,
  Invalid: Reason.TopicNameInvalid,
  Unsupported: Reason.Unspecified,
  Internal: Reason.Unspecified,
} as const satisfies Record<CoreErrorCode, Reason>

export function reasonOfCode(code: CoreErrorCode): Reason {
  return reasons[code]
}

export function reasonOf(cause: unknown): Reason {
  if (cause instanceof MqttError) return cause.reason
  return cause instanceof CoreError ? reasons[cause.code] : Reason.Unspecified
}

/** CONNACK of 3.1 and 3.1.1 (3.1.1, 3.2.2.3); null: the connection ends without one, since no code says it [3.2.2-6]. */
export function returnCodeOf(reason: Reason): number | null {
  switch (reason) {
    case Reason.Success:
      return 0
    case Reason.UnsupportedVersion:
      return 1
    case Reason.ClientIdNotValid:
      return 2
    case Reason.BadUserNameOrPassword:
      return 4
    case Reason.NotAuthorized:
      return 5
    case Reason.MalformedPacket:
    case Reason.ProtocolError:
    case Reason.TopicNameInvalid:
    case Reason.PacketTooLarge:
      return null
    default:
      return 3
  }
}
