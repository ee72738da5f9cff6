/** rabbitmqadmin of RabbitMQ 4 (the one written in Rust): what an operator does with it. */
import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCases, setting, unique } from '../cases/cases.ts'
import { rabbitmqadminNg } from '../install.ts'
import { runOk } from '../processes.ts'

const { hostname, port } = new URL(setting('MANAGEMENT'))
const login = ['--host', hostname, '--port', port, '--username', 'guest', '--password', 'guest']
const admin = (...args: string[]): Promise<string> =>
  runOk(rabbitmqadminNg, [...login, '--non-interactive', ...args], { timeoutMs: 25_000 })
/** The words of the line about a thing. */
async function shown(what: readonly string[], name: string): Promise<string | undefined> {
  return (await admin(...what)).split('\n').find((line) => line.split(/\s+/).includes(name))
}

await runCases({
  'declares queues of each type, an exchange and a binding, publishes and gets': async () => {
    const [queue, stream, exchange] = [unique('ng.q'), unique('ng.s'), unique('ng.x')]
    await admin('declare', 'queue', '--name', queue, '--type', 'quorum', '--arguments', '{"x-max-length":2}')
    await admin('declare', 'stream', '--name', stream, '--expiration', '8h')
    await admin('declare', 'exchange', '--name', exchange, '--type', 'topic')
    await admin(
      ...['declare', 'binding', '--source', exchange, '--destination-type', 'queue', '--destination', queue],
      ...['--routing-key', 'a.#'],
    )
    for (const payload of ['one', 'two', 'three'])
      assert.match(
        await admin('publish', 'message', '--exchange', exchange, '--routing-key', 'a.b', '--payload', payload),
        /published and routed/,
      )
    const got = await admin('get', 'messages', '--queue', queue, '--count', '5', '--ack-mode', 'ack_requeue_false')
    assert.ok(got.includes('two') && got.includes('three') && !got.includes('one'), got)
    assert.match((await shown(['list', 'queues'], queue)) ?? '', / quorum .*x-max-length: 2/)
    assert.match((await shown(['list', 'queues'], stream)) ?? '', / stream .*x-max-age: "8h"/)
    assert.match((await shown(['list', 'bindings'], exchange)) ?? '', /a\.#/)
    await admin('purge', 'queue', '--name', queue)
    await admin('delete', 'queue', '--name', queue)
    await admin('delete', 'stream', '--name', stream)
    await admin('delete', 'exchange', '--name', exchange)
    assert.equal(await shown(['list', 'queues'], queue), undefined)
  },

  'says what a refusal says': async () => {
    const queue = unique('ng.refused')
    await admin('declare', 'queue', '--name', queue, '--type', 'classic')
    await assert.rejects(admin('declare', 'queue', '--name', queue, '--type', 'quorum'), /inequivalent arg 'x-queue-type'/)
    await admin('delete', 'queue', '--name', queue)
  },

  'sets limits of a vhost, and protects it from deletion': async () => {
    const vhost = unique('ng.vhost')
    await admin('declare', 'vhost', '--name', vhost, '--default-queue-type', 'quorum')
    await admin('--vhost', vhost, 'declare', 'vhost_limit', '--name', 'max-queues', '--value', '1')
    assert.match((await shown(['--vhost', vhost, 'list', 'vhost_limits'], vhost)) ?? '', /max-queues: 1/)
    await admin('--vhost', vhost, 'declare', 'queue', '--name', 'one', '--type', 'classic')
    await assert.rejects(
      admin('--vhost', vhost, 'declare', 'queue', '--name', 'two', '--type', 'classic'),
      /queue limit in vhost .* \(1\) is reached/,
    )
    await admin('--vhost', vhost, 'delete', 'vhost_limit', '--name', 'max-queues')
    await admin('vhosts', 'enable_deletion_protection', '--name', vhost)
    await assert.rejects(admin('delete', 'vhost', '--name', vhost), /protected from deletion/)
    await admin('vhosts', 'disable_deletion_protection', '--name', vhost)
    await admin('delete', 'vhost', '--name', vhost)
  },

  'policies, operator policies and global parameters': async () => {
    const name = unique('ng.p')
    const policy = ['--name', name, '--pattern', `^${name}$`, '--apply-to', 'queues', '--priority', '1']
    await admin('declare', 'policy', ...policy, '--definition', '{"max-length":1}')
    await admin('declare', 'operator_policy', ...policy, '--definition', '{"expires":100000}')
    assert.match((await shown(['list', 'policies'], name)) ?? '', /max-length: 1/)
    assert.match((await shown(['list', 'operator_policies'], name)) ?? '', /expires: 100000/)
    await admin('delete', 'policy', '--name', name)
    await admin('delete', 'operator_policy', '--name', name)
    await admin('global_parameters', 'set', '--name', name, '--value', '{"region":"north"}')
    assert.match(await admin('global_parameters', 'list'), /north/)
    await admin('global_parameters', 'clear', '--name', name)
  },

  'lists what there is, and its health checks pass': async () => {
    for (const what of [
      ...['nodes', 'users', 'vhosts', 'permissions', 'connections', 'channels', 'consumers', 'parameters'],
      ...['user_limits', 'feature_flags', 'deprecated_features', 'deprecated_features_in_use'],
    ])
      await admin('list', what)
    assert.match(await admin('show', 'overview'), /RabbitMQ version/)
    for (const check of ['local_alarms', 'cluster_wide_alarms', 'node_is_quorum_critical'])
      assert.match(await admin('health_check', check), /passed/)
    assert.match(await admin('health_check', 'protocol_listener', '--protocol', 'amqp'), /passed/)
    await assert.rejects(admin('health_check', 'port_listener', '--port', '1'))
    await admin('queues', 'rebalance')
  },

  'exports definitions, and imports them into another vhost': async () => {
    const [from, to, file] = [unique('ng.from'), unique('ng.to'), join(tmpdir(), unique('definitions'))]
    try {
      for (const vhost of [from, to]) await admin('declare', 'vhost', '--name', vhost)
      await admin('--vhost', from, 'declare', 'queue', '--name', 'orders', '--type', 'quorum')
      await admin('--vhost', from, 'definitions', 'export_from_vhost', '--file', file)
      assert.equal((JSON.parse(await readFile(file, 'utf8')) as { queues: object[] }).queues.length, 1)
      await admin('--vhost', to, 'definitions', 'import_into_vhost', '--file', file)
      assert.match((await shown(['--vhost', to, 'list', 'queues'], 'orders')) ?? '', /quorum/)
    } finally {
      for (const vhost of [from, to]) await admin('delete', 'vhost', '--name', vhost)
      await rm(file, { force: true })
    }
  },
})
