/** IDENTIFY: what a client says of itself and asks for, and what it is told. */
import { NsqError } from './errors.ts'
import { limits, serverVersion } from './limits.ts'

export interface Identity {
  readonly clientId: string
  readonly hostname: string
  readonly userAgent: string
  readonly negotiates: boolean
  /** 0: none. */
  readonly heartbeatMs: number
  readonly outputBufferBytes: number
  /** 0: nothing waits. */
  readonly outputBufferTimeoutMs: number
  readonly messageTimeoutMs: number
  /** Percent of the messages that it gets; 0: all. */
  readonly sampleRate: number
  readonly tls: boolean
  readonly snappy: boolean
  readonly deflate: boolean
  readonly deflateLevel: number
}

/** Of a client that does not say who it is. */
export const unnamed = (remote: string): Identity => ({
  clientId: remote,
  hostname: remote,
  userAgent: '',
  negotiates: false,
  heartbeatMs: limits.heartbeatMs,
  outputBufferBytes: limits.outputBufferBytes,
  outputBufferTimeoutMs: limits.outputBufferTimeoutMs,
  messageTimeoutMs: limits.messageTimeoutMs,
  sampleRate: 0,
  tls: false,
  snappy: false,
  deflate: false,
  deflateLevel: limits.deflateLevelMax,
})

/** Throws {@link NsqError}. `tlsOffered`: the connection can be secured. */
export function parseIdentify(body: Buffer, tlsOffered: boolean): Identity {
  const fields = fieldsOf(body)
  const heartbeat = integer(fields, 'heartbeat_interval')
  const heartbeatMs = heartbeat === -1 ? 0 : within(heartbeat, 1000, limits.heartbeatMaxMs, limits.heartbeatMs)
  if (heartbeatMs === null) throw invalid(`heartbeat interval (${heartbeat})`)
  const { bytes, timeoutMs } = outputBuffer(integer(fields, 'output_buffer_size'), integer(fields, 'output_buffer_timeout'))
  const sampleRate = integer(fields, 'sample_rate')
  if (sampleRate < 0 || sampleRate > 99) throw invalid(`sample rate (${sampleRate})`)
  const timeout = integer(fields, 'msg_timeout')
  const messageTimeoutMs = within(timeout, 1000, limits.messageTimeoutMaxMs, limits.messageTimeoutMs)
  if (messageTimeoutMs === null) throw invalid(`msg timeout (${timeout})`)
  const negotiates = flag(fields, 'feature_negotiation')
  const deflate = flag(fields, 'deflate')
  const snappy = flag(fields, 'snappy')
  const level = integer(fields, 'deflate_level')
  const tls = flag(fields, 'tls_v1')
  const identity = {
    clientId: text(fields, 'client_id'),
    hostname: text(fields, 'hostname'),
    userAgent: text(fields, 'user_agent'),
    negotiates,
    heartbeatMs,
    outputBufferBytes: bytes,
    outputBufferTimeoutMs: timeoutMs,
    messageTimeoutMs,
    sampleRate,
    tls: negotiates && tls && tlsOffered,
    snappy: negotiates && snappy,
    deflate: negotiates && deflate,
    deflateLevel: Math.min(deflate && level > 0 ? level : limits.deflateLevelMax, limits.deflateLevelMax),
  }
  if (identity.snappy && identity.deflate)
    throw new NsqError('E_IDENTIFY_FAILED', 'cannot enable both deflate and snappy compression')
  return identity
}

/** What a client that negotiates is told. */
export function identifyAnswer(identity: Identity, authRequired: boolean): string {
  return JSON.stringify({
    max_rdy_count: limits.rdyMax,
    version: serverVersion,
    max_msg_timeout: limits.messageTimeoutMaxMs,
    msg_timeout: identity.messageTimeoutMs,
    tls_v1: identity.tls,
    deflate: identity.deflate,
    deflate_level: identity.deflateLevel,
    max_deflate_level: limits.deflateLevelMax,
    snappy: identity.snappy,
    sample_rate: identity.sampleRate,
    auth_required: authRequired,
    output_buffer_size: identity.outputBufferBytes,
    output_buffer_timeout: identity.outputBufferTimeoutMs,
  })
}

const undecodable = (): NsqError => new NsqError('E_BAD_BODY', 'IDENTIFY failed to decode JSON body')
const invalid = (what: string): NsqError => new NsqError('E_BAD_BODY', `IDENTIFY ${what} is invalid`)

/** 0 is the default; null: it is neither that nor within. */
function within(value: number, min: number, max: number, otherwise: number): number | null {
  if (value === 0) return otherwise
  return value >= min && value <= max ? value : null
}

function outputBuffer(size: number, timeout: number): { bytes: number; timeoutMs: number } {
  const { outputBufferTimeoutMinMs: min, outputBufferTimeoutMaxMs: max } = limits
  const timeoutMs = timeout === -1 ? 0 : within(timeout, min, max, limits.outputBufferTimeoutMs)
  if (timeoutMs === null) throw invalid(`output buffer timeout (${timeout})`)
  if (size === -1) return { bytes: 1, timeoutMs: 0 }
  const bytes = within(size, 64, limits.outputBufferBytesMax, limits.outputBufferBytes)
  if (bytes === null) throw invalid(`output buffer size (${size})`)
  return { bytes, timeoutMs }
}

type Fields = ReadonlyMap<string, unknown>

function fieldsOf(body: Buffer): Fields {
  let value: unknown
  try {
    value = JSON.parse(body.toString())
  } catch {
    throw undecodable()
  }
  if (value === null) return new Map()
  if (typeof value !== 'object' || Array.isArray(value)) throw undecodable()
  // Names are compared without their case, as Go does.
  return new Map(Object.entries(value).map(([name, field]) => [name.toLowerCase(), field]))
}

function text(fields: Fields, name: string): string {
  const value = fields.get(name) ?? ''
  if (typeof value !== 'string') throw undecodable()
  return value
}

function flag(fields: Fields, name: string): boolean {
  const value = fields.get(name) ?? false
  if (typeof value !== 'boolean') throw undecodable()
  return value
}

function integer(fields: Fields, name: string): number {
  const value = fields.get(name) ?? 0
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw undecodable()
  return value
}
