/** What is published works: the tarball, installed in an empty folder, has a command that runs and a library that starts a broker. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '..')
const folder = mkdtempSync(path.join(tmpdir(), 'anymq-package-'))
const main = path.join(folder, 'node_modules/anymq/dist/cli/main.js')
/** Without what npm sets for its scripts: a user's shell has none of it, and it would point the inner npm at this folder. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_(package|lifecycle|command)|INIT_CWD|NODE_TEST)/.test(name)),
)

before(
  async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root, env: environment })
    const file = /"filename": "([^"]+)"/.exec(stdout)?.[1]
    assert(file !== undefined, stdout)
    writeFileSync(path.join(folder, 'package.json'), '{"private": true, "type": "module"}')
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', path.join(folder, path.basename(file))], {
      cwd: folder,
      env: environment,
    })
  },
  { timeout: 120_000 },
)

after(() => rmSync(folder, { recursive: true, force: true }))

test('the command prints its version and refuses what it does not know', async () => {
  const { stdout } = await run(process.execPath, [main, 'version'])
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
  await assert.rejects(
    run(process.execPath, [main, 'serve', '--durabilty', 'os']),
    /unknown option --durabilty; did you mean --durability\?/,
  )
})

test('the command serves, and SIGTERM ends it with 0', async () => {
  const broker = spawn(
    process.execPath,
    [main, 'serve', '--data', path.join(folder, 'data'), '--only', 'kafka,amqp', '--port', 'kafka=0,amqp=0,http=0'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let output = ''
  for await (const chunk of broker.stdout) {
    output += String(chunk)
    if (/^AnyMQ ready/m.test(output)) break
  }
  assert.match(output, /^AnyMQ ready/m)
  broker.kill('SIGTERM')
  const [code] = await once(broker, 'exit')
  assert.equal(code, 0)
})

test('the library starts a broker', async () => {
  const script = `
    import { startBroker } from 'anymq'
    const broker = await startBroker()
    await broker.publish('orders', 'one')
    const [message] = await broker.messages('orders')
    console.log(message.text, broker.url('amqp'))
    await broker.close()
  `
  writeFileSync(path.join(folder, 'try.js'), script)
  const { stdout } = await run(process.execPath, [path.join(folder, 'try.js')], { cwd: folder })
  assert.match(stdout, /^one amqp:\/\/127\.0\.0\.1:\d+\n$/)
})
