/** Starts AnyMQ from this working tree as a process of its own and tells where its ports are. */
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testCertificate, testRoot, writeCertificates } from '../../src/lib/certificates.testing.ts'
import { freePortOffset, Running, tail } from './processes.ts'

export const repository = new URL('../..', import.meta.url).pathname.replace(/\/$/, '')
const HTTP_PORT = 7890
const KAFKA_PORT = 9092
const AMQP_PORT = 5672
const MANAGEMENT_PORT = 15672
const PROMETHEUS_PORT = 15692
const STREAM_PORT = 5552
/** Not its own 61613: no offset leaves that below the ports of outgoing connections. */
export const stompPort = 11_613
const NATS_PORT = 4222
const NATS_MONITORING_PORT = 8222
const MQTT_PORT = 1883
const REDIS_PORT = 6379
const MQTT_WEBSOCKET_PORT = 8083
const NATS_WEBSOCKET_PORT = 8080
const STOMP_WEBSOCKET_PORT = 15674
const REGISTRY_PORT = 8081
const REST_PORT = 8082
const SQS_PORT = 4566
const BEANSTALKD_PORT = 11300
const DISQUE_PORT = 7711
const NSQD_PORT = 4150
const NSQD_HTTP_PORT = 4151
const NSQLOOKUPD_PORT = 4160
const NSQLOOKUPD_HTTP_PORT = 4161

/** Those that the tests use. */
const protocols = [
  'kafka',
  'amqp',
  'rabbitmq-management',
  'rabbitmq-stream',
  'stomp',
  'nats',
  'mqtt',
  'schema-registry',
  'kafka-rest',
  'redis',
  'sqs',
  'beanstalkd',
  'disque',
  'nsq',
]

export interface AnyMQOptions {
  /** A temporary folder, removed at the end, unless given. */
  readonly data?: string
  readonly durability?: 'fsync' | 'os'
  readonly portOffset?: number
  readonly extra?: readonly string[]
  /** For Node itself. */
  readonly nodeArguments?: readonly string[]
  readonly readyMs?: number
}

export interface AnyMQ {
  readonly kafka: string
  readonly amqp: string
  /** host:port of the stream protocol. */
  readonly stream: string
  readonly http: string
  readonly management: string
  readonly stomp: string
  readonly nats: string
  /** host:port */
  readonly mqtt: string
  /** host:port */
  readonly beanstalkd: string
  /** host:port */
  readonly disque: string
  /** host:port of nsqd; its HTTP is on the next port. */
  readonly nsq: string
  /** host:port of nsqlookupd's HTTP; its other port is the one before. */
  readonly nsqlookupd: string
  /** URL of SQS and SNS. */
  readonly sqs: string
  readonly redis: string
  /** Where each of these is spoken over WebSocket. */
  readonly webSocket: { readonly mqtt: string; readonly nats: string; readonly stomp: string }
  /** The URL of the Schema Registry. */
  readonly registry: string
  /** The URL of Kafka's REST proxy. */
  readonly rest: string
  readonly data: string
  readonly portOffset: number
  readonly process: Running
  /** From the start of the process to its last line of starting up. */
  readonly startMs: number
  stop(): Promise<void>
}

export function requireNode24(): void {
  if (Number(process.versions.node.split('.')[0]) < 24) {
    console.error(`This is Node ${process.version}; run it with npm run, which uses Node 24.`)
    process.exit(2)
  }
}

