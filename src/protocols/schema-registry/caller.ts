/**
 * Who calls, and what of the registry is his. A subject belongs to the topic that it is named for (`orders-value` and `orders-key` to `orders`,
 * others to a topic of their own name): whoever may describe the topic may read its schemas, whoever may publish to it or alter it may register
 * them, whoever may alter it may change and delete. What is global takes the rights of the cluster.
 */
import type { Broker, HttpRequest, Principal } from '../../broker/face.ts'
import { CoreError } from '../../broker/face.ts'
import { httpCaller } from '../../lib/http-login.ts'
import { denied, unauthorized } from './errors.ts'

const namespace = 'default'

export class Caller {
  readonly principal: Principal

  constructor(principal: Principal) {
    this.principal = principal
  }

  mayRead(subject: string): boolean {
    return this.principal.may('describe', namespace, topicOf(subject))
  }

  toRead(subject: string): void {
    if (!this.mayRead(subject)) throw denied(this.principal.user, 'Read', `Subject: ${subject}`)
  }

  toRegister(subject: string): void {
    const topic = topicOf(subject)
    if (!this.principal.may('publish', namespace, topic) && !this.principal.may('alter', namespace, topic))
      throw denied(this.principal.user, 'Write', `Subject: ${subject}`)
  }

  toChange(subject: string): void {
    if (!this.principal.may('alter', namespace, topicOf(subject)))
      throw denied(this.principal.user, 'Delete', `Subject: ${subject}`)
  }

  toChangeAll(): void {
    if (!this.principal.may('alter', namespace, '', 'cluster')) throw denied(this.principal.user, 'Write', 'Global')
  }
}

export const topicOf = (subject: string): string => subject.replace(/-(key|value)$/, '')

export async function authenticate(broker: Broker, request: HttpRequest): Promise<Caller> {
  const { connection, headers } = request
  let principal: Principal | null
  try {
    principal = await httpCaller(broker, headers['authorization'], connection)
  } catch (cause) {
    if (cause instanceof CoreError && cause.code === 'Unauthenticated') throw unauthorized()
    throw cause
  }
  if (principal === null) throw unauthorized()
  connection.info.user = principal.user
  return new Caller(principal)
}
