import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScramError, ScramServer } from './scram.ts'
import { ScramClient, testVerifier } from './scram-client.testing.ts'

for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
  const verifier = testVerifier(mechanism, 'pw')
  const server = (): ScramServer =>
    new ScramServer(mechanism, { verifierOf: (user) => (user === 'a,b=c' ? verifier : undefined), secret: 'cluster' })

  test(`${mechanism}: both sides prove that they know the password`, () => {
    const [ours, client] = [server(), new ScramClient(mechanism, 'a,b=c', 'pw')]
    const { user, answer } = ours.final(client.final(ours.first(client.first())))
    assert.equal(user, 'a,b=c')
    assert(client.trusts(answer))
  })

  test(`${mechanism}: a wrong password and an unknown user fail alike`, () => {
    for (const [name, password] of [
      ['a,b=c', 'no'],
      ['mallory', 'pw'],
    ] as const) {
      const [ours, client] = [server(), new ScramClient(mechanism, name, password)]
      const first = ours.first(client.first())
      assert.throws(() => ours.final(client.final(first)), new ScramError('wrong user or password'))
    }
  })
}

test('an unknown user has the same salt each time', () => {
  const salts = [1, 2].map(() => {
    const server = new ScramServer('SCRAM-SHA-256', { verifierOf: () => undefined, secret: 'cluster' })
    return /s=([^,]+)/.exec(server.first('n,,n=mallory,r=abc'))?.[1]
  })
  assert.equal(salts[0], salts[1])
})

test('malformed messages, channel binding that was asked for, and a final message before the first', () => {
  const server = new ScramServer('SCRAM-SHA-256', { verifierOf: () => testVerifier('SCRAM-SHA-256', 'pw'), secret: 's' })
  for (const message of ['', 'n,,n=a', 'p=tls-unique,,n=a,r=b', 'n,,r=b,n=a'])
    assert.throws(() => server.first(message), ScramError)
  assert.throws(() => server.final('c=biws,r=abc,p=AAAA'), ScramError)
  assert.throws(() => server.final('nonsense'), ScramError)
})