export async function startAnyMQ(options: AnyMQOptions = {}): Promise<AnyMQ> {
  const data = options.data ?? mkdtempSync(join(tmpdir(), 'anymq-test-'))
  const portOffset =
    options.portOffset ??
    (await freePortOffset([
      HTTP_PORT,
      KAFKA_PORT,
      AMQP_PORT,
      MANAGEMENT_PORT,
      PROMETHEUS_PORT,
      STREAM_PORT,
      stompPort,
      NATS_PORT,
      NATS_MONITORING_PORT,
      MQTT_PORT,
      REDIS_PORT,
      MQTT_WEBSOCKET_PORT,
      NATS_WEBSOCKET_PORT,
      STOMP_WEBSOCKET_PORT,
      REGISTRY_PORT,
      REST_PORT,
      SQS_PORT,
      BEANSTALKD_PORT,
      DISQUE_PORT,
      NSQD_PORT,
      NSQD_HTTP_PORT,
      NSQLOOKUPD_PORT,
      NSQLOOKUPD_HTTP_PORT,
    ]))
  const started = performance.now()
  let ready: (() => void) | undefined
  const becameReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  const program = new Running(
    process.execPath,
    [
      ...(options.nodeArguments ?? []),
      join(repository, 'src/cli/main.ts'),
      'serve',
      ...['--data', data, '--port-offset', String(portOffset), '--only', protocols.join(',')],
      ...['--durability', options.durability ?? 'fsync'],
      ...['--port', `stomp=${stompPort + portOffset}`],
      ...(options.extra ?? []),
    ],
    {
      // As npm start does it.
      env: { NODE_COMPILE_CACHE: join(repository, 'node_modules/.cache/anymq') },
      onLine: (line) => {
        if (line.startsWith('AnyMQ ready')) ready?.()
      },
    },
  )
  const deadline = new Promise<'late'>((resolve) => {
    setTimeout(resolve, options.readyMs ?? 30_000, 'late').unref()
  })
  const outcome = await Promise.race([
    becameReady.then(() => 'ready' as const),
    program.exited.then(() => 'ended' as const),
    deadline,
  ])
  if (outcome !== 'ready') {
    await program.stop(1_000)
    const said = tail(`${program.output}\n${program.errors}`)
    throw new Error(outcome === 'late' ? `AnyMQ did not say that it is ready\n${said}` : `AnyMQ ended while starting\n${said}`)
  }
  return {
    kafka: `127.0.0.1:${KAFKA_PORT + portOffset}`,
    amqp: `amqp://guest:guest@127.0.0.1:${AMQP_PORT + portOffset}/`,
    stream: `127.0.0.1:${STREAM_PORT + portOffset}`,
    http: `http://127.0.0.1:${HTTP_PORT + portOffset}`,
    nats: `127.0.0.1:${NATS_PORT + portOffset}`,
    stomp: `127.0.0.1:${stompPort + portOffset}`,
    management: `http://127.0.0.1:${MANAGEMENT_PORT + portOffset}`,
    mqtt: `127.0.0.1:${MQTT_PORT + portOffset}`,
    beanstalkd: `127.0.0.1:${BEANSTALKD_PORT + portOffset}`,
    disque: `127.0.0.1:${DISQUE_PORT + portOffset}`,
    nsq: `127.0.0.1:${NSQD_PORT + portOffset}`,
    nsqlookupd: `127.0.0.1:${NSQLOOKUPD_HTTP_PORT + portOffset}`,
    sqs: `http://127.0.0.1:${SQS_PORT + portOffset}`,
    redis: `127.0.0.1:${REDIS_PORT + portOffset}`,
    webSocket: {
      mqtt: `ws://127.0.0.1:${MQTT_WEBSOCKET_PORT + portOffset}/mqtt`,
      nats: `ws://127.0.0.1:${NATS_WEBSOCKET_PORT + portOffset}`,
      stomp: `ws://127.0.0.1:${STOMP_WEBSOCKET_PORT + portOffset}/ws`,
    },
    registry: `http://127.0.0.1:${REGISTRY_PORT + portOffset}`,
    rest: `http://127.0.0.1:${REST_PORT + portOffset}`,
    data,
    portOffset,
    process: program,
    startMs: performance.now() - started,
    stop: async () => {
      await program.stop()
      if (options.data === undefined) await rm(data, { recursive: true, force: true })
    },
  }
}

export interface SecuredAnyMQ extends AnyMQ {
  /** What its clients need, for their environment: TLS is the folder of root.crt, alice.crt, alice.key, admin.crt and admin.key. */
  readonly environment: Readonly<Record<string, string>>
}

/** AnyMQ with TLS beside plain text, and users: admin (an administrator) and alice, each with the password NAME-secret; alice signs with alice-signs. */
export async function startSecuredAnyMQ(options: AnyMQOptions = {}): Promise<SecuredAnyMQ> {
  const root = testRoot('root')
  const folder = writeCertificates(root, ...['server', 'alice', 'admin'].map((name) => testCertificate(name, root)))
  const config = join(folder, 'anymq.yaml')
  const all = '{ namespace: default, publish: ".*", consume: ".*", manage: ".*" }'
  await writeFile(
    config,
    [
      `tlsCertificate: ${folder}/server.crt`,
      `tlsKey: ${folder}/server.key`,
      `tlsClientCa: ${folder}/root.crt`,
      'users:',
      '  - { name: admin, password: admin-secret, admin: true }',
      `  - { name: alice, password: alice-secret, signingSecret: alice-signs, permissions: [${all}] }`,
      '',
    ].join('\n'),
  )
  const started = await startAnyMQ({ ...options, extra: ['--config', config, ...(options.extra ?? [])] })
  return {
    ...started,
    environment: {
      KAFKA: started.kafka,
      AMQP: started.amqp,
      STREAM: started.stream,
      STOMP: started.stomp,
      SQS: started.sqs,
      TLS: folder,
    },
    stop: async () => {
      await started.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
