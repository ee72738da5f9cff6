/** Kafka's own programs, as its scripts start them, and Kafka Connect copying a file into a topic and out again; against a broker with users. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { javaClasspath } from '../install.ts'
import { freePortOffset, Running, run, runOk, tail } from '../processes.ts'

const server = setting('KAFKA')
const folder = mkdtempSync(join(tmpdir(), 'anymq-tools-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Clients' settings for a user, over TLS. */
function settingsOf(user: string, prefix = ''): string {
  const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${user}" password="${user}-secret";`
  return Object.entries({
    'security.protocol': 'SASL_SSL',
    'sasl.mechanism': 'PLAIN',
    'sasl.jaas.config': jaas,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': `${setting('TLS')}/root.crt`,
  })
    .map(([name, value]) => `${prefix}${name}=${value}\n`)
    .join('')
}

const admin = join(folder, 'admin.properties')
writeFileSync(admin, settingsOf('admin'))
const alice = join(folder, 'alice.properties')
writeFileSync(alice, settingsOf('alice'))

const java = (name: string, args: readonly string[]): string[] => [
  ...['-Xmx192m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'], // they live for a second or two
  ...['-cp', javaClasspath, name, ...args],
]
const tools = 'org.apache.kafka.tools'
const tool = (name: string, ...args: string[]): Promise<string> =>
  runOk('java', java(name, ['--bootstrap-server', server, '--command-config', admin, ...args]), { timeoutMs: 60_000 })

