/** Signatures of what endpoints get, checked as their subscribers check them. */
import assert from 'node:assert/strict'
import { verify, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { Machine } from '../../../../test/support/machine.ts'
import { Signer } from './signer.ts'

const notification = {
  Type: 'Notification',
  MessageId: 'id',
  TopicArn: 'arn',
  Message: 'größe\n<&>',
  Timestamp: '2026-01-01T00:00:00.000Z',
  UnsubscribeURL: 'http://other',
}

async function signedBy(signer: Signer, fields: object, version: string): Promise<Record<string, string>> {
  return JSON.parse(await signer.signed(JSON.stringify(fields), version, 'http://here:1')) as Record<string, string>
}

function isSigned(signer: Signer, signable: string, signed: Record<string, string>): boolean {
  const pem = signer.certificateAt(new URL(signed['SigningCertURL'] ?? '').pathname)
  const algorithm = signed['SignatureVersion'] === '1' ? 'RSA-SHA1' : 'RSA-SHA256'
  const { publicKey } = new X509Certificate(pem ?? '')
  return verify(algorithm, Buffer.from(signable), publicKey, Buffer.from(signed['Signature'] ?? '', 'base64'))
}

test('both versions sign the fields that AWS names, in its order, with a certificate that outlives a crash', async () => {
  const machine = new Machine()
  const signerOf = async (of: ReturnType<Machine['start']>): Promise<Signer> =>
    new Signer((await of).rows('sns.signing'), () => Date.UTC(2026))
  let signer = await signerOf(machine.start())
  assert.equal(signer.certificateAt('/SimpleNotificationService-.pem'), undefined)
  const withSubject = { ...notification, Subject: 'a subject' }
  const signable = (subject: string): string =>
    `Message\ngröße\n<&>\nMessageId\nid\n${subject}Timestamp\n2026-01-01T00:00:00.000Z\nTopicArn\narn\nType\nNotification\n`
  // Two at once share one key.
  const [first, second] = await Promise.all([signedBy(signer, notification, '1'), signedBy(signer, withSubject, '2')])
  assert.ok(isSigned(signer, signable(''), first))
  assert.ok(isSigned(signer, signable('Subject\na subject\n'), second))
  assert.equal(isSigned(signer, signable(''), second), false)
  assert.equal(first['SigningCertURL'], second['SigningCertURL'])
  assert.match(first['SigningCertURL'] ?? '', /^http:\/\/here:1\/SimpleNotificationService-[0-9a-f]{32}\.pem$/)
  assert.equal(first['UnsubscribeURL'], 'http://other')

  signer = await signerOf(machine.crash())
  const confirmation = { ...notification, Type: 'SubscriptionConfirmation', Token: 't', SubscribeURL: 'http://s' }
  const asked = await signedBy(signer, confirmation, '1')
  assert.equal(asked['SigningCertURL'], first['SigningCertURL'])
  assert.ok(
    isSigned(
      signer,
      'Message\ngröße\n<&>\nMessageId\nid\nSubscribeURL\nhttp://s\nTimestamp\n2026-01-01T00:00:00.000Z\nToken\nt\nTopicArn\narn\nType\nSubscriptionConfirmation\n',
      asked,
    ),
  )
  // At once too, also by a signer that was not asked before: the key is there.
  const atOnce = (await signerOf(Promise.resolve(machine.start()))).forCopies('2')?.(JSON.stringify(withSubject), 'http://here:1')
  assert.ok(isSigned(signer, signable('Subject\na subject\n'), JSON.parse(atOnce ?? '{}') as Record<string, string>))
  const certificate = new X509Certificate(signer.certificateAt(new URL(asked['SigningCertURL'] ?? '').pathname) ?? '')
  assert.ok(certificate.verify(certificate.publicKey))
  assert.ok(certificate.validFromDate < new Date(Date.UTC(2026)) && certificate.validToDate > new Date(Date.UTC(2040)))
  await machine.stop()
})
