/** What goes wrong, in the registry's words: `{error_code, message}`, where the first three digits of the code are the status. */
import { CoreError, type CoreErrorCode, type HttpAnswer } from '../../broker/face.ts'
import { json } from './json.ts'

export class RegistryError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

const error = (code: number, message: string): RegistryError => new RegistryError(code, message)

export const subjectNotFound = (subject: string): RegistryError => error(40401, `Subject '${subject}' not found.`)
export const versionNotFound = (version: number | string): RegistryError => error(40402, `Version ${version} not found.`)
export const schemaNotFound = (id?: number): RegistryError => error(40403, `Schema ${id === undefined ? '' : `${id} `}not found`)
export const subjectSoftDeleted = (subject: string): RegistryError =>
  error(40404, `Subject '${subject}' was soft deleted.Set permanent=true to delete permanently`)
export const subjectNotSoftDeleted = (subject: string): RegistryError =>
  error(40405, `Subject '${subject}' was not deleted first before being permanently deleted`)
export const versionSoftDeleted = (subject: string, version: number): RegistryError =>
  error(40406, `Subject '${subject}' Version ${version} was soft deleted.Set permanent=true to delete permanently`)
export const versionNotSoftDeleted = (subject: string, version: number): RegistryError =>
  error(40407, `Subject '${subject}' Version ${version} was not deleted first before being permanently deleted`)
export const compatibilityNotConfigured = (subject: string): RegistryError =>
  error(40408, `Subject '${subject}' does not have subject-level compatibility configured`)
export const modeNotConfigured = (subject: string): RegistryError =>
  error(40409, `Subject '${subject}' does not have subject-level mode configured`)
export const incompatible = (subject: string, details: readonly string[]): RegistryError =>
  error(
    409,
    `Schema being registered is incompatible with an earlier schema for subject "${subject}", details: [${details.join(', ')}]`,
  )
export const invalidSchema = (message: string): RegistryError => error(42201, `Invalid schema: ${message}`)
export const invalidVersion = (version: string): RegistryError =>
  error(
    42202,
    `The specified version '${version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`,
  )
export const invalidCompatibility = (): RegistryError =>
  error(
    42203,
    'Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive',
  )
export const invalidMode = (): RegistryError =>
  error(42204, 'Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT')
export const notPermitted = (message: string): RegistryError => error(42205, message)
export const referenceExists = (what: string): RegistryError => error(42206, `One or more references exist to the schema ${what}`)
export const idDoesNotMatch = (message: string): RegistryError => error(42207, message)
export const invalidSubject = (subject: string): RegistryError =>
  error(
    42208,
    `The specified subject '${subject}' is not a valid subject: names of 1 to 255 characters, without contexts (":.name:")`,
  )
export const tooLarge = (message: string): RegistryError => error(42209, message)
export const unprocessable = (message: string): RegistryError => error(422, message)
export const denied = (user: string, operation: string, resource: string): RegistryError =>
  error(40301, `User ${user} is denied operation ${operation} on ${resource}`)
export const unauthorized = (): RegistryError => error(401, 'Unauthorized')

/** Core error code → the registry's. */
const codes = {
  NotFound: 404,
  AlreadyExists: 409,
  Mismatch: 409,
  AccessDenied: 40301,
  Unauthenticated: 401,
  TooLarge: 413,
  Throttled: 429,
  Full: 50001,
  Unavailable: 50001,
  Fenced: 50001,
  OutOfRange: 422,
  Invalid: 422,
  Unsupported: 422,
  Internal: 500,
} as const satisfies Record<CoreErrorCode, number>

/** null for what is nobody's fault but ours: that is logged and answered by the server. */
export function errorAnswer(cause: unknown): HttpAnswer | null {
  if (cause instanceof CoreError && cause.code !== 'Internal') return answer(codes[cause.code], cause.message)
  return cause instanceof RegistryError ? answer(cause.code, cause.message) : null
}

function answer(code: number, message: string): HttpAnswer {
  const made = json({ error_code: code, message }, Number(String(code).slice(0, 3)))
  return code === 401 ? { ...made, headers: { ...made.headers, 'www-authenticate': 'Basic realm="Schema Registry"' } } : made
}
