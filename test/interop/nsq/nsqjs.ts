// nsqjs: its Reader, by address and by lookup, and its Writer.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { nodeNsq } from '../install.ts'

interface Message {
  readonly body: Buffer
  readonly attempts: number
  readonly id: string
  finish(): void
  requeue(delayMs?: number, backoff?: boolean): void
  touch(): void
}
interface Emitter {
  on(event: string, listener: (...given: never[]) => void): void
  connect(): void
  close(): void
}
interface Writer extends Emitter {
  publish(topic: string, message: unknown, done: (error?: Error) => void): void
  deferPublish(topic: string, message: unknown, delayMs: number, done: (error?: Error) => void): void
}
interface Nsqjs {
  Reader: new (topic: string, channel: string, options: object) => Emitter
  Writer: new (host: string, port: number, options?: object) => Writer
}

const { Reader, Writer } = createRequire(join(nodeNsq, 'package.json'))('nsqjs') as Nsqjs // it has no types
const address = setting('NSQ')
const [host = '', port = ''] = address.split(':')
const topicName = (): string => unique('js').replaceAll('.', '-')

async function writer(options: object = {}): Promise<Writer> {
  const made = new Writer(host, Number(port), options)
  await new Promise<void>((resolve, reject) => {
    made.on('ready', () => resolve())
    made.on('error', (error: Error) => reject(error))
    made.connect()
  })
  return made
}

const published = (of: Writer, topic: string, message: unknown): Promise<void> =>
  new Promise((resolve, reject) => of.publish(topic, message, (error) => (error ? reject(error) : resolve())))

function reader(topic: string, channel: string, options: object, onMessage: (message: Message) => void): Emitter {
  const made = new Reader(topic, channel, { maxInFlight: 50, nsqdTCPAddresses: [address], ...options })
  made.on('message', onMessage as (...given: never[]) => void)
  made.on('error', () => undefined)
  made.connect()
  return made
}

await runCases({
  'publish one, many and later; consume in two channels': async () => {
    const topic = topicName()
    const own = await writer()
    const heard: string[][] = [[], []]
    const readers = heard.map((bodies, index) =>
      reader(topic, `c${index}`, {}, (message) => {
        bodies.push(message.body.toString())
        message.finish()
      }),
    )
    await published(own, topic, 'first')
    await until('the first', () => heard.some(({ length }) => length > 0))
    await published(own, topic, ['a', 'b', 'c'])
    await published(own, topic, { json: true })
    await new Promise<void>((resolve, reject) =>
      own.deferPublish(topic, ['later'], 200, (error) => (error ? reject(error) : resolve())),
    )
    const wanted = ['a', 'b', 'c', 'later', '{"json":true}']
    await until('all', () => heard.every((bodies) => wanted.every((body) => bodies.includes(body))))
    for (const each of [own, ...readers]) each.close()
  },

  'given back it comes again, with one attempt more': async () => {
    const topic = topicName()
    const own = await writer()
    const attempts: number[] = []
    const of = reader(topic, 'c', {}, (message) => {
      attempts.push(message.attempts)
      if (message.attempts < 3) message.requeue(10, false)
      else message.finish()
    })
    await published(own, topic, 'x')
    await until('three attempts', () => attempts.length === 3)
    if (attempts.join() !== '1,2,3') throw new Error(`attempts ${attempts.join()}`)
    own.close()
    of.close()
  },

  'found by lookup': async () => {
    const topic = topicName()
    const own = await writer()
    await published(own, topic, 'found')
    const bodies: string[] = []
    const options = { nsqdTCPAddresses: [], lookupdHTTPAddresses: [setting('NSQLOOKUPD')], lookupdPollInterval: 1 }
    const of = reader(topic, 'c', options, (message) => {
      bodies.push(message.body.toString())
      message.finish()
    })
    await until('the message', () => bodies.includes('found'))
    own.close()
    of.close()
  },

  'snappy and deflate': async () => {
    for (const compression of [{ snappy: true }, { deflate: true, deflateLevel: 3 }]) {
      const topic = topicName()
      const own = await writer(compression)
      const bodies: string[] = []
      const of = reader(topic, 'c', compression, (message) => {
        bodies.push(message.body.toString())
        message.finish()
      })
      await published(own, topic, 'x'.repeat(200_000))
      await until(JSON.stringify(compression), () => bodies[0]?.length === 200_000)
      own.close()
      of.close()
    }
  },
})
