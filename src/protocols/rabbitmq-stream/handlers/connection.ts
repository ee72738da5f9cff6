// The way into a connection and out of it: who is there, logging in, tuning, the virtual host, versions.
import { type Broker, CoreError, type Credential } from '../../../broker/face.ts'
import { secretLogin } from '../../../lib/token-login.ts'
import { Key, spokenVersions, tuneFrame, writeMap, writeStrings } from '../commands.ts'
import { Code, Refusal } from '../errors.ts'
import { namespaceOf } from '../names.ts'
import { frameMax, heartbeatSeconds, type Session } from '../session.ts'
import { type Answer, type Handlers, ok } from './answer.ts'

/** The version that clients read features from: filters need 3.13. */
const spokenVersion = '4.3.0'

export const connectionHandlers: Handlers<
  | typeof Key.PeerProperties
  | typeof Key.SaslHandshake
  | typeof Key.SaslAuthenticate
  | typeof Key.Open
  | typeof Key.Close
  | typeof Key.ExchangeCommandVersions
> = {
  [Key.PeerProperties](session, { properties }) {
    const { info } = session.connection
    info.clientName = properties.get('connection_name') ?? properties.get('product') ?? ''
    info.clientVersion = properties.get('version') ?? ''
    return { tail: (writer) => writeMap(writer, serverProperties(session.broker)) }
  },

  [Key.SaslHandshake](session) {
    return { tail: (writer) => writeStrings(writer, mechanisms(session)) }
  },

  async [Key.SaslAuthenticate](session, { mechanism, data }) {
    if (!mechanisms(session).includes(mechanism))
      throw new Refusal(Code.SaslMechanismNotSupported, `no mechanism "${mechanism}"`, !session.opened)
    if (session.opened) return refresh(session, mechanism, data)
    const principal = await logIn(session, mechanism, data)
    session.authenticated(principal, mechanism)
    return { after: () => session.connection.write(tuneFrame(frameMax, heartbeatSeconds)) }
  },

  [Key.Open](session, { virtualHost }) {
    try {
      session.open(session.broker.space(session.principal, namespaceOf(virtualHost)))
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      throw new Refusal(Code.VirtualHostAccessFailure, `virtual host "${virtualHost}": ${cause.message}`, true)
    }
    const { host, port } = advertised(session)
    return { tail: (writer) => writeMap(writer, { advertised_host: host, advertised_port: String(port) }) }
  },

  [Key.Close](session, { code, reason }) {
    session.broker.log.debug({ peer: session.peer, code, reason }, 'the client closes')
    return { after: () => session.leave() }
  },

  [Key.ExchangeCommandVersions](session, { versions }) {
    if (versions.some(({ key, to }) => key === Key.Deliver && 2 <= to)) session.deliverVersion = 2
    return {
      tail: (writer) => {
        writer.u32(spokenVersions.length)
        for (const { key, from, to } of spokenVersions) {
          writer.u16(key)
          writer.u16(from)
          writer.u16(to)
        }
      },
    }
  },
}

function serverProperties(broker: Broker): Record<string, string> {
  return {
    cluster_name: `anymq@${broker.clusterId}`,
    copyright: 'The AnyMQ authors',
    information: 'AnyMQ, speaking as RabbitMQ does. Licensed under Apache-2.0.',
    platform: `Node.js ${process.versions.node}`,
    // Clients look for this name and version before they use what came later.
    product: 'RabbitMQ',
    version: spokenVersion,
  }
}

/** Where this client reached us is where it reaches every stream, unless another address is configured. */
export const advertised = ({ broker, connection }: Session): { host: string; port: number } =>
  broker.advertised('rabbitmq-stream') ?? {
    host: connection.localAddress.replace(/^::ffff:/, ''),
    port: connection.localPort,
  }

/** EXTERNAL is the name in a client's certificate, where one was verified. */
const mechanisms = (session: Session): string[] => ['PLAIN', ...(session.connection.peerName === undefined ? [] : ['EXTERNAL'])]

async function logIn(session: Session, mechanism: string, data: Buffer) {
  const credential = mechanism === 'EXTERNAL' ? certificateOf(session) : plainCredential(data, session.broker.tokensAccepted)
  if (credential === undefined) throw new Refusal(Code.SaslError, `a malformed response to ${mechanism}`, !session.opened)
  try {
    return await session.broker.authenticate(credential, session.connection.remoteAddress)
  } catch {
    const who = credential.kind === 'token' ? 'by token' : `of "${credential.user}"`
    throw new Refusal(Code.AuthenticationFailure, `login ${who} was refused`, true)
  }
}

const certificateOf = (session: Session): Credential | undefined =>
  session.connection.peerName === undefined ? undefined : { kind: 'certificate', user: session.connection.peerName }

/** RFC 4616: authorization identity NUL user NUL password. */
function plainCredential(data: Buffer, tokensAccepted: boolean): Credential | undefined {
  const first = data.indexOf(0)
  const second = first < 0 ? -1 : data.indexOf(0, first + 1)
  if (second < 0) return undefined
  return secretLogin(data.toString('utf8', first + 1, second), data.toString('utf8', second + 1), tokensAccepted)
}

/** The same user may log in again, with a new secret. */
async function refresh(session: Session, mechanism: string, data: Buffer): Promise<Answer> {
  if (mechanism !== session.mechanism)
    throw new Refusal(Code.SaslCannotChangeMechanism, `the login was by ${session.mechanism}`, true)
  const principal = await logIn(session, mechanism, data)
  if (principal.user !== session.principal.user)
    throw new Refusal(Code.SaslCannotChangeUsername, `the login was as "${session.principal.user}"`, true)
  session.authenticated(principal, mechanism)
  session.reopen(session.broker.space(principal, session.space.namespace))
  return ok
}
