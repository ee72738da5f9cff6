// What the server says of itself, and what a client's SASL response means.
import { Buffer } from 'node:buffer'
import type { Broker, Connection, Credential } from '../../broker/face.ts'
import { secretLogin } from '../../lib/token-login.ts'
import { ByteReader } from './bytes.ts'
import { flag, readTable, type Table, text, textOf } from './table.ts'

/** The version that clients and tools read features from. */
export const spokenVersion = '4.3.0'

const capabilities = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
]

export function serverProperties(broker: Broker): Table {
  return new Map([
    ['capabilities', { type: 'F', value: new Map(capabilities.map((name) => [name, flag(true)])) }],
    ['cluster_name', text(`anymq@${broker.clusterId}`)],
    ['copyright', text('The AnyMQ authors')],
    ['information', text('AnyMQ, speaking as RabbitMQ does. Licensed under Apache-2.0.')],
    ['platform', text(`Node.js ${process.versions.node}`)],
    // Clients and tools look for this name before they use RabbitMQ's extensions.
    ['product', text('RabbitMQ')],
    ['version', text(spokenVersion)],
  ])
}

/** What this client may log in with: EXTERNAL once its certificate was verified. */
export function mechanismsFor(connection: Connection): string {
  return connection.peerName === undefined ? 'PLAIN AMQPLAIN' : 'EXTERNAL PLAIN AMQPLAIN'
}

/** undefined for a mechanism that is not offered or a response that is malformed. */
export function credentialOf(
  mechanism: string,
  response: Buffer,
  peerName: string | undefined,
  tokensAccepted: boolean,
): Credential | undefined {
  if (mechanism === 'PLAIN') return plainCredential(response, tokensAccepted)
  if (mechanism === 'AMQPLAIN') return amqplainCredential(response, tokensAccepted)
  if (mechanism === 'EXTERNAL' && peerName !== undefined) return { kind: 'certificate', user: peerName }
  return undefined
}

/** RFC 4616: authorization identity NUL user NUL password. */
function plainCredential(response: Buffer, tokensAccepted: boolean): Credential | undefined {
  const first = response.indexOf(0)
  const second = first < 0 ? -1 : response.indexOf(0, first + 1)
  if (second < 0) return undefined
  return secretLogin(response.toString('utf8', first + 1, second), response.toString('utf8', second + 1), tokensAccepted)
}

/** A field table without its length in front. */
function amqplainCredential(response: Buffer, tokensAccepted: boolean): Credential | undefined {
  const table = Buffer.alloc(response.length + 4)
  table.writeUInt32BE(response.length)
  response.copy(table, 4)
  try {
    const fields = readTable(new ByteReader(table, 0, table.length))
    const user = textOf(fields.get('LOGIN'))
    const password = textOf(fields.get('PASSWORD'))
    return user === undefined || password === undefined ? undefined : secretLogin(user, password, tokensAccepted)
  } catch {
    // Malformed is refused like a wrong password: the client learns nothing from the difference.
    return undefined
  }
}
