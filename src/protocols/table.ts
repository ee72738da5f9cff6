/**
 * The protocols this broker speaks and where each listens by default. At a start the index.ts of each is loaded, for the formats of its
 * records; its other modules when its first client comes. To add a protocol, add its line here (docs/adding-a-protocol.md).
 */
import type { ListenerSpec, Protocol } from '../broker/face.ts'

interface ProtocolEntry {
  readonly name: string
  readonly listeners: readonly ListenerSpec[]
  /** Opened only when it is named (`--enable`, `--only`); docs/decisions/0008. */
  readonly optional?: true
  /** The configuration file may have settings under its name. */
  readonly configured?: true
  load(): Promise<Protocol>
}

/** Health, metrics and the API. */
export const httpDefaultPort = 7890

export const protocolTable: readonly ProtocolEntry[] = [
  {
    name: 'kafka',
    listeners: [{ name: 'kafka', port: 9092 }],
    load: async () => (await import('./kafka/index.ts')).protocol,
  },
  {
    name: 'amqp',
    listeners: [{ name: 'amqp', port: 5672 }],
    load: async () => (await import('./amqp/index.ts')).protocol,
  },
  {
    name: 'rabbitmq-management',
    listeners: [
      { name: 'rabbitmq-management', port: 15672, kind: 'http' },
      { name: 'rabbitmq-prometheus', port: 15692, kind: 'http' },
    ],
    load: async () => (await import('./rabbitmq-management/index.ts')).protocol,
  },
  {
    name: 'rabbitmq-stream',
    listeners: [{ name: 'rabbitmq-stream', port: 5552 }],
    load: async () => (await import('./rabbitmq-stream/index.ts')).protocol,
  },
  {
    name: 'stomp',
    listeners: [
      { name: 'stomp', port: 61613 },
      { name: 'stomp-websocket', port: 15674, kind: 'websocket' },
    ],
    load: async () => (await import('./stomp/index.ts')).protocol,
  },
  {
    name: 'nats',
    listeners: [
      { name: 'nats', port: 4222 },
      { name: 'nats-websocket', port: 8080, kind: 'websocket' },
      { name: 'nats-monitoring', port: 8222, kind: 'http' },
    ],
    configured: true,
    load: async () => (await import('./nats/index.ts')).protocol,
  },
  {
    name: 'mqtt',
    listeners: [
      { name: 'mqtt', port: 1883 },
      { name: 'mqtt-websocket', port: 8083, kind: 'websocket' },
    ],
    load: async () => (await import('./mqtt/index.ts')).protocol,
  },
  {
    name: 'redis',
    listeners: [{ name: 'redis', port: 6379 }],
    load: async () => (await import('./redis/index.ts')).protocol,
  },
  {
    name: 'schema-registry',
    listeners: [{ name: 'schema-registry', port: 8081, kind: 'http' }],
    optional: true,
    load: async () => (await import('./schema-registry/index.ts')).protocol,
  },
  {
    name: 'kafka-rest',
    listeners: [{ name: 'kafka-rest', port: 8082, kind: 'http' }],
    optional: true,
    load: async () => (await import('./kafka-rest/index.ts')).protocol,
  },
  {
    name: 'sqs',
    listeners: [{ name: 'sqs', port: 4566, kind: 'http' }],
    load: async () => (await import('./aws/index.ts')).protocol,
  },
  {
    name: 'beanstalkd',
    listeners: [{ name: 'beanstalkd', port: 11300 }],
    configured: true,
    load: async () => (await import('./beanstalkd/index.ts')).protocol,
  },
  {
    name: 'disque',
    listeners: [{ name: 'disque', port: 7711 }],
    load: async () => (await import('./disque/index.ts')).protocol,
  },
  {
    name: 'nsq',
    listeners: [
      { name: 'nsqd', port: 4150 },
      { name: 'nsqd-http', port: 4151, kind: 'http' },
      { name: 'nsqlookupd', port: 4160 },
      { name: 'nsqlookupd-http', port: 4161, kind: 'http' },
    ],
    load: async () => (await import('./nsq/index.ts')).protocol,
  },
]

export function knownProtocols(): string[] {
  return protocolTable.map((entry) => entry.name)
}

/** Those that have settings of their own in the configuration file. */
export function configuredProtocols(): string[] {
  return protocolTable.filter(({ configured }) => configured === true).map(({ name }) => name)
}

/** The names that `--enable` is for. */
export function optionalProtocols(): string[] {
  return protocolTable.filter(({ optional }) => optional === true).map(({ name }) => name)
}

/** What is opened: `only` of them (null: all that are not optional), and what is enabled beside these. */
export function protocolsToOpen(only: readonly string[] | null, enabled: readonly string[]): string[] {
  const asked = ({ name, optional }: ProtocolEntry): boolean => (only === null ? optional !== true : only.includes(name))
  return protocolTable.filter((entry) => asked(entry) || enabled.includes(entry.name)).map(({ name }) => name)
}

/** The names `--port NAME=N` takes. */
export function knownListeners(): string[] {
  return ['http', ...protocolTable.flatMap((entry) => entry.listeners.map((listener) => listener.name))]
}
