/**
 * Interoperability: unmodified clients in several languages against AnyMQ, then the bridging matrix between their protocols.
 *
 *   npm run test:interop                          all suites against an AnyMQ started for the purpose
 *   npm run test:interop -- kafka/java matrix     the suites whose names contain one of the words
 *   KAFKA=host:port AMQP=amqp://… STREAM=host:port npm run …   against brokers that run already: the real Kafka and RabbitMQ prove the suites
 *                                                 (without the matrix, which they cannot pass)
 */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { type AnyMQ, requireNode24, type SecuredAnyMQ, startAnyMQ, startSecuredAnyMQ } from './anymq.ts'
import {
  awsCommand,
  goProgram,
  installAsynq,
  installConfluentJavaScript,
  installDebianPackages,
  installGo,
  installGoNsq,
  installJava,
  installKafkaGo,
  installKombuOnRedis,
  installKombuSource,
  installNodeBeanstalk,
  installNodeDisque,
  installNodeNsq,
  installNodeRedis,
  installNodeSns,
  installPahoGo,
  installPython,
  installPythonAiokafka,
  installPythonAmqp,
  installPythonAws,
  installPythonBeanstalk,
  installPythonDisque,
  installPythonManagement,
  installPythonMqtt,
  installPythonNats,
  installPythonNsq,
  installPythonRedisCelery,
  installPythonSchemas,
  installPythonStomp,
  installPythonTasks,
  installRabbitmqadmin,
  installRabbitmqadminNg,
  installRedisPySource,
  javaClasspath,
  python,
  pythonAiokafka,
  pythonAmqp,
  pythonAws,
  pythonBeanstalk,
  pythonDisque,
  pythonManagement,
  pythonMqtt,
  pythonNats,
  pythonNsq,
  pythonRedisCelery,
  pythonSchemas,
  pythonStomp,
} from './install.ts'
import { Running, tail } from './processes.ts'

requireNode24()

/** Those of its drivers that are in no package of this one's. */
async function installMatrix(): Promise<void> {
  await installJava()
  await installNodeDisque()
  await installNodeBeanstalk()
}

interface Client {
  readonly name: string
  readonly install: () => Promise<void>
  readonly command: () => readonly [string, ...string[]]
  readonly timeoutMs?: number
  /** How long one of its cases may take, when half a minute is too little. */
  readonly caseMs?: number
  /** Runs against an AnyMQ with TLS and users; not against brokers of others. */
  readonly secured?: boolean
  /** Needs an AnyMQ of its own, or both of its protocols; not against brokers of others. */
  readonly anymqOnly?: boolean
  /** Runs only when it is asked for by a word of its name: what it needs takes too long to install. */
  readonly onRequest?: boolean
}

const here = new URL('.', import.meta.url).pathname
const external = ['KAFKA', 'AMQP', 'MANAGEMENT', 'STREAM', 'NATS', 'MQTT', 'REGISTRY', 'KAFKA_REST', 'BEANSTALKD', 'NSQ'].some(
  (name) => process.env[name] !== undefined,
)
const node =
  (file: string, ...options: string[]) =>
  (): [string, ...string[]] => [process.execPath, `${here}${file}`, ...options]
const nothing = async (): Promise<void> => undefined

