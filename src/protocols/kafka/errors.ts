// Kafka's error codes as we use them, and what each of the core's codes is in Kafka's words.
import { CoreError, type CoreErrorCode } from '../../broker/face.ts'

export const KafkaError = {
  UnknownServerError: -1,
  None: 0,
  OffsetOutOfRange: 1,
  CorruptMessage: 2,
  UnknownTopicOrPartition: 3,
  LeaderNotAvailable: 5,
  RequestTimedOut: 7,
  MessageTooLarge: 10,
  OffsetMetadataTooLarge: 12,
  CoordinatorLoadInProgress: 14,
  CoordinatorNotAvailable: 15,
  NotCoordinator: 16,
  InvalidTopic: 17,
  InvalidRequiredAcks: 21,
  IllegalGeneration: 22,
  InconsistentGroupProtocol: 23,
  InvalidGroupId: 24,
  UnknownMemberId: 25,
  InvalidSessionTimeout: 26,
  RebalanceInProgress: 27,
  TopicAuthorizationFailed: 29,
  GroupAuthorizationFailed: 30,
  ClusterAuthorizationFailed: 31,
  InvalidTimestamp: 32,
  UnsupportedSaslMechanism: 33,
  IllegalSaslState: 34,
  UnsupportedVersion: 35,
  TopicAlreadyExists: 36,
  InvalidPartitions: 37,
  InvalidReplicationFactor: 38,
  InvalidReplicaAssignment: 39,
  InvalidConfig: 40,
  InvalidRequest: 42,
  PolicyViolation: 44,
  OutOfOrderSequenceNumber: 45,
  DuplicateSequenceNumber: 46,
  InvalidProducerEpoch: 47,
  InvalidTxnState: 48,
  InvalidProducerIdMapping: 49,
  InvalidTransactionTimeout: 50,
  ConcurrentTransactions: 51,
  TransactionCoordinatorFenced: 52,
  TransactionalIdAuthorizationFailed: 53,
  SecurityDisabled: 54,
  OperationNotAttempted: 55,
  StorageError: 56,
  LogDirNotFound: 57,
  SaslAuthenticationFailed: 58,
  UnknownProducerId: 59,
  DelegationTokenAuthDisabled: 61,
  DelegationTokenRequestNotAllowed: 64,
  NonEmptyGroup: 68,
  GroupIdNotFound: 69,
  FetchSessionIdNotFound: 70,
  InvalidFetchSessionEpoch: 71,
  FencedLeaderEpoch: 74,
  UnknownLeaderEpoch: 75,
  UnsupportedCompressionType: 76,
  MemberIdRequired: 79,
  GroupMaxSizeReached: 81,
  FencedInstanceId: 82,
  ElectionNotNeeded: 84,
  NoReassignmentInProgress: 85,
  GroupSubscribedToTopic: 86,
  InvalidRecord: 87,
  UnstableOffsetCommit: 88,
  ThrottlingQuotaExceeded: 89,
  ProducerFenced: 90,
  ResourceNotFound: 91,
  DuplicateResource: 92,
  UnacceptableCredential: 93,
  InvalidUpdateVersion: 95,
  UnknownTopicId: 100,
  TransactionalIdNotFound: 105,
  FetchSessionTopicIdError: 106,
  FencedMemberEpoch: 110,
  UnreleasedInstanceId: 111,
  UnsupportedAssignor: 112,
  StaleMemberEpoch: 113,
  InvalidRecordState: 121,
  ShareSessionNotFound: 122,
  InvalidShareSessionEpoch: 123,
  MismatchedEndpointType: 114,
  UnsupportedEndpointType: 115,
  TransactionAbortable: 120,
  InvalidRegularExpression: 128,
  RebootstrapRequired: 129,
  ShareSessionLimitReached: 133,
} as const

interface WireError {
  readonly code: number
  /** Whether nothing sensible can follow on this connection. */
  readonly closes: boolean
}

const still = (code: number): WireError => ({ code, closes: false })

/** For whatever concerns a topic. */
export const wireErrors = {
  NotFound: still(KafkaError.UnknownTopicOrPartition),
  AlreadyExists: still(KafkaError.TopicAlreadyExists),
  Mismatch: still(KafkaError.InvalidRequest),
  AccessDenied: still(KafkaError.TopicAuthorizationFailed),
  Unauthenticated: { code: KafkaError.SaslAuthenticationFailed, closes: true },
  TooLarge: still(KafkaError.MessageTooLarge),
  Throttled: still(KafkaError.ThrottlingQuotaExceeded),
  // Retriable, so that a producer waits for room instead of giving its records up.
  Full: still(KafkaError.StorageError),
  Unavailable: still(KafkaError.StorageError),
  Fenced: still(KafkaError.InvalidProducerEpoch),
  OutOfRange: still(KafkaError.OffsetOutOfRange),
  Invalid: still(KafkaError.InvalidRequest),
  Unsupported: still(KafkaError.UnsupportedVersion),
  Internal: still(KafkaError.UnknownServerError),
} as const satisfies Record<CoreErrorCode, WireError>

export function wireCode(code: CoreErrorCode): number {
  return wireErrors[code].code
}

/** While producing, what can mismatch is the sequence of an idempotent producer, what can be out of range is the partition, and what can be invalid is a record. */
export function produceCode(code: CoreErrorCode): number {
  if (code === 'Mismatch') return KafkaError.OutOfOrderSequenceNumber
  if (code === 'Invalid') return KafkaError.InvalidRecord
  return code === 'OutOfRange' ? KafkaError.UnknownTopicOrPartition : wireCode(code)
}

export function codeOf(cause: unknown): number {
  return cause instanceof CoreError ? wireCode(cause.code) : KafkaError.UnknownServerError
}

export function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
