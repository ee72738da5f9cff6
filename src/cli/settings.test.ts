import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { protocolsToOpen } from '../protocols/table.ts'
import { parseArguments } from './arguments.ts'
import { portOf, resolveSettings, type Settings, settingsOptions, tlsSettings } from './settings.ts'

function resolve(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Settings {
  return resolveSettings(parseArguments(args, settingsOptions), environment)
}

test('the command line wins over variables, these over the file, the file over the defaults', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-settings-'))
  const config = path.join(folder, 'anymq.yaml')
  writeFileSync(
    config,
    'host: 127.0.0.3\ndata: /file\nportOffset: 1\nports: { kafka: 19092 }\nlimits: { topicsMax: 5 }\nusers: [{ name: a, password: b }]\n',
  )
  try {
    const settings = resolve(['--config', config, '--host', '127.0.0.1'], { ANYMQ_HOST: '127.0.0.2', ANYMQ_PORT_OFFSET: '2' })
    assert.equal(settings.host, '127.0.0.1')
    assert.equal(settings.portOffset, 2)
    assert.equal(settings.data, '/file')
    assert.equal(settings.durability, 'fsync')
    assert.deepEqual(settings.limits, { topicsMax: 5 })
    assert.deepEqual(settings.users, [{ name: 'a', password: 'b' }])
    assert.equal(portOf(settings, 'kafka'), 19092)
    assert.equal(portOf(settings, 'amqp'), 5674)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('an unknown name is an error that names the nearest known one', () => {
  assert.throws(() => resolve(['--durabilty', 'os']), /unknown option --durabilty; did you mean --durability\?/)
  assert.throws(() => resolve([], { ANYMQ_DURABILTY: 'os' }), /unknown variable ANYMQ_DURABILTY; did you mean ANYMQ_DURABILITY\?/)
  assert.throws(() => resolve(['--only', 'kafak']), /unknown protocol kafak; did you mean kafka\?/)
  assert.throws(() => resolve(['--port', 'amq=1']), /unknown listener amq; did you mean amqp\?/)
})

test('a value of the wrong kind says what it may be', () => {
  assert.throws(() => resolve(['--durability', 'maybe']), /--durability must be one of fsync, os, not maybe/)
  assert.throws(() => resolve(['--port', 'kafka=99999']), /--port kafka must be a whole number between 0 and 65535/)
  assert.throws(() => resolve(['--port-offset', 'x']), /--port-offset must be a whole number/)
  assert.throws(() => resolve(['--data']), /--data needs a value/)
})

test('--port repeats, takes several, and is not moved by the offset', () => {
  const settings = resolve(['--port', 'kafka=1,http=2', '--port', 'amqp=3', '--port-offset', '10'])
  assert.deepEqual(
    ['kafka', 'http', 'amqp'].map((name) => portOf(settings, name)),
    [1, 2, 3],
  )
})

test('an offset that moves a port out of the range says whose', () => {
  const settings = resolve(['--port-offset', '22000'])
  assert.equal(portOf(settings, 'kafka'), 31092)
  assert.throws(() => portOf(settings, 'stomp'), /stomp would listen on 83613: .*--port stomp=N/)
})

test('--advertise names listeners and whole addresses', () => {
  const settings = resolve(['--advertise', 'kafka=broker.example:19092', '--advertise', 'amqp=[::1]:5673'])
  assert.deepEqual(settings.advertise.get('kafka'), { host: 'broker.example', port: 19092 })
  assert.deepEqual(settings.advertise.get('amqp'), { host: '::1', port: 5673 })
  assert.throws(() => resolve(['--advertise', 'kafka=broker.example']), /is not HOST:PORT/)
  assert.throws(() => resolve(['--advertise', 'kafak=a:1']), /did you mean kafka/)
})

test('TLS is configured whole or not at all', () => {
  assert.equal(tlsSettings(resolve([])), null)
  assert.throws(() => tlsSettings(resolve(['--tls-only'])), /needs --tls-certificate and --tls-key/)
  assert.throws(() => tlsSettings(resolve(['--tls-certificate', 'a'])), /go together/)
  const both = ['--tls-certificate', 'a', '--tls-key', 'b']
  assert.throws(() => tlsSettings(resolve([...both, '--tls-require-client-certificate'])), /needs --tls-client-ca/)
  assert.equal(tlsSettings(resolve([...both, '--tls-only']))?.refusePlainText, true)
})

test('--enable opens what is off by default, beside all others or beside those of --only', () => {
  const opened = (args: readonly string[], environment?: NodeJS.ProcessEnv): string[] => {
    const { only, enable } = resolve(args, environment)
    return protocolsToOpen(only, enable)
  }
  assert.ok(!opened([]).includes('schema-registry'))
  assert.ok(opened([]).includes('kafka'))
  assert.deepEqual(opened([]).concat('schema-registry').sort(), opened(['--enable', 'schema-registry']).sort())
  assert.deepEqual(opened(['--only', 'kafka', '--enable', 'schema-registry']), ['kafka', 'schema-registry'])
  assert.deepEqual(opened(['--only', 'schema-registry']), ['schema-registry'])
  assert.ok(opened([], { ANYMQ_ENABLE: 'schema-registry' }).includes('schema-registry'))
  assert.throws(() => opened(['--enable', 'schema-regisry']), /did you mean schema-registry\?/)
})