await runCases({
  'kafka-topics: create, describe, alter, list, delete': async () => {
    const topic = unique('tools.topics')
    const topics = (...args: string[]): Promise<string> => tool(`${tools}.TopicCommand`, ...args)
    await topics('--create', '--topic', topic, '--partitions', '3', '--config', 'retention.ms=60000')
    const described = await topics('--describe', '--topic', topic)
    assert.match(described, /PartitionCount: 3/)
    assert.match(described, /retention\.ms=60000/)
    await topics('--alter', '--topic', topic, '--partitions', '4')
    assert.match(await topics('--describe', '--topic', topic), /PartitionCount: 4/)
    assert.ok((await topics('--list')).split('\n').includes(topic))
    await topics('--delete', '--topic', topic)
    assert.ok(!(await topics('--list')).split('\n').includes(topic))
  },

  'kafka-configs: topics, brokers, users and their quotas': async () => {
    const topic = unique('tools.configs')
    const configs = (...args: string[]): Promise<string> => tool('kafka.admin.ConfigCommand', ...args)
    await tool(`${tools}.TopicCommand`, '--create', '--topic', topic)
    const entity = ['--entity-type', 'topics', '--entity-name', topic]
    await configs('--alter', ...entity, '--add-config', 'cleanup.policy=compact,max.message.bytes=20000')
    assert.match(await configs('--describe', ...entity), /max\.message\.bytes=20000/)
    await configs('--alter', ...entity, '--delete-config', 'max.message.bytes')
    assert.doesNotMatch(await configs('--describe', ...entity), /max\.message\.bytes=/)
    assert.match(
      await configs('--describe', '--entity-type', 'brokers', '--entity-name', '1', '--all'),
      /message\.max\.bytes=1048588/,
    )
    const all = ['--entity-type', 'brokers', '--entity-default']
    await configs('--alter', ...all, '--add-config', 'log.roll.ms=600000')
    assert.match(await configs('--describe', ...all), /log\.roll\.ms=600000/)
    await configs('--alter', ...all, '--delete-config', 'log.roll.ms')
    const user = ['--entity-type', 'users', '--entity-name', 'alice']
    await configs('--alter', ...user, '--add-config', 'producer_byte_rate=1048576')
    assert.match(await configs('--describe', ...user), /producer_byte_rate=1048576/)
    await configs('--alter', ...user, '--delete-config', 'producer_byte_rate')
    const made = ['--entity-type', 'users', '--entity-name', unique('made')]
    await configs('--alter', ...made, '--add-config', 'SCRAM-SHA-256=[iterations=4096,password=made-secret]')
    assert.match(await configs('--describe', ...made), /SCRAM-SHA-256=iterations=4096/)
  },

  'kafka-acls: add, list, remove': async () => {
    const topic = unique('tools.acls')
    const acls = (...args: string[]): Promise<string> => tool(`${tools}.AclCommand`, ...args)
    await acls('--add', '--allow-principal', 'User:bob', '--producer', '--topic', topic, '--resource-pattern-type', 'prefixed')
    const listed = await acls('--list', '--topic', topic, '--resource-pattern-type', 'prefixed')
    for (const operation of ['WRITE', 'CREATE', 'DESCRIBE']) assert.ok(listed.includes(`operation=${operation}`), listed)
    await acls('--remove', '--force', '--topic', topic, '--resource-pattern-type', 'prefixed')
    assert.doesNotMatch(await acls('--list', '--topic', topic, '--resource-pattern-type', 'prefixed'), /WRITE/)
  },

  'kafka-verifiable-producer and -consumer, kafka-get-offsets, kafka-consumer-groups, kafka-groups': async () => {
    const topic = unique('tools.verifiable')
    const group = unique('tools.group')
    await tool(`${tools}.TopicCommand`, '--create', '--topic', topic, '--partitions', '1')
    const common = ['--bootstrap-server', server, '--topic', topic, '--command-config', alice]
    const produced = await runOk('java', java(`${tools}.VerifiableProducer`, [...common, '--max-messages', '500']), {
      timeoutMs: 60_000,
    })
    assert.match(produced, /"acked":500/)
    const offsets = await tool(`${tools}.GetOffsetShell`, '--topic', topic)
    const ends = [...offsets.matchAll(/:\d+:(\d+)/g)].map((match) => Number(match[1]))
    assert.equal(
      ends.reduce((sum, each) => sum + each, 0),
      500,
    )
    const consumed = await runOk(
      'java',
      java(`${tools}.VerifiableConsumer`, [
        ...common,
        '--group-id',
        group,
        '--max-messages',
        '500',
        '--reset-policy',
        'earliest',
      ]),
      { timeoutMs: 60_000 },
    )
    const counts = [...consumed.matchAll(/"name":"records_consumed".*?"count":(\d+)|"count":(\d+).*?"name":"records_consumed"/g)]
    assert.equal(
      counts.reduce((sum, match) => sum + Number(match[1] ?? match[2]), 0),
      500,
    )
    const groups = (...args: string[]): Promise<string> => tool(`${tools}.consumer.group.ConsumerGroupCommand`, ...args)
    assert.match(await groups('--describe', '--group', group, '--offsets'), new RegExp(`${topic}\\s+0`))
    assert.match(await tool(`${tools}.GroupsCommand`, '--list'), new RegExp(group))
    await groups('--reset-offsets', '--group', group, '--topic', topic, '--to-earliest', '--execute')
    await groups('--delete', '--group', group)
    assert.doesNotMatch(await groups('--list'), new RegExp(group))
  },

  'kafka-log-dirs, -features, -metadata-quorum, -leader-election, -delete-records, -broker-api-versions': async () => {
    const topic = unique('tools.nodes')
    await tool(`${tools}.TopicCommand`, '--create', '--topic', topic)
    assert.match(
      await tool(`${tools}.LogDirsCommand`, '--describe', '--topic-list', topic),
      new RegExp(`"partition":"${topic}-0"`),
    )
    await tool(`${tools}.FeatureCommand`, 'describe')
    assert.match(await tool(`${tools}.MetadataQuorumCommand`, 'describe', '--status'), /LeaderId:\s+1/)
    const elect = ['--election-type', 'preferred', '--topic', topic, '--partition', '0']
    const elected = ['--bootstrap-server', server, '--command-config', admin, ...elect]
    assert.match(await runOk('java', java(`${tools}.LeaderElectionCommand`, elected), { timeoutMs: 60_000 }), /already elected/)
    const json = join(folder, 'delete.json')
    writeFileSync(json, JSON.stringify({ partitions: [{ topic, partition: 0, offset: 0 }], version: 1 }))
    assert.match(await tool(`${tools}.DeleteRecordsCommand`, '--offset-json-file', json), /low_watermark: 0/)
    const versions = await tool(`${tools}.BrokerApiVersionsCommand`)
    assert.match(versions, /Produce\(0\): 0 to 13/)
  },

  'who has no rights hears so': async () => {
    const refused = await run(
      'java',
      java(`${tools}.AclCommand`, ['--bootstrap-server', server, '--command-config', alice, '--list']),
      {
        timeoutMs: 60_000,
      },
    )
    assert.match(`${refused.stdout}${refused.stderr}`, /ClusterAuthorizationException|Cluster authorization failed|may not/)
  },

  'Connect, standalone: a file into a topic and out into another file': async () => {
    const topic = unique('tools.connect')
    const [source, sink] = [join(folder, 'in.txt'), join(folder, 'out.txt')]
    writeFileSync(source, 'one\ntwo\nthree\n')
    const rest = 18_083 + (await freePortOffset([18_083]))
    const write = (name: string, lines: Record<string, string>, more = ''): string => {
      const file = join(folder, name)
      writeFileSync(
        file,
        `${Object.entries(lines)
          .map(([key, value]) => `${key}=${value}\n`)
          .join('')}${more}`,
      )
      return file
    }
    const string = 'org.apache.kafka.connect.storage.StringConverter'
    const worker = write(
      'worker.properties',
      {
        'bootstrap.servers': server,
        'key.converter': string,
        'value.converter': string,
        'offset.storage.file.filename': join(folder, 'connect.offsets'),
        'offset.flush.interval.ms': '500',
        listeners: `http://127.0.0.1:${rest}`,
        'plugin.discovery': 'only_scan',
      },
      settingsOf('alice') + settingsOf('alice', 'producer.') + settingsOf('alice', 'consumer.'),
    )
    const connector = (name: string, kind: string, lines: Record<string, string>): string =>
      write(`${name}.properties`, {
        name,
        'connector.class': `org.apache.kafka.connect.file.FileStream${kind}Connector`,
        'tasks.max': '1',
        ...lines,
      })
    const into = connector('local-source', 'Source', { file: source, topic })
    const out = connector('local-sink', 'Sink', { file: sink, topics: topic })
    const connect = new Running('java', java('org.apache.kafka.connect.cli.ConnectStandalone', [worker, into, out]))
    try {
      await until(
        'the copied file',
        () => {
          if (!connect.running) throw new Error(`Connect ended\n${tail(connect.output)}\n${tail(connect.errors)}`)
          return existsSync(sink) && readFileSync(sink, 'utf8') === 'one\ntwo\nthree\n'
        },
        90_000,
      )
    } finally {
      await connect.stop()
    }
  },
})
