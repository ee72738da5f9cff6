/** What INFO says of the server. */
import type { Broker, Connection } from '../../broker/face.ts'

export const serverName = 'anymq'
/** Clients decide by it what they may ask of the server: this one's operations and headers. */
export const serverVersion = '2.14.0'
/** Of JetStream's API, whose features clients look for. */
export const apiLevel = 4
export const controlLineBytesMax = 4096
export const pingEveryMs = 2 * 60_000
export const pingsMax = 2
/** Written and not taken by the client: bytes, and how long nothing at all is taken. */
export const pendingBytesMax = 64 * 1024 * 1024
export const writeDeadlineMs = 10_000
/** nats-server's default. */
const payloadBytesMax = 1024 * 1024

export const payloadLimit = (broker: Broker): number => Math.min(payloadBytesMax, broker.limits.recordBytesMax)

/** Like nats-server's, an id of 56 letters and digits, but no key. */
export const serverId = (broker: Broker): string =>
  `N${broker.clusterId.toUpperCase().replaceAll(/[^A-Z0-9]/g, '0')}`.padEnd(56, '0')

export interface InfoState {
  readonly nonce: string
  readonly lameDuck: boolean
  readonly loginRequired: boolean
}

export function infoLine(broker: Broker, connection: Connection, { nonce, lameDuck, loginRequired }: InfoState): Buffer {
  const advertised = broker.advertised('nats')
  const info = {
    server_id: serverId(broker),
    server_name: serverName,
    version: serverVersion,
    proto: 1,
    go: `node${process.versions.node}`,
    host: connection.localAddress,
    port: connection.localPort,
    headers: true,
    max_payload: payloadLimit(broker),
    jetstream: true,
    api_lvl: apiLevel,
    client_id: connection.id,
    client_ip: connection.remoteAddress,
    ...(loginRequired ? { auth_required: true, nonce } : {}),
    ...(connection.encrypted || connection.upgrade === 'required' ? { tls_required: true } : {}),
    ...(connection.upgrade === 'offered' ? { tls_available: true } : {}),
    ...(advertised === undefined ? {} : { connect_urls: [`${advertised.host}:${advertised.port}`] }),
    ...(lameDuck ? { ldm: true } : {}),
  }
  return Buffer.from(`INFO ${JSON.stringify(info)}\r\n`)
}

/** Who answers, in requests and events of the system. */
export const serverFacts = (broker: Broker): object => ({
  name: serverName,
  host: '',
  id: serverId(broker),
  ver: serverVersion,
  jetstream: true,
  time: new Date(broker.clock.now()).toISOString(),
})