const clients: readonly Client[] = [
  { name: 'kafka/kcat (librdkafka)', install: () => installDebianPackages({ kcat: 'kcat' }), command: node('kafka/kcat.ts') },
  { name: 'kafka/kafkajs', install: nothing, command: node('kafka/kafkajs.ts') },
  {
    name: 'kafka/confluent-kafka (Python)',
    install: installPython,
    command: () => [python, `${here}kafka/confluent_kafka_suite.py`],
  },
  { name: 'kafka/franz-go', install: installGo, command: () => [goProgram('franz')] },
  { name: 'kafka/sarama (Go)', install: installGo, command: () => [goProgram('saramago')] },
  {
    name: 'kafka/aiokafka (Python)',
    install: installPythonAiokafka,
    command: () => [pythonAiokafka, `${here}kafka/aiokafka_suite.py`],
  },
  { name: 'kafka/@platformatic/kafka', install: nothing, command: node('kafka/platformatic.ts') },
  {
    name: 'kafka/@confluentinc/kafka-javascript',
    install: installConfluentJavaScript,
    command: node('kafka/confluent-javascript.ts'),
  },
  {
    name: 'kafka/java kafka-clients',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaClients'],
  },
  {
    name: 'kafka/console (java)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaConsole'],
  },
  {
    name: 'kafka/groups (java)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaGroups'],
  },
  {
    name: 'kafka/java transactions',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaTransactions'],
  },
  {
    name: 'kafka/java streams',
    install: installJava,
    command: () => ['java', '-Xmx384m', '-cp', javaClasspath, 'StreamsWordCount'],
    caseMs: 80_000,
  },
  { name: 'kafka/tool kafka-transactions', install: installJava, command: node('kafka/transactions-tool.ts'), caseMs: 90_000 },
  { name: 'kafka/transactions and AMQP (kafkajs)', install: nothing, command: node('kafka/transactions.ts'), anymqOnly: true },
  {
    name: 'kafka/exactly once through kills (java)',
    install: installJava,
    command: node('kafka/exactly-once.ts'),
    anymqOnly: true,
    caseMs: 170_000,
  },
  {
    name: 'kafka/groups through kills (franz-go)',
    install: installGo,
    command: node('kafka/groups-through-kills.ts'),
    anymqOnly: true,
    caseMs: 120_000,
  },
  {
    name: 'kafka/share groups (java)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaShare'],
  },
  {
    name: 'kafka/kafka-go (its own tests)',
    install: installKafkaGo,
    command: node('kafka/kafka-go.ts'),
    anymqOnly: true,
    caseMs: 280_000,
    timeoutMs: 300_000,
  },
  {
    name: 'kafka/security (kcat, kafkajs)',
    install: () => installDebianPackages({ kcat: 'kcat' }),
    command: node('kafka/security.ts'),
    secured: true,
  },
  {
    name: 'kafka/security (sarama)',
    install: installGo,
    command: () => [goProgram('saramago'), 'security'],
    secured: true,
  },
  {
    name: 'kafka/security (aiokafka)',
    install: installPythonAiokafka,
    command: () => [pythonAiokafka, `${here}kafka/aiokafka_suite.py`, 'security'],
    secured: true,
  },
  {
    name: 'kafka/security (@platformatic/kafka)',
    install: nothing,
    command: () => [...node('kafka/platformatic.ts')(), 'security'],
    secured: true,
  },
  {
    name: 'kafka/security (@confluentinc/kafka-javascript)',
    install: installConfluentJavaScript,
    command: () => [...node('kafka/confluent-javascript.ts')(), 'security'],
    secured: true,
  },
  {
    name: 'kafka/security (java)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaSecurity'],
    secured: true,
  },
  {
    name: 'kafka/admin (java)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaAdmin'],
    secured: true,
  },
  {
    name: "kafka/tools (Kafka's own programs, Connect)",
    install: installJava,
    command: node('kafka/tools.ts'),
    secured: true,
    timeoutMs: 400_000,
    caseMs: 120_000,
  },
  { name: 'amqp/security (amqplib)', install: nothing, command: node('amqp/security.ts'), secured: true },
  { name: 'amqp/amqplib (Node)', install: nothing, command: node('amqp/amqplib.ts') },
  { name: 'amqp/pika (Python)', install: installPython, command: () => [python, `${here}amqp/pika_suite.py`] },
  { name: 'amqp/amqp091-go', install: installGo, command: () => [goProgram('amqp091')] },
  {
    name: 'amqp/java amqp-client',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'AmqpClient'],
  },
  {
    name: 'amqp/java spring-style',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'SpringStyle'],
  },
  { name: 'amqp/aio-pika (Python)', install: installPythonAmqp, command: () => [pythonAmqp, `${here}amqp/aio_pika_suite.py`] },
  { name: 'amqp/kombu (Python)', install: installPythonAmqp, command: () => [pythonAmqp, `${here}amqp/kombu_suite.py`] },
  { name: 'amqp/celery (Python)', install: installPythonAmqp, command: () => [pythonAmqp, `${here}amqp/celery/suite.py`] },
  {
    name: 'amqp/published suites (amqp091-go, kombu)',
    install: async () => {
      await installGo()
      await installKombuSource()
    },
    command: node('amqp/published.ts'),
    timeoutMs: 300_000,
  },
  { name: 'nats/nats.js (Node)', install: nothing, command: node('nats/natsjs.ts') },
  { name: 'nats/nats.js over WebSocket', install: nothing, command: node('nats/natsjs.ts', 'websocket'), anymqOnly: true },
  { name: 'nats/nats-py (Python)', install: installPythonNats, command: () => [pythonNats, `${here}nats/nats_py_suite.py`] },
  { name: 'nats/nats.go', install: installGo, command: () => [goProgram('natsgo')] },
  { name: 'nats/JetStream with nats.js (Node)', install: nothing, command: node('nats/natsjs-jetstream.ts') },
  { name: 'nats/nats.js while its broker restarts', install: nothing, command: node('nats/restart.ts'), anymqOnly: true },
  { name: 'nats/accounts with nats.go', install: installGo, command: node('nats/accounts.ts'), anymqOnly: true },
  {
    name: 'nats/JetStream with nats-py (Python)',
    install: installPythonNats,
    command: () => [pythonNats, `${here}nats/nats_py_jetstream.py`],
  },
  { name: 'nats/JetStream with nats.go', install: installGo, command: () => [goProgram('natsgojs')] },
  { name: 'stomp/stomp.py', install: installPythonStomp, command: () => [pythonStomp, `${here}stomp/stomp_suite.py`] },
  { name: 'stomp/stompjs over TCP', install: nothing, command: node('stomp/stompjs.ts', 'tcp') },
  { name: 'stomp/stompjs over WebSocket', install: nothing, command: node('stomp/stompjs.ts'), anymqOnly: true },
  { name: 'mqtt/paho-mqtt (Python)', install: installPythonMqtt, command: () => [pythonMqtt, `${here}mqtt/paho_suite.py`] },
  {
    name: 'mqtt/paho-mqtt (Python) over WebSocket',
    install: installPythonMqtt,
    command: () => [pythonMqtt, `${here}mqtt/paho_suite.py`, 'websocket'],
    anymqOnly: true,
  },
  { name: 'mqtt/MQTT.js', install: nothing, command: node('mqtt/mqttjs.ts') },
  { name: 'mqtt/MQTT.js over WebSocket', install: nothing, command: node('mqtt/mqttjs.ts', 'websocket'), anymqOnly: true },
  {
    name: 'mqtt/mosquitto_pub, mosquitto_sub',
    install: () => installDebianPackages({ mosquitto_pub: 'mosquitto-clients' }),
    command: node('mqtt/mosquitto.ts'),
  },
  {
    name: 'mqtt/paho.mqtt.golang (its own tests)',
    install: installPahoGo,
    command: node('mqtt/paho-go.ts'),
    anymqOnly: true,
    caseMs: 170_000,
  },
  { name: 'mqtt/exactly once through kills', install: nothing, command: node('mqtt/crash.ts'), anymqOnly: true, caseMs: 170_000 },
  {
    name: 'beanstalkd/greenstalk (Python)',
    install: installPythonBeanstalk,
    command: () => [pythonBeanstalk, `${here}beanstalkd/greenstalk_suite.py`],
  },
  { name: 'beanstalkd/go-beanstalk', install: installGo, command: () => [goProgram('gobeanstalk')] },
  {
    name: 'disque/pydisque (Python)',
    install: installPythonDisque,
    command: () => [pythonDisque, `${here}disque/pydisque_suite.py`],
  },
  { name: 'disque/disqueue-node', install: installNodeDisque, command: node('disque/disqueue-node.ts') },
  { name: 'disque/thunk-disque', install: installNodeDisque, command: node('disque/thunk-disque.ts') },
  {
    name: 'disque/redis-cli',
    install: () => installDebianPackages({ 'redis-cli': 'redis-tools' }),
    command: node('disque/redis-cli.ts'),
  },
  { name: 'nsq/go-nsq', install: installGo, command: () => [goProgram('gonsq')] },
  { name: "nsq/go-nsq's own tests", install: installGoNsq, command: node('nsq/go-nsq.ts'), anymqOnly: true, caseMs: 90_000 },
  { name: 'nsq/nsqjs', install: installNodeNsq, command: node('nsq/nsqjs.ts') },
  { name: 'nsq/pynsq (Python)', install: installPythonNsq, command: () => [pythonNsq, `${here}nsq/pynsq_suite.py`] },
  { name: 'aws/boto3 (Python)', install: installPythonAws, command: () => [pythonAws, `${here}aws/boto3_suite.py`] },
  { name: 'aws/SDK for JavaScript', install: nothing, command: node('aws/sdk.ts') },
  { name: 'aws/command line', install: installPythonAws, command: node('aws/command-line.ts', awsCommand) },
  {
    name: 'aws/signatures (boto3)',
    install: installPythonAws,
    command: () => [pythonAws, `${here}aws/boto3_suite.py`, 'signed'],
    secured: true,
  },
  { name: 'aws/sns-validator', install: installNodeSns, command: node('aws/sns-validator.ts'), secured: true },
  {
    name: 'aws/what was confirmed, through kills',
    install: nothing,
    command: node('aws/crash.ts'),
    anymqOnly: true,
    caseMs: 120_000,
  },
  {
    name: 'rabbitmq-management/rabbitmqadmin (Python)',
    install: installRabbitmqadmin,
    command: node('rabbitmq-management/rabbitmqadmin.ts'),
  },
  {
    name: 'rabbitmq-management/rabbitmqadmin-ng (Rust)',
    install: installRabbitmqadminNg,
    command: node('rabbitmq-management/rabbitmqadmin-ng.ts'),
    onRequest: true,
  },
  {
    name: 'rabbitmq-management/amqpstorm, Flower (Python)',
    install: installPythonManagement,
    command: () => [pythonManagement, `${here}rabbitmq-management/management_suite.py`],
  },
  {
    name: 'redis/celery (Python)',
    install: installPythonRedisCelery,
    command: () => [pythonRedisCelery, `${here}amqp/celery/suite.py`, 'redis'],
  },
  { name: 'redis/ioredis', install: installNodeRedis, command: node('redis/ioredis.ts') },
  { name: 'redis/BullMQ', install: installNodeRedis, command: node('redis/bullmq.ts') },
  {
    name: 'redis/redis-py (its own tests)',
    install: installRedisPySource,
    command: node('redis/redis-py.ts'),
    caseMs: 560_000,
    timeoutMs: 600_000,
  },
  {
    name: 'redis/published suites (rq, huey, asynq, kombu)',
    install: async () => {
      await installPythonTasks()
      await installKombuOnRedis()
      await installAsynq()
    },
    command: node('redis/published.ts'),
    anymqOnly: true,
    timeoutMs: 300_000,
  },
  { name: 'rabbitmq-stream/rabbitmq-stream-go-client', install: installGo, command: () => [goProgram('streamgo')] },
  {
    name: 'rabbitmq-stream/java stream-client',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'StreamClient'],
  },
  {
    name: 'rabbitmq-stream/security (java)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'StreamSecurity'],
    secured: true,
  },
  {
    name: 'rabbitmq-stream/rstream (Python)',
    install: installPython,
    command: () => [python, `${here}rabbitmq-stream/rstream_suite.py`],
  },
  {
    name: 'rabbitmq-stream/bridge (java clients of streams, AMQP and Kafka)',
    install: installJava,
    command: () => ['java', '-Xmx256m', '-cp', javaClasspath, 'StreamBridge'],
    anymqOnly: true,
  },
  {
    name: 'rabbitmq-stream/restart (java)',
    install: installJava,
    command: node('rabbitmq-stream/restart.ts'),
    anymqOnly: true,
  },
  {
    name: 'schema-registry/confluent-kafka (Python)',
    install: installPythonSchemas,
    command: () => [pythonSchemas, `${here}schema-registry/confluent_suite.py`],
  },
  {
    name: 'schema-registry/franz-go sr',
    install: installGo,
    command: () => [goProgram('srgo')],
  },
  {
    name: 'kafka-rest/requests, confluent-kafka (Python)',
    install: installPythonSchemas,
    command: () => [pythonSchemas, `${here}kafka-rest/rest_suite.py`],
  },
  ...(external
    ? []
    : [{ name: 'matrix (every producer to every consumer)', install: installMatrix, command: node('matrix/run.ts') }]),
]

