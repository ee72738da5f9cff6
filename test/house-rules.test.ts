/** The rules of the house that a machine can hold: who may import whom, which words stay out of the core, and nothing left lying about. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

const root = path.join(import.meta.dirname, '..')
const source = path.join(root, 'src')

interface SourceFile {
  /** Relative to src/, with slashes. */
  readonly name: string
  readonly text: string
  /** Relative to src/. */
  readonly imports: readonly string[]
}

const files: readonly SourceFile[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map(readSource)
const production = files.filter((file) => !isTest(file.name))

/** What files below `from` must not import; `except` are their permitted neighbours. */
const forbidden: readonly { from: string; never: RegExp; why: string }[] = [
  { from: 'lib/', never: /^(?!lib\/)/, why: 'lib knows nothing of messaging' },
  { from: 'storage/', never: /^(?!(storage|lib)\/)/, why: 'storage knows bytes only' },
  {
    from: 'core/',
    never: /^(?!(core\/|lib\/|storage\/interfaces\.ts$|broker\/face\.ts$))/,
    why: 'core sees storage by its interfaces, and its users by the words of the face',
  },
  { from: 'broker/', never: /^(protocols|server|http|cli|index\.ts)/, why: 'the broker never imports what stands on it' },
  {
    from: 'protocols/',
    never: /^(storage|server|http|cli|index\.ts)/,
    why: "a protocol imports the broker's face, records and lib",
  },
  { from: 'http/', never: /^(protocols|storage|server|cli|index\.ts)/, why: 'the API is a client of the broker' },
]

test('imports point one way', () => {
  const wrong = production.flatMap((file) =>
    file.imports.flatMap((target) =>
      forbidden
        .filter((rule) => file.name.startsWith(rule.from) && rule.never.test(target))
        .map((rule) => `${file.name} imports ${target}: ${rule.why}`),
    ),
  )
  assert.deepEqual(wrong, [])
})

test('a protocol imports no other protocol, and of broker and core only what is public', () => {
  const wrong: string[] = []
  for (const file of production) {
    const own = /^protocols\/[^/]+\//.exec(file.name)?.[0]
    if (own === undefined) continue
    for (const target of file.imports) {
      const allowed =
        target.startsWith(own) ||
        target.startsWith('lib/') ||
        publicToProtocols.includes(target) ||
        (families.get(own)?.some((file) => target === file) ?? false)
      if (!allowed) wrong.push(`${file.name} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

/** A product's second face may say its first one's words, in the files named here: the API of RabbitMQ is about what AMQP declares. */
const families = new Map([
  [
    'protocols/stomp/', // RabbitMQ's dialect declares queues and reads streams as AMQP does
    ['arguments', 'declaration', 'errors', 'stream', 'table'].map((file) => `protocols/amqp/${file}.ts`),
  ],
  [
    'protocols/rabbitmq-management/',
    [
      'declaration', // what a declaration kept of its arguments
      'bytes',
      'codec', // the API holds an AMQP conversation with the broker
      'describe', // what a session shows of itself
      'exchange-types',
      'json',
      'limits',
      'login',
      'methods',
      'session',
      'table',
      'vhosts',
    ].map((file) => `protocols/amqp/${file}.ts`),
  ],
  // The REST proxy writes Kafka's records by Kafka's configs, the broker's and the topics', and reads and writes them by the schemas of the registry.
  [
    'protocols/kafka-rest/',
    [
      ...[
        'broker-configs',
        'codec',
        'config',
        'errors',
        'group-consumer-protocol',
        'mapping',
        'names',
        'refused',
        'schema',
        'session',
        'wire',
      ].map((file) => `protocols/kafka/${file}.ts`),
      ...['errors', 'framing', 'registry'].map((file) => `protocols/schema-registry/${file}.ts`),
    ],
  ],
])

const publicToProtocols = ['broker/face.ts', 'core/record.ts', 'core/flat-headers.ts', 'core/errors.ts']

test('the words of protocols stay out of core, broker and storage', () => {
  const words = /\b(amqp|kafka|mqtt|nats|redis|stomp|sqs|pulsar|rocketmq|nsq|rabbitmq)/i
  const found = production
    .filter((file) => /^(core|broker|storage)\//.test(file.name))
    .flatMap((file) =>
      file.text.split('\n').flatMap((line, index) => (words.test(line) ? [`${file.name}:${index + 1} ${line.trim()}`] : [])),
    )
  assert.deepEqual(found, [])
})

test('Node’s http is loaded without its client', () => {
  const whole = /^import (?!type)[^'\n]* from 'node:https?'/m // lib/node-http.ts says why
  assert.deepEqual(
    production.filter(({ text }) => whole.test(text)).map(({ name }) => name),
    [],
  )
})

test('every file is imported by another, or is an entry point', () => {
  const entryPoints = new Set(['index.ts', 'cli/main.ts'])
  const imported = new Set(files.flatMap((file) => file.imports))
  const alone = production.filter((file) => !entryPoints.has(file.name) && !imported.has(file.name)).map((file) => file.name)
  assert.deepEqual(alone, [])
})

test('no test is singled out', () => {
  const own = path.basename(import.meta.filename)
  const tests = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules') && path.basename(name) !== own)
    .map((name) => ({ name: `test/${name}`, text: readFileSync(path.join(root, 'test', name), 'utf8') }))
  const single = [...files, ...tests].filter((file) => /\b(test|it|describe|suite)\.only\(|\bonly: true\b/.test(file.text))
  assert.deepEqual(
    single.map((file) => file.name),
    [],
  )
})

test('imports name their file with its .ts suffix', () => {
  const wrong = files.flatMap((file) =>
    file.imports.filter((target) => !target.endsWith('.ts')).map((target) => `${file.name}: ${target}`),
  )
  assert.deepEqual(wrong, [])
})

function readSource(name: string): SourceFile {
  const slashed = name.split(path.sep).join('/')
  const text = readFileSync(path.join(source, name), 'utf8')
  const imports = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map((match) =>
    path.posix.normalize(path.posix.join(path.posix.dirname(slashed), match[1] ?? '')),
  )
  return { name: slashed, text, imports }
}

function isTest(name: string): boolean {
  return name.endsWith('.test.ts') || name.endsWith('.testing.ts') || name.includes('/golden/')
}
