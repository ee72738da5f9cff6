// ApiVersions, SaslHandshake, SaslAuthenticate: what a client says first.
import { encodeResponse } from '../codec.ts'
import { KafkaError } from '../errors.ts'
import type { Request } from '../request.ts'
import { beginSasl, saslMechanisms } from '../sasl.ts'
import type { Message } from '../schema.ts'
import { nodeId, softwareNamePattern } from '../session.ts'
import { describeFeatures } from './features.ts'
import { handlers } from './table.ts'

export function apiVersions(request: Request): void {
  const { api, version, correlationId, session } = request
  if (version < 0 || version > api.to) {
    // KIP-511: in the form every client can read, with the row that tells which version to come back with.
    const own = { apiKey: api.key, minVersion: api.from, maxVersion: api.to }
    return request.finish(encodeResponse(api, 0, correlationId, { errorCode: KafkaError.UnsupportedVersion, apiKeys: [own] }))
  }
  const body = request.body()
  if (version >= 3) {
    const { clientSoftwareName, clientSoftwareVersion } = body
    if (!softwareNamePattern.test(clientSoftwareName) || !softwareNamePattern.test(clientSoftwareVersion)) {
      return request.respond({ errorCode: KafkaError.InvalidRequest })
    }
    session.connection.info.clientName = clientSoftwareName
    session.connection.info.clientVersion = clientSoftwareVersion
  }
  if (version >= 5 && isOtherBroker(body, session.broker.clusterId))
    return request.respond({ errorCode: KafkaError.RebootstrapRequired })
  const apiKeys = [...handlers].map(([apiKey, handler]) => ({ apiKey, minVersion: handler.from, maxVersion: handler.to }))
  request.respond({ apiKeys, ...describeFeatures(request) })
}

// KIP-1242: the client says whom it means to talk to; -1 and null say nothing.
function isOtherBroker(body: Message, clusterId: string): boolean {
  if (body['clusterId'] !== null && body['clusterId'] !== clusterId) return true
  return body['nodeId'] >= 0 && body['nodeId'] !== nodeId
}

export function saslHandshake(request: Request): void {
  const { session } = request
  const mechanisms = saslMechanisms(session.broker)
  const exchange = beginSasl(request.body()['mechanism'], session.broker, session.connection.remoteAddress)
  session.sasl = exchange
  if (exchange === undefined) return request.respond({ errorCode: KafkaError.UnsupportedSaslMechanism, mechanisms })
  session.rawTokens = request.version === 0
  request.respond({ mechanisms })
}

export function saslAuthenticate(request: Request): void {
  const { session } = request
  const { authBytes } = request.body()
  if (session.sasl === undefined) {
    return request.respond({ errorCode: KafkaError.IllegalSaslState, errorMessage: 'SaslHandshake comes first' })
  }
  session.sasl.step(authBytes, (answer, failure, principal) => {
    if (failure !== null) {
      request.respond({ errorCode: KafkaError.SaslAuthenticationFailed, errorMessage: failure })
      return session.end('authentication failed')
    }
    if (principal === undefined) return request.respond({ authBytes: answer })
    if (!session.mayBecome(principal)) {
      const errorMessage = 'another login on the same connection must be of the same user'
      request.respond({ errorCode: KafkaError.SaslAuthenticationFailed, errorMessage })
      return session.end('authentication failed')
    }
    session.logIn(principal)
    session.sasl = undefined
    const { expiresAt } = principal
    const sessionLifetimeMs = expiresAt === undefined ? 0 : Math.max(0, expiresAt - session.broker.clock.now())
    request.respond({ authBytes: answer, sessionLifetimeMs })
  })
}
