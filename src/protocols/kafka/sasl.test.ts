import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { Broker, Credential, Principal, ScramVerifier } from '../../broker/face.ts'
import { beginSasl, type SaslExchange } from './sasl.ts'

const alice: Principal = { user: 'alice', may: () => true }

function brokerWith(password: string): Broker {
  const verifier = (mechanism: string): ScramVerifier => {
    const digest = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
    const salt = randomBytes(16)
    const salted = pbkdf2Sync(password, salt, 4096, digest === 'sha256' ? 32 : 64, digest)
    const clientKey = createHmac(digest, salted).update('Client Key').digest()
    const storedKey = createHash(digest).update(clientKey).digest()
    return { salt, iterations: 4096, storedKey, serverKey: createHmac(digest, salted).update('Server Key').digest() }
  }
  const authenticate = (credential: Credential): Promise<Principal> =>
    credential.kind !== 'token' &&
    credential.user === 'alice' &&
    (credential.kind !== 'password' || credential.password === password)
      ? Promise.resolve(alice)
      : Promise.reject(new Error('no'))
  const scramVerifier = (user: string, mechanism: string) => (user === 'alice' ? verifier(mechanism) : undefined)
  return { authenticate, scramVerifier, clusterId: 'c' } as unknown as Broker // the exchange uses nothing else
}

interface Step {
  readonly answer: string
  readonly failure: string | null
  readonly principal: Principal | undefined
}
const step = (exchange: SaslExchange | undefined, token: string): Promise<Step> =>
  new Promise((resolve) =>
    exchange?.step(Buffer.from(token), (answer, failure, principal) =>
      resolve({ answer: answer.toString(), failure, principal }),
    ),
  )

test('PLAIN: a right password, a wrong one, a malformed token', async () => {
  const broker = brokerWith('pw')
  assert.equal((await step(beginSasl('PLAIN', broker, '127.0.0.1'), '\0alice\0pw')).principal, alice)
  assert.match((await step(beginSasl('PLAIN', broker, '127.0.0.1'), '\0alice\0no')).failure ?? '', /Authentication failed/)
  assert.match((await step(beginSasl('PLAIN', broker, '127.0.0.1'), 'alice')).failure ?? '', /malformed/)
  assert.equal(beginSasl('GSSAPI', broker, '127.0.0.1'), undefined)
})

async function scram(mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512', user: string, password: string): Promise<Step> {
  const digest = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  const exchange = beginSasl(mechanism, brokerWith('pw'), '127.0.0.1')
  const bare = `n=${user},r=fyko+d2lbbFgONRv9qkxdawL`
  const first = await step(exchange, `n,,${bare}`)
  const fields = new Map(first.answer.split(',').map((field) => [field[0], field.slice(2)]))
  const iterations = Number(fields.get('i'))
  const salted = pbkdf2Sync(
    password,
    Buffer.from(fields.get('s') ?? '', 'base64'),
    iterations,
    digest === 'sha256' ? 32 : 64,
    digest,
  )
  const clientKey = createHmac(digest, salted).update('Client Key').digest()
  const withoutProof = `c=biws,r=${fields.get('r')}`
  const message = `${bare},${first.answer},${withoutProof}`
  const signature = createHmac(digest, createHash(digest).update(clientKey).digest()).update(message).digest()
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))).toString('base64')
  const last = await step(exchange, `${withoutProof},p=${proof}`)
  if (last.failure === null) {
    const serverKey = createHmac(digest, salted).update('Server Key').digest()
    assert.equal(last.answer, `v=${createHmac(digest, serverKey).update(message).digest('base64')}`)
  }
  return last
}

for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
  test(`${mechanism}: proves both sides; a wrong password and an unknown user look the same`, async () => {
    assert.equal((await scram(mechanism, 'alice', 'pw')).principal, alice)
    const wrong = (await scram(mechanism, 'alice', 'no')).failure
    assert.equal((await scram(mechanism, 'mallory', 'no')).failure, wrong)
    assert.match(wrong ?? '', /Authentication failed/)
  })
}
