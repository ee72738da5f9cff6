/** Subjects that the broker answers itself: acknowledgements, requests and flow control of JetStream (jetstream/), and requests about the server (system/). */
import { PublishItem, type Space } from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import type { Client, Identity } from './client.ts'
import { isApiSubject, onApiRequest } from './jetstream/api.ts'
import { Outbox } from './jetstream/outbox.ts'
import { encodeEnvelope, messageFormatId } from './mapping.ts'
import { everything } from './owner.ts'
import { headersOf, type Publish } from './publisher.ts'
import { answerSystem } from './system/requests.ts'
import { userInfo, userInfoSubject } from './system/user-info.ts'

const accepted = Buffer.from('+ACK')

/** False: it is a subject like any other. */
export function onRequest(client: Client, identity: Identity, publish: Publish): boolean {
  return onJetStreamSubject(client, identity, publish) || onSystemRequest(client, identity, publish)
}

function onJetStreamSubject(client: Client, { space, asking, jetStream }: Identity, publish: Publish): boolean {
  const { subject, reply, headerBytes, payload } = publish
  const isAck = subject.startsWith('$JS.ACK.')
  const isApi = isApiSubject(subject)
  if (jetStream === null || !(isAck || isApi || subject.startsWith('$JS.FC.'))) return false
  // In the order of the operations.
  client.publisher.flush()
  if (!space.principal.may('publish', space.namespace, subject)) return false
  if (space.isHeard(subject)) tell(client, space, publish)
  let known: boolean
  if (isAck) known = jetStream.onAck(subject, wordOf(payload, headerBytes), reply)
  else if (isApi)
    known = onApiRequest(jetStream, asking, {
      subject,
      reply,
      headers: headersOf(publish),
      body: payload.toString('utf8', headerBytes),
    })
  else known = jetStream.onFlow(subject)
  if (!known && reply !== '') client.subscriptions.tellNobody(subject, reply)
  return true
}

/** What an acknowledgement says: nearly always the same. */
function wordOf(payload: Buffer, from: number): string {
  const isAccepted = payload.length - from === accepted.length && payload.compare(accepted, 0, accepted.length, from) === 0
  return isAccepted ? '+ACK' : payload.toString('utf8', from)
}

/** Who listens to it hears it, whatever else becomes of it. */
function tell({ connection }: Client, space: Space, { subject, reply, headerBytes, payload }: Publish): void {
  const item = new PublishItem(null, subject, messageFormatId, encodeEnvelope(reply, headerBytes, payload))
  item.transient = true
  item.connection = connection.id
  space.publish([item], () => undefined)
}

/** False also where the client may not ask, so that it is as if nobody were there. */
function onSystemRequest(client: Client, { space, user }: Identity, { subject, reply, headerBytes, payload }: Publish): boolean {
  if (reply === '' || !subject.startsWith('$SYS.REQ.')) return false
  const isUserInfo = subject === userInfoSubject
  const sees = user === null ? space.principal.may('describe', 'default', '', 'cluster') : user.isSystem
  if (!(sees || isUserInfo) || !space.principal.may('publish', space.namespace, subject)) return false
  client.publisher.flush()
  const { broker } = client
  const outbox = new Outbox(broker.space(everything, space.namespace))
  if (isUserInfo) outbox.answer(reply, userInfo(broker, space, user))
  else
    answerSystem(broker, subject, payload.toString('utf8', headerBytes)).then(
      (answer) => {
        if (answer === null) client.subscriptions.tellNobody(subject, reply)
        else outbox.answer(reply, answer)
      },
      (cause: unknown) => broker.log.warn({ subject, error: asCoreError(cause).message }, 'a request about the server failed'),
    )
  return true
}
