/**
 * What goes wrong, as SQS and SNS say it. An error has a name in the service's model, the code that the Query protocol uses (and the header
 * `x-amzn-query-error`), a status for each of the two, and whose fault it is.
 */
import { CoreError, type CoreErrorCode } from '../../broker/face.ts'

export type Service = 'sqs' | 'sns'

export class AwsError extends Error {
  /** With its namespace, as the JSON protocol says it. */
  readonly type: string
  readonly code: string
  readonly status: number
  readonly queryStatus: number
  readonly senderFault: boolean

  constructor(type: string, code: string, message: string, status = 400, queryStatus = status) {
    super(message)
    this.type = type
    this.code = code
    this.status = status
    this.queryStatus = queryStatus
    this.senderFault = status < 500
  }
}

const legacy = 'AWS.SimpleQueueService.'

/** Errors in the model of SQS: code and status of the Query protocol. */
const modelled = {
  QueueDoesNotExist: [`${legacy}NonExistentQueue`, 400],
  QueueNameExists: ['QueueAlreadyExists', 400],
  PurgeQueueInProgress: [`${legacy}PurgeQueueInProgress`, 403],
  OverLimit: ['OverLimit', 403],
  MessageNotInflight: [`${legacy}MessageNotInflight`, 400],
  ReceiptHandleIsInvalid: ['ReceiptHandleIsInvalid', 404],
  InvalidAttributeName: ['InvalidAttributeName', 400],
  InvalidAttributeValue: ['InvalidAttributeValue', 400],
  InvalidMessageContents: ['InvalidMessageContents', 400],
  InvalidAddress: ['InvalidAddress', 404],
  UnsupportedOperation: [`${legacy}UnsupportedOperation`, 400],
  ResourceNotFoundException: ['ResourceNotFoundException', 404],
  EmptyBatchRequest: [`${legacy}EmptyBatchRequest`, 400],
  TooManyEntriesInBatchRequest: [`${legacy}TooManyEntriesInBatchRequest`, 400],
  BatchEntryIdsNotDistinct: [`${legacy}BatchEntryIdsNotDistinct`, 400],
  BatchRequestTooLong: [`${legacy}BatchRequestTooLong`, 400],
  InvalidBatchEntryId: [`${legacy}InvalidBatchEntryId`, 400],
  RequestThrottled: ['RequestThrottled', 403],
} as const

export function sqsError(name: keyof typeof modelled, message: string): AwsError {
  const [code, queryStatus] = modelled[name]
  return new AwsError(`com.amazonaws.sqs#${name}`, code, message, name === 'ResourceNotFoundException' ? 404 : 400, queryStatus)
}

/** Errors that every service has. */
export function commonError(code: string, message: string, status = 400): AwsError {
  return new AwsError(`com.amazon.coral.service#${code}Exception`, code, message, status)
}

export const queueDoesNotExist = (): AwsError => sqsError('QueueDoesNotExist', 'The specified queue does not exist.')
/** Of SQS: a value that no request may have. */
export const invalidValue = (message: string): AwsError => commonError('InvalidParameterValue', message)
export const invalidBecause = (value: unknown, parameter: string, reason: string): AwsError =>
  invalidValue(`Value ${String(value)} for parameter ${parameter} is invalid. Reason: ${reason}`)
export const missing = (parameter: string): AwsError =>
  commonError('MissingParameter', `The request must contain the parameter ${parameter}.`)
/** Of SNS. */
export const invalidParameter = (message: string): AwsError => commonError('InvalidParameter', `Invalid parameter: ${message}`)
export const snsNotFound = (message: string): AwsError => commonError('NotFound', message, 404)

/** Core error code → error of SQS. */
const ofSqs = {
  NotFound: queueDoesNotExist,
  AlreadyExists: (message) => sqsError('QueueNameExists', message),
  Mismatch: (message) => invalidValue(message),
  AccessDenied: () => commonError('AccessDenied', 'Access to the resource is denied.', 403),
  Unauthenticated: () => commonError('InvalidClientTokenId', 'The security token included in the request is invalid.', 403),
  TooLarge: (message) => invalidValue(`One or more parameters are invalid. Reason: ${message}`),
  Throttled: (message) => sqsError('RequestThrottled', message),
  Full: (message) => commonError('ServiceUnavailable', message, 503),
  Unavailable: (message) => commonError('ServiceUnavailable', message, 503),
  Fenced: (message) => invalidValue(message),
  OutOfRange: (message) => invalidValue(message),
  Invalid: (message) => invalidValue(message),
  Unsupported: (message) => sqsError('UnsupportedOperation', message),
  Internal: () => commonError('InternalFailure', 'We encountered an internal error. Please try again.', 500),
} as const satisfies Record<CoreErrorCode, (message: string) => AwsError>

/** Core error code → error of SNS. */
const ofSns = {
  ...ofSqs,
  NotFound: () => snsNotFound('Topic does not exist'),
  AlreadyExists: (message) => invalidParameter(message),
  Mismatch: (message) => invalidParameter(message),
  AccessDenied: (message) => commonError('AuthorizationError', message, 403),
  TooLarge: () => invalidParameter('Message too long'),
  Throttled: (message) => commonError('Throttled', message, 429),
  Fenced: (message) => invalidParameter(message),
  OutOfRange: (message) => invalidParameter(message),
  Invalid: (message) => invalidParameter(message),
  Unsupported: (message) => invalidParameter(message),
  Internal: (message) => commonError('InternalError', message, 500),
} as const satisfies Record<CoreErrorCode, (message: string) => AwsError>

/** null for what is nobody's fault but ours: that is logged and answered by the server. */
export function errorOf(service: Service, cause: unknown): AwsError | null {
  if (cause instanceof AwsError) return cause
  if (!(cause instanceof CoreError) || cause.code === 'Internal') return null
  return (service === 'sqs' ? ofSqs : ofSns)[cause.code](cause.message)
}

/** As {@link errorOf}, for one entry of several: ours too is told there. */
export function coreError(service: Service, code: CoreErrorCode, message: string): AwsError {
  return (service === 'sqs' ? ofSqs : ofSns)[code](message)
}
