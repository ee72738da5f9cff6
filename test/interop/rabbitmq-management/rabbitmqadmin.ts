/** rabbitmqadmin as RabbitMQ 3.10 ships it (Python): what an operator does with it, and a definitions round trip. A real RabbitMQ shows figures some seconds late. */
import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { rabbitmqadmin } from '../install.ts'
import { runOk } from '../processes.ts'

const { hostname, port } = new URL(setting('MANAGEMENT'))
const admin = (...args: string[]): Promise<string> =>
  runOk('python3', [rabbitmqadmin, `--host=${hostname}`, `--port=${port}`, ...args], { timeoutMs: 25_000 })
const rows = async (...args: string[]): Promise<Record<string, unknown>[]> =>
  JSON.parse(await admin('--format=raw_json', ...args)) as Record<string, unknown>[]
const named = (list: readonly Record<string, unknown>[], name: string) => list.find((each) => each['name'] === name)

await runCases({
  'declares a queue, an exchange and a binding, publishes and gets': async () => {
    const [queue, exchange] = [unique('admin.q'), unique('admin.x')]
    assert.match(
      await admin('declare', 'queue', `name=${queue}`, 'durable=true', 'arguments={"x-max-length":2}'),
      /queue declared/,
    )
    assert.match(await admin('declare', 'exchange', `name=${exchange}`, 'type=topic'), /exchange declared/)
    await admin('declare', 'binding', `source=${exchange}`, `destination=${queue}`, 'routing_key=a.#')
    for (const payload of ['one', 'two', 'three'])
      assert.match(await admin('publish', `exchange=${exchange}`, 'routing_key=a.b', `payload=${payload}`), /Message published/)
    assert.match(await admin('publish', `exchange=${exchange}`, 'routing_key=b', 'payload=x'), /NOT routed/)
    const got = await rows('get', `queue=${queue}`, 'count=5', 'ackmode=ack_requeue_true')
    assert.deepEqual(
      got.map((message) => message['payload']),
      ['two', 'three'],
    )
    await until('the queue is shown with its messages', async () => {
      const shown = named(await rows('list', 'queues', 'name', 'messages', 'arguments'), queue)
      return shown?.['messages'] === 2 && JSON.stringify(shown['arguments']) === '{"x-max-length":2}'
    })
    assert.match(await admin('purge', 'queue', `name=${queue}`), /queue purged/)
    const bindings = await rows('list', 'bindings', 'source', 'properties_key')
    const key = bindings.find((each) => each['source'] === exchange)?.['properties_key']
    await admin(
      'delete',
      'binding',
      `source=${exchange}`,
      'destination_type=queue',
      `destination=${queue}`,
      `properties_key=${key}`,
    )
    await admin('delete', 'queue', `name=${queue}`)
    await admin('delete', 'exchange', `name=${exchange}`)
    assert.equal(named(await rows('list', 'queues', 'name'), queue), undefined)
  },

  'says what a refusal says': async () => {
    const queue = unique('admin.refused')
    await admin('declare', 'queue', `name=${queue}`, 'durable=true')
    await assert.rejects(admin('declare', 'queue', `name=${queue}`, 'durable=false'), /inequivalent arg 'durable' for queue/)
    await assert.rejects(admin('delete', 'queue', 'name=no.such.queue'), /not found/i)
    await admin('delete', 'queue', `name=${queue}`)
  },

  'policies are declared, seen on a queue, and deleted': async () => {
    const [queue, policy] = [unique('admin.policed'), unique('admin.p')]
    await admin('declare', 'queue', `name=${queue}`)
    await admin('declare', 'policy', `name=${policy}`, `pattern=^${queue}$`, 'definition={"max-length":1}', 'apply-to=queues')
    await until(
      'the queue is shown with its policy',
      async () => named(await rows('list', 'queues', 'name', 'policy'), queue)?.['policy'] === policy,
    )
    assert.ok(named(await rows('list', 'policies'), policy) !== undefined)
    await assert.rejects(
      admin('declare', 'policy', `name=${policy}`, 'pattern=x', 'definition={"nonsense":1}'),
      /are not recognised policy settings/,
    )
    await admin(
      'declare',
      'operator_policy',
      `name=${policy}`,
      `pattern=^${queue}$`,
      'definition={"expires":100000}',
      'apply-to=queues',
    )
    await admin('delete', 'operator_policy', `name=${policy}`)
    await admin('delete', 'policy', `name=${policy}`)
    await admin('delete', 'queue', `name=${queue}`)
  },

  'lists what there is, in its own table too': async () => {
    for (const what of [
      'exchanges',
      'bindings',
      'vhosts',
      'nodes',
      'connections',
      'channels',
      'consumers',
      'parameters',
      'users',
    ])
      await admin('list', what)
    assert.match(await admin('show', 'overview'), /rabbitmq_version/)
    assert.match(await admin('list', 'exchanges', 'name', 'type'), /\| amq\.topic +\| topic +\|/)
  },

  'exports definitions, and imports them into a new vhost': async () => {
    const [from, to, file] = [unique('admin.from'), unique('admin.to'), join(tmpdir(), unique('definitions'))]
    try {
      for (const vhost of [from, to]) await admin('declare', 'vhost', `name=${vhost}`)
      await admin(`--vhost=${from}`, 'declare', 'queue', 'name=orders', 'arguments={"x-queue-type":"quorum"}', 'durable=true')
      await admin(`--vhost=${from}`, 'declare', 'exchange', 'name=events', 'type=headers')
      await admin(
        `--vhost=${from}`,
        'declare',
        'binding',
        'source=events',
        'destination=orders',
        'arguments={"x-match":"any","a":1}',
      )
      await admin(`--vhost=${from}`, 'export', file)
      const exported = JSON.parse(await readFile(file, 'utf8')) as { queues: object[] }
      assert.equal(exported.queues.length, 1)
      await admin(`--vhost=${to}`, 'import', file)
      const [queue] = await rows(`--vhost=${to}`, 'list', 'queues', 'name', 'type')
      assert.deepEqual([queue?.['name'], queue?.['type']], ['orders', 'quorum'])
      const bindings = await rows(`--vhost=${to}`, 'list', 'bindings', 'source', 'arguments')
      assert.deepEqual(bindings.find((each) => each['source'] === 'events')?.['arguments'], { a: 1, 'x-match': 'any' })
    } finally {
      for (const vhost of [from, to]) await admin('delete', 'vhost', `name=${vhost}`)
      await rm(file, { force: true })
    }
  },
})
