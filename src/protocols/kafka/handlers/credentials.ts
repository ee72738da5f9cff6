// DescribeUserScramCredentials, AlterUserScramCredentials (KIP-554): what the broker checks SCRAM logins of its users against.
import { createHash, createHmac } from 'node:crypto'
import type { ScramMechanism, ScramVerifier } from '../../../broker/face.ts'
import { KafkaError } from '../errors.ts'
import { mayCluster } from '../operations.ts'
import { failure, Refused } from '../refused.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'

const mechanisms: readonly (readonly [number, ScramMechanism, 'sha256' | 'sha512'])[] = [
  [1, 'SCRAM-SHA-256', 'sha256'],
  [2, 'SCRAM-SHA-512', 'sha512'],
]
const iterationsMin = 4096
const iterationsMax = 16_384

export function describeUserScramCredentials(request: Request): void {
  const { session } = request
  if (!mayCluster(session, 'describe'))
    return request.respond({ errorCode: KafkaError.ClusterAuthorizationFailed, errorMessage: 'not allowed', results: [] })
  const asked: Message[] | null = request.body()['users']
  const all = (): string[] => session.broker.users.list().map((user) => user.name)
  const wanted = asked === null || asked.length === 0 ? null : asked.map((user) => user['name'] as string)
  const results: object[] = []
  for (const user of new Set(wanted ?? all())) {
    const credentialInfos = infosOf(session, user)
    if (wanted !== null && wanted.filter((name) => name === user).length > 1) {
      const errorMessage = `Cannot describe SCRAM credentials for the same user twice in a single request: ${user}`
      results.push({ user, errorCode: KafkaError.DuplicateResource, errorMessage, credentialInfos: [] })
    } else if (credentialInfos.length > 0) results.push({ user, errorMessage: null, credentialInfos })
    else if (wanted !== null) {
      const errorMessage = `Attempt to describe a user credential that does not exist: ${user}`
      results.push({ user, errorCode: KafkaError.ResourceNotFound, errorMessage, credentialInfos })
    }
  }
  request.respond({ errorMessage: '', results })
}

function infosOf(session: KafkaSession, user: string): { mechanism: number; iterations: number }[] {
  return mechanisms.flatMap(([mechanism, name]) => {
    const verifier = session.broker.scramVerifier(user, name)
    return verifier === undefined ? [] : [{ mechanism, iterations: verifier.iterations }]
  })
}

export async function alterUserScramCredentials(request: Request): Promise<void> {
  const { session } = request
  const { deletions, upsertions } = request.body()
  const changes: Message[] = [...deletions, ...upsertions]
  const results = new Map<string, object>()
  for (const user of new Set(changes.map((change) => change['name'] as string))) {
    try {
      if (!mayCluster(session, 'alter'))
        throw new Refused(KafkaError.ClusterAuthorizationFailed, `${session.principal.user} may not alter the cluster`)
      const own = changes.filter((change) => change['name'] === user)
      for (const change of own) check(session, change, (upsertions as Message[]).includes(change))
      if (new Set(own.map((change) => change['mechanism'])).size < own.length)
        throw new Refused(KafkaError.DuplicateResource, `${user} is changed twice in a single request`)
      for (const change of own) await alterOne(session, change, (upsertions as Message[]).includes(change))
      results.set(user, { user, errorMessage: null })
    } catch (cause) {
      results.set(user, { user, ...failure(cause) })
    }
  }
  request.respond({ results: [...results.values()] })
}

/** Throws Refused. */
function check(session: KafkaSession, { name, mechanism, iterations }: Message, isUpsert: boolean): void {
  if (name === '') throw new Refused(KafkaError.UnacceptableCredential, 'Username must not be empty')
  const known = mechanisms.find(([number]) => number === mechanism)
  if (known === undefined) throw new Refused(KafkaError.UnsupportedSaslMechanism, 'Unknown SCRAM mechanism')
  if (!isUpsert) {
    if (session.broker.scramVerifier(name, known[1]) === undefined)
      throw new Refused(KafkaError.ResourceNotFound, 'Attempt to delete a user credential that does not exist')
    return
  }
  if (iterations < iterationsMin) throw new Refused(KafkaError.UnacceptableCredential, 'Too few iterations')
  if (iterations > iterationsMax) throw new Refused(KafkaError.UnacceptableCredential, 'Too many iterations')
  // From the first user on everybody has to log in: it must be one who can administrate.
  if (!session.broker.authenticationRequired)
    throw new Refused(
      KafkaError.UnacceptableCredential,
      'there are no users yet, and the first must be an administrator: name it in the configuration or over the HTTP API',
    )
}

async function alterOne({ broker }: KafkaSession, change: Message, isUpsert: boolean): Promise<void> {
  const [, name, digest] = mechanisms.find(([number]) => number === change['mechanism']) ?? mechanisms[0] ?? []
  if (name === undefined || digest === undefined) return // checked before
  await broker.users.putScram(change['name'], name, isUpsert ? verifierOf(change, digest) : null)
}

/** RFC 5802 section 3, from the salted password that the client made. */
function verifierOf({ salt, saltedPassword, iterations }: Message, digest: 'sha256' | 'sha512'): ScramVerifier {
  const clientKey = createHmac(digest, saltedPassword).update('Client Key').digest()
  return {
    salt: Buffer.from(salt),
    iterations,
    storedKey: createHash(digest).update(clientKey).digest(),
    serverKey: createHmac(digest, saltedPassword).update('Server Key').digest(),
  }
}
