/** kcat and kafkajs with TLS, certificates and SASL, against a broker with users; with tokens, against one that takes them. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { Kafka, logLevel, type SASLOptions } from 'kafkajs'
import { startSecuredAnyMQ } from '../anymq.ts'
import { runCases, setting, unique } from '../cases/cases.ts'
import { run, runOk } from '../processes.ts'

const server = setting('KAFKA')
const folder = setting('TLS')
const x = (options: Record<string, string>): string[] =>
  Object.entries(options).flatMap(([name, value]) => ['-X', `${name}=${value}`])
const kcat = (args: readonly string[], input = ''): Promise<string> =>
  runOk('kcat', ['-b', server, '-m', '10', ...args], { input, timeoutMs: 25_000 })

const tls = { 'ssl.ca.location': `${folder}/root.crt` }
const certificate = { 'ssl.certificate.location': `${folder}/alice.crt`, 'ssl.key.location': `${folder}/alice.key` }
const login = (mechanism: string): Record<string, string> => ({
  'sasl.mechanism': mechanism,
  'sasl.username': 'alice',
  'sasl.password': 'alice-secret',
})

async function roundTrip(options: Record<string, string>): Promise<void> {
  const topic = unique('secured')
  await kcat([...x(options), '-P', '-t', topic], 'one\ntwo\n')
  assert.equal(await kcat([...x(options), '-C', '-t', topic, '-o', 'beginning', '-e', '-q']), 'one\ntwo\n')
}

await runCases({
  'kcat: PLAIN over TLS': () => roundTrip({ 'security.protocol': 'SASL_SSL', ...tls, ...login('PLAIN') }),
  'kcat: SCRAM-SHA-256 over TLS': () => roundTrip({ 'security.protocol': 'SASL_SSL', ...tls, ...login('SCRAM-SHA-256') }),
  'kcat: SCRAM-SHA-512 in plain text on the same port': () =>
    roundTrip({ 'security.protocol': 'SASL_PLAINTEXT', ...login('SCRAM-SHA-512') }),
  'kcat: a certificate as the login': () => roundTrip({ 'security.protocol': 'SSL', ...tls, ...certificate }),

  'kcat: refused without a login, and with a wrong password': async () => {
    const list = (options: Record<string, string>): ReturnType<typeof run> =>
      run('kcat', ['-b', server, '-m', '5', ...x(options), '-L'], { timeoutMs: 25_000 })
    assert.notEqual((await list({ 'security.protocol': 'SSL', ...tls })).code, 0)
    const wrong = { ...login('PLAIN'), 'sasl.password': 'wrong' }
    assert.notEqual((await list({ 'security.protocol': 'SASL_SSL', ...tls, ...wrong })).code, 0)
  },

  'kafkajs: TLS with PLAIN, SCRAM and a certificate': async () => {
    const ca = await readFile(`${folder}/root.crt`, 'utf8')
    const [cert, key] = [await readFile(`${folder}/alice.crt`, 'utf8'), await readFile(`${folder}/alice.key`, 'utf8')]
    const user = { username: 'alice', password: 'alice-secret' }
    const logins: { sasl?: SASLOptions; ssl: object }[] = [
      { sasl: { mechanism: 'plain', ...user }, ssl: { ca } },
      { sasl: { mechanism: 'scram-sha-512', ...user }, ssl: { ca } },
      { ssl: { ca, cert, key } },
    ]
    for (const each of logins) {
      const admin = new Kafka({ brokers: [server], clientId: 'secured', logLevel: logLevel.NOTHING, ...each }).admin()
      await admin.connect()
      const topic = unique('secured.js')
      await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
      assert.ok((await admin.listTopics()).includes(topic))
      await admin.disconnect()
    }
  },

  'kafkajs: OAUTHBEARER with a signed token, and with one of somebody else': async () => {
    const keys = await mkdtemp(join(tmpdir(), 'anymq-interop-keys-'))
    const file = join(keys, 'keys.json')
    const [signer, stranger] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')]
    await writeFile(file, JSON.stringify({ keys: [{ ...(await exportJWK(signer.publicKey)), kid: 'one' }] }))
    const broker = await startSecuredAnyMQ({ extra: ['--token-keys', file] })
    const adminWith = ({ privateKey }: typeof signer) => {
      const token = new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setSubject('alice').setExpirationTime('1m')
      const oauthBearerProvider = async () => ({ value: await token.sign(privateKey) })
      const sasl: SASLOptions = { mechanism: 'oauthbearer', oauthBearerProvider }
      return new Kafka({ brokers: [broker.kafka], sasl, logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
    }
    try {
      const admin = adminWith(signer)
      await admin.connect()
      await admin.createTopics({ topics: [{ topic: 'by-token', numPartitions: 1 }] })
      assert.ok((await admin.listTopics()).includes('by-token'))
      await admin.disconnect()
      // To kafkajs the refusal, which RFC 7628 lets its client answer first, looks like an answer: it learns of it by its next request.
      const refused = adminWith(stranger)
      await assert.rejects(refused.connect().then(() => refused.listTopics()))
      await refused.disconnect()
    } finally {
      await broker.stop()
      await rm(keys, { recursive: true })
    }
  },
})
