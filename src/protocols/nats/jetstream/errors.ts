/** What the JetStream API refuses: numbers and texts as nats-server has them (its errors.json), for clients go by them. */
import type { CoreError } from '../../../broker/face.ts'

const table = {
  badRequest: [400, 10003, 'bad request'],
  invalidJson: [400, 10025, 'invalid JSON: {err}'],
  notEmptyRequest: [400, 10038, 'expected an empty request payload'],
  clusterRequired: [503, 10010, 'JetStream clustering support required'],
  requiredApiLevel: [412, 10185, 'JetStream minimum api level required'],
  storageExceeded: [500, 10047, 'insufficient storage resources available'],
  streamNotFound: [404, 10059, 'stream not found'],
  streamNameExists: [400, 10058, 'stream name already in use with a different configuration'],
  streamMismatch: [400, 10056, 'stream name in subject does not match request'],
  streamNamePath: [400, 10128, 'Stream name can not contain path separators'],
  streamInvalidConfig: [500, 10052, '{err}'],
  streamCreate: [500, 10049, '{err}'],
  streamUpdate: [500, 10069, '{err}'],
  streamDelete: [500, 10050, '{err}'],
  streamGeneral: [500, 10051, '{err}'],
  streamSubjectOverlap: [400, 10065, 'subjects overlap with an existing stream'],
  streamReplicas: [500, 10074, 'replicas > 1 not supported in non-clustered mode'],
  replicasNegative: [400, 10133, 'replicas count cannot be negative'],
  memoryExceeded: [500, 10028, 'insufficient memory resources available'],
  accountExceeded: [400, 10002, 'resource limits exceeded for account'],
  noLimits: [400, 10120, 'no JetStream default or applicable tiered limit present'],
  streamBytesRequired: [400, 10113, 'account requires a stream config to have max bytes set'],
  streamBytesExceeded: [400, 10122, 'stream max bytes exceeds account limit max stream bytes'],
  streamLimit: [400, 10027, 'maximum number of streams reached'],
  streamSealed: [400, 10109, 'invalid operation on sealed stream'],
  streamPurge: [500, 10110, '{err}'],
  streamMessageTooLarge: [400, 10054, 'message size exceeds maximum allowed'],
  headerTooLarge: [400, 10097, 'header size exceeds maximum allowed of 64k'],
  streamStore: [503, 10077, '{err}'],
  streamNotMatch: [400, 10060, 'expected stream does not match'],
  wrongLastSequence: [400, 10071, 'wrong last sequence: {seq}'],
  wrongLastMessageId: [400, 10070, 'wrong last msg ID: {id}'],
  expectedSubjectWithoutSequence: [400, 10193, 'missing sequence for expected last sequence per subject'],
  rollupFailed: [500, 10111, '{err}'],
  ttlInvalid: [400, 10165, 'invalid per-message TTL'],
  ttlDisabled: [400, 10166, 'per-message TTL is disabled'],
  incrementDisabled: [400, 10168, 'message counters is disabled'],
  incrementMissing: [400, 10169, 'message counter increment is missing'],
  incrementPayload: [400, 10170, 'message counter has payload'],
  incrementInvalid: [400, 10171, 'message counter increment is invalid'],
  counterBroken: [400, 10172, 'message counter is broken'],
  schedulesDisabled: [400, 10188, 'message schedules is disabled'],
  schedulePattern: [400, 10189, 'message schedules pattern is invalid'],
  scheduleTarget: [400, 10190, 'message schedules target is invalid'],
  scheduleTtl: [400, 10191, 'message schedules invalid per-message TTL'],
  scheduleRollup: [400, 10192, 'message schedules invalid rollup'],
  scheduleSource: [400, 10203, 'message schedules source is invalid'],
  scheduler: [400, 10212, 'message schedules invalid scheduler'],
  scheduleTimeZone: [400, 10223, 'message schedules time zone is invalid'],
  mirrorWithSchedules: [400, 10186, 'stream mirrors can not also schedule messages'],
  sourceWithSchedules: [400, 10187, 'stream source can not also schedule messages'],
  atomicDisabled: [400, 10174, 'atomic publish is disabled'],
  atomicMissingSequence: [400, 10175, 'atomic publish sequence is missing'],
  atomicIncomplete: [400, 10176, 'atomic publish batch is incomplete'],
  atomicHeader: [400, 10177, 'atomic publish unsupported header used: {header}'],
  atomicBatchId: [400, 10179, 'atomic publish batch ID is invalid'],
  atomicTooLarge: [400, 10199, 'atomic publish batch is too large: {size}'],
  atomicCommit: [400, 10200, 'atomic publish batch commit is invalid'],
  atomicDuplicate: [400, 10201, 'atomic publish batch contains duplicate message id'],
  atomicTooMany: [429, 10210, 'atomic publish too many inflight'],
  batchDisabled: [400, 10205, 'batch publish is disabled'],
  batchPattern: [400, 10206, 'batch publish pattern is invalid'],
  batchId: [400, 10207, 'batch publish ID is invalid'],
  batchUnknown: [400, 10208, 'batch publish ID unknown'],
  batchTooMany: [429, 10211, 'batch publish too many inflight'],
  messageNotFound: [404, 10037, 'no message found'],
  sequenceNotFound: [400, 10043, 'sequence {seq} not found'],
  messageDelete: [500, 10057, '{err}'],
  snapshotDeliverSubject: [400, 10015, 'deliver subject not valid'],
  streamSnapshot: [500, 10064, 'snapshot failed: {err}'],
  streamRestore: [500, 10062, 'restore failed: {err}'],
  streamNameExistsRestore: [400, 10130, 'stream name already in use, cannot restore'],
  pedantic: [400, 10157, 'pedantic mode: {err}'],
  mirrorWithSubjects: [400, 10034, 'stream mirrors can not contain subjects'],
  mirrorWithSources: [400, 10031, 'stream mirrors can not also contain other sources'],
  mirrorWithFirstSequence: [400, 10143, 'stream mirrors can not have first sequence configured'],
  mirrorWithCounters: [400, 10173, 'stream mirrors can not also calculate counters'],
  mirrorWithAtomic: [400, 10198, 'stream mirrors can not also use atomic publishing'],
  mirrorWithBatches: [400, 10209, 'stream mirrors can not also use batch publishing'],
  mirrorStart: [400, 10032, 'stream mirrors can not have both start seq and start time configured'],
  mirrorFilters: [400, 10150, 'mirror with multiple subject transforms cannot also have a single subject filter'],
  mirrorTransform: [400, 10154, 'mirror transform: {err}'],
  sourceFilters: [400, 10144, 'source with multiple subject transforms cannot also have a single subject filter'],
  sourceTransform: [400, 10146, 'source transform: {err}'],
  mirrorTransformSource: [400, 10151, 'mirror transform source: {err}'],
  mirrorOverlap: [400, 10152, 'mirror subject filters can not overlap'],
  mirrorMessageSize: [400, 10030, 'stream mirror must have max message size >= source'],
  sourceTransformSource: [400, 10145, 'source transform source: {err}'],
  sourceOverlap: [400, 10147, 'source filters can not overlap'],
  sourceMessageSize: [400, 10046, 'stream source must have max message size >= target'],
  mirrorNotUpdatable: [400, 10055, 'stream mirror configuration can not be updated'],
  mirrorName: [400, 10142, 'mirrored stream name is invalid'],
  sourceName: [400, 10141, 'sourced stream name is invalid'],
  sourceDuplicate: [400, 10140, 'duplicate source configuration detected'],
  transformSource: [400, 10155, 'stream transform source: {err}'],
  transformDestination: [400, 10156, 'stream transform: {err}'],
  consumerNotFound: [404, 10014, 'consumer not found'],
  consumerNameExists: [400, 10013, 'consumer name already in use'],
  consumerExists: [400, 10148, 'consumer already exists'],
  consumerMissing: [400, 10149, 'consumer does not exist'],
  consumerCreate: [500, 10012, '{err}'],
  consumerLimit: [400, 10026, 'maximum consumers limit reached'],
  consumerBadName: [400, 10103, "durable name can not contain '.', '*', '>'"],
  consumerNamePath: [400, 10127, 'Consumer name can not contain path separators'],
  consumerNameTooLong: [400, 10102, 'consumer name is too long, maximum allowed is {max}'],
  consumerDurableNotInSubject: [400, 10016, 'consumer expected to be durable but no durable name set in subject'],
  consumerDurableMismatch: [400, 10017, 'consumer name in subject does not match durable name in request'],
  consumerDurableNotSet: [400, 10018, 'consumer expected to be durable but a durable name was not set'],
  consumerEphemeralWithDurable: [400, 10020, 'consumer expected to be ephemeral but a durable name was set in request'],
  consumerDurableAndName: [400, 10132, 'Consumer Durable and Name have to be equal if both are provided'],
  consumerFilterMismatch: [400, 10131, 'Consumer create request did not match filtered subject from create subject'],
  consumerFiltersBySubject: [400, 10137, 'consumer with multiple subject filters cannot use subject based API'],
  consumerDuplicateFilters: [400, 10136, 'consumer cannot have both FilterSubject and FilterSubjects specified'],
  consumerEmptyFilter: [400, 10139, 'consumer filter in FilterSubjects cannot be empty'],
  consumerOverlappingFilters: [400, 10138, 'consumer subject filters cannot overlap'],
  consumerInvalidPolicy: [400, 10094, '{err}'],
  consumerSampling: [400, 10095, 'failed to parse consumer sampling configuration: {err}'],
  consumerDescription: [400, 10107, 'consumer description is too long, maximum allowed is {max}'],
  consumerMetadata: [400, 10135, 'consumer metadata exceeds maximum size of {limit}'],
  consumerReplicas: [400, 10126, 'consumer config replica count exceeds parent stream'],
  consumerReplicasMatch: [400, 10134, "consumer config replicas must match interest retention stream's replicas"],
  consumerAckWait: [400, 10183, 'consumer ack wait needs to be positive'],
  consumerBackoffNegative: [400, 10184, 'consumer backoff needs to be positive'],
  consumerMaxDeliverBackoff: [400, 10116, 'max deliver is required to be > length of backoff values'],
  consumerDeliverWildcards: [400, 10079, 'consumer deliver subject has wildcards'],
  consumerDeliverSubject: [400, 10112, 'invalid push consumer deliver subject'],
  consumerDeliverCycle: [400, 10081, 'consumer deliver subject forms a cycle'],
  consumerPushMaxWaiting: [400, 10080, 'consumer in push mode can not set max waiting'],
  consumerPendingNeedsAck: [400, 10082, 'consumer requires ack policy for max ack pending'],
  consumerSmallHeartbeat: [400, 10083, 'consumer idle heartbeat needs to be >= 100ms'],
  consumerPullNeedsAck: [400, 10084, 'consumer in pull mode requires explicit ack policy on workqueue stream'],
  consumerPullRateLimit: [400, 10086, 'consumer in pull mode can not have rate limit set'],
  consumerHeartbeatNeedsPush: [400, 10088, 'consumer idle heartbeat requires a push based consumer'],
  consumerFlowNeedsPush: [400, 10089, 'consumer flow control requires a push based consumer'],
  consumerFlowNeedsHeartbeat: [400, 10108, 'consumer with flow control also needs heartbeats'],
  consumerSmallExpires: [400, 10115, 'consumer max request expires needs to be >= 1ms'],
  consumerMaxPendingExcess: [400, 10121, 'consumer max ack pending exceeds system limit of {limit}'],
  consumerInactiveExcess: [400, 10153, 'consumer inactive threshold exceeds system limit of {limit}'],
  consumerDirectNeedsPush: [400, 10090, 'consumer direct requires a push based consumer'],
  consumerDirectEphemeral: [400, 10091, 'consumer direct requires an ephemeral consumer'],
  consumerWorkQueueAck: [400, 10098, 'workqueue stream requires explicit ack'],
  consumerWorkQueueDeliver: [400, 10101, 'consumer must be deliver all on workqueue stream'],
  consumerWorkQueueUnfiltered: [400, 10099, 'multiple non-filtered consumers not allowed on workqueue stream'],
  consumerWorkQueueNotUnique: [400, 10100, 'filtered consumer not unique on workqueue stream'],
  consumerActive: [400, 10105, 'consumer already exists and is still active'],
  consumerReset: [400, 10204, 'invalid reset: {err}'],
  groupPolicy: [400, 10159, 'Setting PriorityPolicy requires at least one PriorityGroup to be set'],
  groupInvalid: [400, 10160, 'Provided priority group does not exist for this consumer'],
  groupEmpty: [400, 10161, 'Group name cannot be an empty string'],
  groupName: [400, 10162, 'Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters'],
  groupPush: [400, 10178, 'priority groups can not be used with push consumers'],
  groupWithoutPolicy: [400, 10196, 'consumer can not have priority groups when policy is none'],
  pinnedWithoutPolicy: [400, 10197, 'PinnedTTL cannot be set when PriorityPolicy is none'],
} as const satisfies Record<string, readonly [code: number, errCode: number, description: string]>

export type ApiErrorName = keyof typeof table

/** As it stands in an answer. */
export class ApiError extends Error {
  readonly code: number
  readonly errCode: number

  constructor(code: number, errCode: number, description: string) {
    super(description)
    this.code = code
    this.errCode = errCode
  }

  toJSON(): object {
    return { code: this.code, err_code: this.errCode, description: this.message }
  }
}

/** `value` stands where the text has a place for one. */
export function refusal(name: ApiErrorName, value: string | number = ''): ApiError {
  const [code, errCode, description] = table[name]
  return new ApiError(code, errCode, description.replace(/\{[a-z]+\}/, String(value)))
}

/** What the broker itself refuses, where the API has no word of its own. */
export function ofCore({ code, message }: CoreError): ApiError {
  switch (code) {
    case 'NotFound':
      return refusal('streamNotFound')
    case 'AlreadyExists':
      return refusal('streamNameExists')
    case 'Full':
      return message.includes('topicsMax') ? refusal('streamLimit') : refusal('storageExceeded')
    default:
      return refusal('streamGeneral', message)
  }
}