const wanted = process.argv.slice(2)
const chosen = clients.filter((client) =>
  wanted.length === 0 ? client.onRequest !== true : wanted.some((word) => client.name.includes(word)),
)
if (chosen.length === 0) {
  console.error(
    `No suite has a name with ${wanted.join(', ')} in it. There are:\n  ${clients.map(({ name }) => name).join('\n  ')}`,
  )
  process.exit(2)
}

/** Where the suites of a folder look for their broker. */
const variables: Readonly<Record<string, string>> = {
  kafka: 'KAFKA',
  amqp: 'AMQP',
  'rabbitmq-management': 'MANAGEMENT',
  'rabbitmq-stream': 'STREAM',
  stomp: 'STOMP',
  nats: 'NATS',
  mqtt: 'MQTT',
  'schema-registry': 'REGISTRY',
  'kafka-rest': 'KAFKA_REST',
  aws: 'SQS',
  beanstalkd: 'BEANSTALKD',
  disque: 'DISQUE',
  nsq: 'NSQ',
  redis: 'REDIS',
}

let broker: AnyMQ | undefined
let secured: SecuredAnyMQ | undefined
const target: Record<string, string | undefined> = {}

suite('interop', { concurrency: 1 }, () => {
  before(async () => {
    if (external) {
      target['KAFKA'] = process.env['KAFKA']
      target['AMQP'] = process.env['AMQP']
      target['MANAGEMENT'] = process.env['MANAGEMENT']
      target['STREAM'] = process.env['STREAM']
      target['NATS'] = process.env['NATS']
      target['MQTT'] = process.env['MQTT']
      target['REGISTRY'] = process.env['REGISTRY']
      target['KAFKA_REST'] = process.env['KAFKA_REST']
      target['BEANSTALKD'] = process.env['BEANSTALKD']
      target['DISQUE'] = process.env['DISQUE']
      target['NSQ'] = process.env['NSQ']
      target['NSQLOOKUPD'] = process.env['NSQLOOKUPD']
      return
    }
    if (chosen.some((client) => client.secured === true)) secured = await startSecuredAnyMQ()
    broker = await startAnyMQ()
    target['KAFKA'] = broker.kafka
    target['AMQP'] = broker.amqp
    target['MANAGEMENT'] = broker.management
    target['STREAM'] = broker.stream
    target['STOMP'] = broker.stomp
    for (const [protocol, url] of Object.entries(broker.webSocket)) target[`${protocol.toUpperCase()}_WEBSOCKET`] = url
    target['NATS'] = broker.nats
    target['MQTT'] = broker.mqtt
    target['REGISTRY'] = broker.registry
    target['KAFKA_REST'] = broker.rest
    target['SQS'] = broker.sqs
    target['BEANSTALKD'] = broker.beanstalkd
    target['DISQUE'] = broker.disque
    target['NSQ'] = broker.nsq
    target['NSQLOOKUPD'] = broker.nsqlookupd
    target['REDIS'] = broker.redis
    console.log(`# AnyMQ is ready after ${Math.round(broker.startMs)} ms: kafka ${broker.kafka}, ${broker.amqp}`)
  })

  after(async () => {
    await broker?.stop()
    await secured?.stop()
  })

  for (const client of chosen) {
    const protocol = variables[client.name.split('/')[0] ?? ''] ?? 'AMQP'
    const missing = external && process.env[protocol] === undefined ? `no ${protocol} in the environment` : false
    const isOwn = client.secured === true || client.anymqOnly === true
    const skip = external && isOwn ? 'for AnyMQ alone' : missing
    test(client.name, { skip }, async (t) => {
      await client.install()
      const [command, ...args] = client.command()
      interface Line {
        case?: string
        ok?: boolean
        ms?: number
        error?: string
        done?: boolean
        say?: string
      }
      const lines: Line[] = []
      const program = new Running(command, args, {
        cwd: here,
        env: {
          ...target,
          ...(client.caseMs && { CASE_MS: String(client.caseMs) }),
          ...(client.secured === true ? secured?.environment : {}),
          PYTHONPATH: `${here}cases`,
        },
        onLine: (line, stream) => {
          if (stream === 'out' && line.startsWith('{')) lines.push(JSON.parse(line) as Line)
          else if (stream === 'out') console.log(line)
        },
      })
      const timer = setTimeout(() => program.kill('SIGKILL'), client.timeoutMs ?? 180_000)
      const { code, signal } = await program.exited
      clearTimeout(timer)
      for (const line of lines) {
        if (line.case === undefined) continue
        await t.test(`${line.case} (${line.ms} ms)`, () => {
          assert.ok(line.ok, `${line.error}`)
        })
      }
      const said = `${command} ended with ${code ?? signal} before all its cases were run\n${tail(program.output)}\n${tail(program.errors)}`
      assert.ok(lines.at(-1)?.done === true && code === 0, said)
      const served = client.secured === true ? secured : broker
      if (served !== undefined)
        assert.ok(served.process.running, `AnyMQ ended\n${tail(served.process.output)}\n${tail(served.process.errors)}`)
    })
  }
})
