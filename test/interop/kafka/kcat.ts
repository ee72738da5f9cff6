/** kcat, librdkafka on the command line. */
import assert from 'node:assert/strict'
import { runCases, setting, unique } from '../cases/cases.ts'
import { runOk } from '../processes.ts'

const server = setting('KAFKA')
const kcat = (args: readonly string[], input = ''): Promise<string> =>
  runOk('kcat', ['-b', server, '-m', '10', ...args], { input, timeoutMs: 25_000 })

interface Printed {
  topic: string
  partition: number
  offset: number
  key: string | null
  payload: string | null
  headers?: string[]
}

await runCases({
  'lists brokers and topics as JSON': async () => {
    const topic = unique('kcat.list')
    await kcat(['-P', '-t', topic], 'one\n')
    const listing = JSON.parse(await kcat(['-L', '-J'])) as {
      brokers: { id: number }[]
      topics: { topic: string; partitions: unknown[] }[]
    }
    assert.ok(0 < listing.brokers.length)
    assert.equal(listing.topics.find((each) => each.topic === topic)?.partitions.length, 1)
  },

  'produces with each codec, key and headers, and consumes to the end': async () => {
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      const topic = unique(`kcat.${codec}`)
      const lines = Array.from({ length: 300 }, (_, i) => `k${i}:value ${i}\n`).join('')
      await kcat(['-P', '-t', topic, '-K:', '-z', codec, '-H', 'colour=red', '-H', 'size=9', '-X', 'acks=all'], lines)
      const read = parse(await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-J']))
      assert.equal(read.length, 300, codec)
      for (const [i, record] of read.entries()) {
        assert.equal(record.offset, i)
        assert.equal(record.key, `k${i}`)
        assert.equal(record.payload, `value ${i}`)
        assert.deepEqual(record.headers, ['colour', 'red', 'size', '9'])
      }
    }
  },

  'idempotent producer': async () => {
    const topic = unique('kcat.idempotent')
    const lines = Array.from({ length: 2_000 }, (_, i) => `${i}\n`).join('')
    await kcat(['-P', '-t', topic, '-X', 'enable.idempotence=true', '-X', 'batch.num.messages=20'], lines)
    const read = await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-q'])
    assert.equal(read, lines)
  },

  'null values': async () => {
    const topic = unique('kcat.null')
    await kcat(['-P', '-t', topic, '-K:', '-Z'], 'dead:\nalive:x\n')
    const read = parse(await kcat(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-J']))
    assert.deepEqual(
      read.map((record) => record.payload),
      [null, 'x'],
    )
  },

  'reads from an offset, the last few, and queries offsets': async () => {
    const topic = unique('kcat.offsets')
    await kcat(['-P', '-t', topic], Array.from({ length: 20 }, (_, i) => `${i}\n`).join(''))
    assert.equal(await kcat(['-C', '-t', topic, '-o', '17', '-e', '-q']), '17\n18\n19\n')
    assert.equal(await kcat(['-C', '-t', topic, '-o', '-2', '-e', '-q']), '18\n19\n')
    assert.equal(await kcat(['-C', '-t', topic, '-o', 'beginning', '-c', '3', '-q']), '0\n1\n2\n')
    assert.match(await kcat(['-Q', '-t', `${topic}:0:-1`]), /offset 20/)
  },

  'consumes in a group and resumes where it stopped': async () => {
    const topic = unique('kcat.group')
    const group = unique('kcat.g')
    await kcat(['-P', '-t', topic], 'a\nb\n')
    const options = ['-X', 'auto.offset.reset=earliest', '-q']
    assert.equal(await kcat(['-G', group, '-c', '2', ...options, topic]), 'a\nb\n')
    await kcat(['-P', '-t', topic], 'c\n')
    assert.equal(await kcat(['-G', group, '-c', '1', ...options, topic]), 'c\n')
  },
})

function parse(output: string): Printed[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Printed)
}
